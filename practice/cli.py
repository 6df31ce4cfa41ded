"""The command line: python -m practice [08 | list | check | hint | answer | reset | report]"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import watchfiles

from common import UserError
from common.paths import shown
from practice import screen, words
from practice.judge import Judge, Judged
from practice.lessons import Lesson, Verdict, all_lessons, find
from practice.report import report
from practice.workbook import Workbook, workbook_folder

HELP = """\
Exercises that judge themselves each time you save.

  python -m practice              go on: the first lesson that is not done
  python -m practice 08           the exercises of lesson 08
  python -m practice list         how far you are
  python -m practice check 08     judge once (or 08.2, or all)
  python -m practice hint 08.2    a hint; one more each time
  python -m practice answer 08.2  an answer
  python -m practice reset 08.2   start anew (or 08); your old file is kept
  python -m practice report DIR   a table of many learners' workbooks
"""
COMMANDS = {"": (0, 0), "list": (0, 0), "check": (0, 1), "hint": (1, 1), "answer": (1, 1), "reset": (1, 1)}


class OneLineParser(argparse.ArgumentParser):
    """Bad input is one line."""

    def error(self, message: str):
        raise UserError(f"{message} (--help shows all commands)")


def main(argv: list[str] | None = None) -> int:
    """Returns 0; 1 where `check` found something that is not done; 2 for bad input; 130 after Ctrl-C."""
    console = screen.make_console()
    try:
        code = run(console, argv)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"practice: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\npractice: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the program that read the output has ended: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13


def run(console, argv: list[str] | None) -> int:
    parser = OneLineParser("python -m practice", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", default="", help=argparse.SUPPRESS)
    parser.add_argument("which", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="report: as JSON")
    given = parser.parse_intermixed_args(argv)
    command, which = given.command, given.which
    if command[:1].isdigit() or command.startswith("Course"):
        command, which = "", [command, *which]
    if command == "report":
        return show_report(console, [Path(folder) for folder in which] or [workbook_folder()], given.json)
    if command not in COMMANDS:
        raise UserError(f"there is no command {command!r} (--help shows all commands)")
    least, most = COMMANDS[command] if command else (0, 1)
    if not least <= len(which) <= most:
        raise UserError(f"{command or 'practice'} takes {'one name' if least else 'at most one name'}, such as 08.2")
    lesson, number = find(which[0]) if which else (None, None)
    if command in ("hint", "answer") and number is None:
        raise UserError(f"{command} needs an exercise, such as {lesson.number}.1")
    with Judge() as judge:
        match command:
            case "":
                return go_on(console, judge, lesson)
            case "list":
                judged = standings(console, judge)
                screen.show_list(console, judged, progress(judged))
                return 0
            case "check":
                return check(console, judge, lesson, number)
            case "hint":
                return show_hint(console, judge, lesson, number)
            case "answer":
                (exercise,) = (e for e in lesson.exercises() if e.number == number)
                print(exercise.source(), end="")  # as it is: to be pasted
                return 0
            case _:
                return reset(console, judge, lesson, number)


def workbook_of(lesson: Lesson) -> Workbook:
    """A learner's own."""
    return Workbook(lesson, workbook_folder() / f"{lesson.name}.py")


def judge_it(console, judge: Judge, workbook: Workbook, again: bool = False) -> Judged:
    """What Judge.judge() gives; meanwhile the screen says so. UserError for a file that cannot be read."""
    if not again and (known := judge.known(workbook)):
        return known
    with console.status(words.JUDGING.format(lesson=workbook.lesson.name)):
        return judge.judge(workbook, again)


def standings(console, judge: Judge) -> dict[Lesson, Judged]:
    """What is done of each lesson. A file that cannot be read is noted, and counts as nothing done."""
    judged = {}
    for lesson in all_lessons():
        try:
            judged[lesson] = judge_it(console, judge, workbook_of(lesson))
        except UserError as error:
            judged[lesson] = Judged({task.number: Verdict("todo") for task in lesson.tasks}, [str(error)])
    return judged


def progress(judged: dict[Lesson, Judged]) -> tuple[int, int]:
    """How many exercises are done, and of how many."""
    return sum(one.done for one in judged.values()), sum(len(one.verdicts) for one in judged.values())


def go_on(console, judge: Judge, chosen: Lesson | None) -> int:
    """Show a lesson, the first that is not done if none was chosen; judge at each save, and move on when it is done."""
    judged = standings(console, judge)
    lesson = chosen or next_after(None, judged)
    if lesson is None:
        console.print(words.ALL_DONE.format(total=progress(judged)[1]))
        return 0
    text = start(console, judge, lesson, judged)
    if not console.is_terminal:
        return 0
    try:
        for saved in saves(workbook_folder()):
            workbook, before = workbook_of(lesson), judged[lesson].verdicts
            if not workbook.path.exists():  # an editor may be about to put a new one there
                continue
            try:
                is_new = text != (text := workbook.read())
                if not is_new and (judged[lesson].is_final or workbook.path.name not in saved):
                    continue
                judged[lesson] = judge_it(console, judge, workbook, again=True)
                judge.prepare(lesson)
            except UserError as error:  # in a different encoding, say: the next save may mend it
                if text != (text := str(error)):
                    console.clear()
                    console.print(text, style="red")
                continue
            news = [number for number, verdict in judged[lesson].verdicts.items() if verdict != before[number]]
            if judged[lesson].done < len(lesson.tasks):
                show(console, workbook, judged, news)
                continue
            done, lesson = lesson, next_after(lesson, judged)
            if lesson is None:
                console.print(words.ALL_DONE.format(total=progress(judged)[1]), style="green")
                return 0
            text = start(console, judge, lesson, judged, words.LESSON_DONE.format(number=done.number))
    except KeyboardInterrupt:
        done, total = progress(judged)
        console.print("\n" + words.STOPPED.format(done=done, total=total))
    return 0


def start(console, judge: Judge, lesson: Lesson, judged: dict[Lesson, Judged], above: str = "") -> str:
    """Make the lesson's workbook where there is none, show it, and have a process ready. Returns its text."""
    workbook = workbook_of(lesson)
    workbook.make()
    judged[lesson] = judge_it(console, judge, workbook)
    if console.is_terminal:
        judge.prepare(lesson)  # for the first save
        if os.environ.get("TERM_PROGRAM") == "vscode" and (editor := shutil.which("code")):
            subprocess.run([editor, "-g", str(workbook.path)], capture_output=True, check=False)
    show(console, workbook, judged, above=above)
    return workbook.read()


def saves(folder: Path) -> Iterator[set[str]]:
    """The names of the files that were saved in the folder, as it happens; and each second, in case nobody tells."""
    for force in (None, True):  # None: as the system can; True: by looking again and again
        with contextlib.suppress(OSError, RuntimeError):  # the system has no more watches to give
            settings = {"recursive": False, "yield_on_timeout": True, "rust_timeout": 1000, "force_polling": force}
            for changes in watchfiles.watch(folder, **settings):
                yield {Path(path).name for _, path in changes}


def show(console, workbook: Workbook, judged: dict[Lesson, Judged], news: Iterable[int] = (), above: str = "") -> None:
    """The screen of a lesson."""
    console.clear()
    screen.show_lesson(console, workbook, judged[workbook.lesson], progress(judged), news, above)


def next_after(lesson: Lesson | None, judged: dict[Lesson, Judged]) -> Lesson | None:
    """The next lesson that is not done: after this one, else from the beginning."""
    open_ = [other for other, one in judged.items() if one.done < len(other.tasks)]
    later = [other for other in open_ if lesson and other.number > lesson.number]
    return (later or open_ or [None])[0]


def check(console, judge: Judge, lesson: Lesson | None, number: int | None) -> int:
    """Judge once; everything, a lesson or an exercise. 0 where all of it is done."""
    undone, missing = 0, []
    for each in [lesson] if lesson else all_lessons():
        workbook = workbook_of(each)
        one = judge_it(console, judge, workbook, again=True)
        verdicts = {n: verdict for n, verdict in one.verdicts.items() if number in (None, n)}
        undone += sum(verdict.state != "done" for verdict in verdicts.values())
        missing += [f"{each.number}.{n}" for n in workbook.missing() if n in verdicts]
        if lesson or workbook.path.exists():
            console.print(screen.title_of(each), style="bold")
            screen.show_verdicts(console, each, verdicts, workbook)
            for note in one.notes:
                console.print(screen.plain(note), style="red")
    if missing:
        raise UserError(
            f"your copy has no cell for {', '.join(missing)}: python -m practice reset {missing[0]} brings it back"
        )
    return 1 if undone else 0


def show_hint(console, judge: Judge, lesson: Lesson, number: int) -> int:
    """The hints that were shown before, and one more."""
    (exercise,) = (exercise for exercise in lesson.exercises() if exercise.number == number)
    which, total = f"{lesson.number}.{number}", len(exercise.hints)
    shown_before = judge.memory.read()["hints"].get(which, 0)
    for n, hint in enumerate(exercise.hints[: shown_before + 1], start=1):
        console.print(words.HINT.format(n=n, total=total, hint=hint), style="" if n > shown_before else "dim")
    console.print(words.READ.format(section=lesson.section(exercise.section)), style="dim")
    if shown_before + 1 >= total:
        console.print(words.LAST_HINT.format(which=which), style="dim")
    judge.memory.write("hints", which, min(shown_before + 1, total))
    return 0


def reset(console, judge: Judge, lesson: Lesson, number: int | None) -> int:
    workbook = workbook_of(lesson)
    kept = workbook.reset(number)
    for task in lesson.tasks:
        if number in (None, task.number):
            judge.memory.write("hints", f"{lesson.number}.{task.number}", 0)
    console.print(words.RESET.format(path=shown(workbook.path)))
    if kept:
        console.print(words.KEPT.format(path=shown(kept)))
    return 0


def show_report(console, folders: list[Path], as_json: bool) -> int:
    with Judge() as judge:
        found = report(judge, folders)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        screen.show_report(console, found)
    return 0
