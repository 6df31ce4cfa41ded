"""For teachers: what many learners have done, by running their workbooks."""

from pathlib import Path

from common import UserError
from common.paths import shown
from practice import words
from practice.judge import Judge
from practice.lessons import all_lessons
from practice.words import say
from practice.workbook import Workbook

AHEAD = 3  # processes that are ready or import PyTorch, while one judges


def learners_in(folders: list[Path]) -> tuple[dict[str, list[Workbook]], list[str]]:
    """The workbooks of each learner, and what else lies there. A folder holds one learner's files, or such folders."""
    lessons, learners, left_out = {f"{lesson.name}.py": lesson for lesson in all_lessons()}, {}, []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(say(words.NO_FOLDER, folder=folder))
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
        for learner in [folder] if any(folder.glob("Course*.py")) else inside:
            files = sorted(path for path in learner.iterdir() if not path.name.startswith((".", "__")))
            left_out += [shown(path) for path in files if path.name not in lessons]
            if found := [Workbook(lessons[path.name], path) for path in files if path.name in lessons]:
                name = learner.resolve().name
                learners[shown(learner) if name in learners else name] = found
    if not learners:
        raise UserError(say(words.NO_WORKBOOK, folders=", ".join(map(str, folders)), name=next(iter(lessons))))
    return learners, left_out


def report(judge: Judge, folders: list[Path]) -> dict:
    """{"total": 105, "learners": {name: {"08": {"1": "done", "2": "wrong", …}, …}}, "left out": [file or reason, …]}"""
    learners, left_out = learners_in(folders)
    table = {name: {} for name in learners}
    waiting = [(name, workbook) for name, workbooks in learners.items() for workbook in workbooks]
    for i, (name, workbook) in enumerate(waiting):
        try:
            if judge.known(workbook) is None:
                judge.prepare(*(later.lesson for _, later in waiting[i : i + AHEAD]))
            verdicts = judge.judge(workbook).verdicts
            table[name][workbook.lesson.number] = {str(number): verdict.state for number, verdict in verdicts.items()}
        except UserError as error:
            left_out.append(str(error))
    total = sum(len(lesson.tasks) for lesson in all_lessons())
    return {"total": total, "learners": table, "left out": left_out}
