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
from practice import messages, screen, words
from practice.judge import Judge, Judged
from practice.lessons import Lesson, Verdict, all_lessons, find
from practice.report import report
from practice.words import say
from practice.workbook import Workbook, workbook_folder

COMMANDS = ("", "list", "check", "hint", "answer", "reset", "report")


class OneLineParser(argparse.ArgumentParser):
    """Bad input is one line."""

    def error(self, message: str):
        raise UserError(say(words.BAD_ARGUMENTS, message=message))


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
        print(f"\npractice: {say(words.INTERRUPTED)}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the program that read the output has ended: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13


def run(console, argv: list[str] | None) -> int:
    given = parsed(argv)
    command, which = given.command, given.which
    if command[:1].isdigit() or command.startswith("Course"):
        command, which = "", [command, *which]
    if command not in COMMANDS:
        raise UserError(say(words.NO_COMMAND, command=command))
    least, most = int(command in ("hint", "answer", "reset")), {"list": 0, "report": len(which)}.get(command, 1)
    if not least <= len(which) <= most:
        raise UserError(say(words.TAKES_ONE if least else words.TAKES_AT_MOST_ONE, command=command or "practice"))
    lesson, number = find(which[0]) if which and command != "report" else (None, None)
    if command in ("hint", "answer") and number is None:
        raise UserError(say(words.NEEDS_EXERCISE, command=command, which=f"{lesson.number}.1"))
    with Judge() as judge:
        match command:
            case "":
                return go_on(console, judge, lesson)
            case "list":
                judged = standings(console, judge)
                screen.show_list(console, judged, progress(judged))
            case "check":
                return check(console, judge, lesson, number)
            case "hint":
                show_hint(console, judge, lesson, number)
            case "answer":
                print(lesson.exercises()[number - 1].source(), end="")  # as it is: to be pasted
            case "reset":
                reset(console, judge, lesson, number)
            case "report":
                found = report(judge, [Path(folder) for folder in which] or [workbook_folder()])
                if given.json:
                    print(json.dumps(found, indent=1, ensure_ascii=False))
                else:
                    screen.show_report(console, found)
    return 0


def parsed(argv: list[str] | None) -> argparse.Namespace:
    """What was typed. The language comes first: help and errors are said in it."""
    first = OneLineParser("python -m practice", add_help=False)
    first.add_argument("--lang", choices=("en", "zh"), help="English / 中文")
    words.given = first.parse_known_args(argv)[0].lang or ""
    form = {"description": say(words.HELP), "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = OneLineParser("python -m practice", parents=[first], **form)
    parser.add_argument("command", nargs="?", default="", help=argparse.SUPPRESS)
    parser.add_argument("which", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help=say(words.HELP_JSON))
    return parser.parse_intermixed_args(argv)


def workbook_of(lesson: Lesson) -> Workbook:
    """A learner's own."""
    return Workbook(lesson, workbook_folder() / f"{lesson.name}.py")


def judge_it(console, judge: Judge, workbook: Workbook, again: bool = False) -> Judged:
    """What Judge.judge() gives; meanwhile the screen says so. UserError for a file that cannot be read."""
    return judge.judge(workbook, again, console.status(say(words.JUDGING, lesson=workbook.lesson.name)))


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


def go_on(console, judge: Judge, lesson: Lesson | None) -> int:
    """Practise a lesson, the first that is not done if none was chosen, then the next ones."""
    judged, above = standings(console, judge), ""
    lesson = lesson or next_after(None, judged)
    try:
        while lesson:
            if not practise(console, judge, lesson, judged, above):
                return 0
            above, lesson = say(words.LESSON_DONE, number=lesson.number), next_after(lesson, judged)
        console.print(say(words.ALL_DONE, total=progress(judged)[1]), style="green")
    except KeyboardInterrupt:
        done, total = progress(judged)
        console.print("\n" + say(words.STOPPED, done=done, total=total))
    return 0


def practise(console, judge: Judge, lesson: Lesson, judged: dict[Lesson, Judged], above: str) -> bool:
    """Show a lesson, and judge its workbook at each save. Whether it is done; nobody waits without a terminal."""
    workbook = workbook_of(lesson)
    workbook.make()
    at_first = state_of(workbook.path)
    judged[lesson] = judge_it(console, judge, workbook)
    if console.is_terminal:
        judge.prepare(lesson)  # for the first save
        if os.environ.get("TERM_PROGRAM") == "vscode" and (editor := shutil.which("code")):
            subprocess.run([editor, "-g", str(workbook.path)], capture_output=True, check=False)
    show(console, workbook, judged, above=above)
    if not console.is_terminal:
        return False
    for _ in saves(workbook.path, at_first):
        before = judged[lesson].verdicts
        try:
            judged[lesson] = judge_it(console, judge, workbook, again=True)
            judge.prepare(lesson)
        except UserError as error:  # in a different encoding, say: the next save may mend it
            console.clear()
            console.print(error, style="red")
            continue
        if judged[lesson].done == len(lesson.tasks):
            return True
        news = [number for number, verdict in judged[lesson].verdicts.items() if verdict != before[number]]
        show(console, workbook, judged, news)
    return False


def saves(path: Path, before: tuple[int, bytes] | None) -> Iterator[None]:
    """Comes back each time the file was saved. It looks when the system tells, and each second, as some never tell."""
    for force in (None, True):  # None: as the system can; True: by looking again and again
        with contextlib.suppress(OSError, RuntimeError):  # the system has no more watches to give
            settings = {"recursive": False, "yield_on_timeout": True, "rust_timeout": 1000, "force_polling": force}
            for _ in watchfiles.watch(path.parent, **settings):
                now = state_of(path)
                if now and now != before:
                    before = now
                    yield


def state_of(path: Path) -> tuple[int, bytes] | None:
    """Time and content of a file; None where it cannot be read: an editor may be about to put a new one there."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns, path.read_bytes()
    return None


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
                console.print(screen.plain(messages.in_words(note, each)), style="red")
    if missing:
        raise UserError(say(words.NO_CELL, names=", ".join(missing), first=missing[0]))
    return 1 if undone else 0


def show_hint(console, judge: Judge, lesson: Lesson, number: int) -> None:
    """The hints that were shown before, and one more."""
    exercise = lesson.exercises()[number - 1]
    which, total = f"{lesson.number}.{number}", len(exercise.hints)
    shown_before = judge.memory.read()["hints"].get(which, 0)
    for n, hint in enumerate(exercise.hints[: shown_before + 1], start=1):
        line = say(words.HINT, n=n, total=total, hint=messages.hint(lesson, hint))
        screen.show_line(console, line, "" if n > shown_before else "dim")
    screen.show_line(console, say(words.READ, section=messages.section(lesson, exercise.section)), "dim")
    if shown_before + 1 >= total:
        screen.show_line(console, say(words.LAST_HINT, which=which), "dim")
    judge.memory.write("hints", which, min(shown_before + 1, total))


def reset(console, judge: Judge, lesson: Lesson, number: int | None) -> None:
    """Make a copy anew, or one of its cells, and forget which hints were shown."""
    workbook = workbook_of(lesson)
    kept = workbook.reset(number)
    for n in [number] if number else [task.number for task in lesson.tasks]:
        judge.memory.write("hints", f"{lesson.number}.{n}", 0)
    console.print(say(words.RESET, path=shown(workbook.path)))
    if kept:
        console.print(say(words.KEPT, path=shown(kept)))
