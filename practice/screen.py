"""What a learner sees, in 80 columns: with colours on a terminal that has them, and plain text elsewhere."""

import contextlib
import sys
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from common.paths import shown
from practice import words
from practice.judge import Judged
from practice.lessons import Lesson, Task, Verdict, split_cells
from practice.workbook import Workbook

SIGNS = {"done": ("✓", "+", "green"), "todo": ("·", ".", "dim"), "wrong": ("✗", "x", "red")}


def make_console() -> Console:
    """A console that prints text as it is, whatever the terminal can show."""
    with contextlib.suppress(AttributeError):  # a notebook's stream, which can show everything
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, markup=False, emoji=False, force_jupyter=False)


def can_show(console: Console, text: str) -> bool:
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return False
    return True


def plain(text: str) -> str:
    """One line without control characters, which a learner's program may have printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split(" ")).rstrip()


def sign(console: Console, state: str) -> Text:
    nice, simple, colour = SIGNS[state]
    return Text(nice if can_show(console, nice) else simple, colour)


def bar(console: Console, done: int, total: int, width: int = 30) -> Text:
    """━━━━━━━━━━────────────── 12 of 105"""
    full, rest = ("━", "─") if can_show(console, "━─") else ("#", "-")
    filled = width * done // max(total, 1) or min(done, 1)
    words_ = words.PROGRESS.format(done=done, total=total)
    return Text.assemble((full * filled, "green"), (rest * (width - filled), "dim"), f"  {words_}")


def row(*cells, ratio: int = 1) -> Table:
    """Texts side by side: the one at `ratio` takes the room that is left; those behind it stand at the right."""
    grid = Table.grid(padding=(0, 1), expand=True)
    for i, _ in enumerate(cells):
        grid.add_column(ratio=1 if i == ratio else None, justify="right" if i > ratio else "left", no_wrap=True)
    grid.add_row(*cells)
    return grid


def show_lesson(console: Console, workbook: Workbook, judged: Judged, standing: tuple[int, int]) -> None:
    """How far one is, the lesson's exercises, and what is wrong; or, where nothing is, the next task."""
    lesson, verdicts = workbook.lesson, judged.verdicts
    title = Text.assemble((f"{lesson.number} {lesson.name[9:]}", "bold"))
    console.print(row(title, bar(console, *standing), ratio=0))
    console.print()
    show_verdicts(console, lesson, verdicts, workbook, judged.notes)
    todo = [task for task in lesson.tasks if verdicts[task.number].state == "todo"]
    if todo and all(verdict.state != "wrong" for verdict in verdicts.values()):
        show_task(console, workbook, todo[0])


def show_verdicts(
    console: Console,
    lesson: Lesson,
    verdicts: dict[int, Verdict],
    workbook: Workbook | None = None,
    notes: Iterable[str] = (),
) -> None:
    """A line for each exercise, then what is wrong with those that are."""
    for task in lesson.tasks:
        if task.number in verdicts:
            about = Text(f"{task.kind}  {words.MINUTES.format(minutes=task.minutes):>6}", "dim")
            title = Text(f"{task.number}. {task.title}", "" if verdicts[task.number].state != "done" else "dim")
            console.print(row(sign(console, verdicts[task.number].state), title, about))
    for note in notes:
        console.print()
        console.print(row(sign(console, "wrong"), Text(plain(note), overflow="fold")))
    for task in lesson.tasks:
        verdict = verdicts.get(task.number)
        if verdict and verdict.state == "wrong":
            console.print()
            show_wrong(console, lesson, task, verdict, workbook)


def show_wrong(console: Console, lesson: Lesson, task: Task, verdict: Verdict, workbook: Workbook | None) -> None:
    title, place = f"{task.number}. {task.title}", place_of(workbook, task.number) if workbook else ""
    is_long = cell_len(title) + cell_len(place) + 4 > console.width
    console.print(row(sign(console, "wrong"), Text(title, "bold"), Text("" if is_long else place, "cyan")))
    if is_long:
        console.print(Padding(Text(place, "cyan"), (0, 0, 0, 2)))
    section = [words.READ.format(section=lesson.section(verdict.section))] if verdict.section and verdict.hint else []
    printed = [*verdict.printed[:5], *(["…"] if len(verdict.printed) > 5 else [])]
    parts = [(verdict.told, ""), (verdict.hint, "yellow"), *((line, "dim") for line in section)]
    for text, style in [*parts, *((f"| {line}", "dim") for line in printed)]:
        if text:
            console.print(Padding(Text(plain(text), style), (0, 0, 0, 2)))


def show_task(console: Console, workbook: Workbook, task: Task) -> None:
    """The comment under the title of an exercise, as much of it as fits on the screen."""
    (cell,) = (cell for cell in split_cells(workbook.lesson.starter) if cell.number == task.number)
    lines = [line.removeprefix("#").removeprefix(" ") for line in cell.text.splitlines()[1:] if line.startswith("#")]
    room = console.height - len(workbook.lesson.tasks) - 8 if console.is_terminal else len(lines)
    console.print()
    console.print(Text(f"{task.number}. {task.title}", "bold"))
    for line in lines[: max(room, 3)]:
        console.print(Padding(Text(line), (0, 0, 0, 2)))
    if len(lines) > max(room, 3):
        console.print(Text(f"  {words.MORE.format(count=len(lines) - max(room, 3))}", "dim"))
    console.print()
    console.print(Text(words.NEXT.format(place=place_of(workbook, task.number)), "cyan"))


def place_of(workbook: Workbook, number: int) -> str:
    """workbook/Course08-Conv2d.py:34, the line where an exercise begins; editors and terminals open that."""
    cells = split_cells(workbook.read())
    lines = [cell.first_line for cell in cells if cell.number == number]
    return f"{shown(workbook.path)}:{lines[0] if lines else 1}"


def show_list(console: Console, judged: dict[Lesson, Judged], standing: tuple[int, int]) -> None:
    """A line for each lesson: a sign for each exercise, how many are done, and the minutes of the others."""
    for lesson, one in judged.items():
        verdicts = one.verdicts
        signs = Text.assemble(*(sign(console, verdict.state) for verdict in verdicts.values()))
        left = sum(task.minutes for task in lesson.tasks if verdicts[task.number].state != "done")
        done = sum(verdict.state == "done" for verdict in verdicts.values())
        count = Text(words.PROGRESS.format(done=done, total=len(verdicts)))
        minutes = Text(f"{words.MINUTES.format(minutes=left) if left else '':>8}", "dim")
        console.print(row(Text(lesson.number), Text(lesson.name[9:]), signs, count, minutes))
    console.print(bar(console, *standing))
    for note in (note for one in judged.values() for note in one.notes):
        console.print(Text(plain(note), "red"))


def show_report(console: Console, found: dict) -> None:
    """A line for each learner: how many exercises of each lesson are done, then of all."""
    numbers = sorted({number for lessons in found["learners"].values() for number in lessons})
    width = max(cell_len(name) for name in found["learners"])
    width = min(width, max(12, console.width - 3 * len(numbers) - 11))
    console.print(Text(f"{'':{width}}  {' '.join(numbers)}  all of {found['total']}", "dim"), no_wrap=True)
    for name, lessons in found["learners"].items():
        done = {number: list(lessons[number].values()).count("done") for number in lessons}
        counts = " ".join(f"{done.get(number, '.'):>2}" for number in numbers)
        console.print(Text(f"{set_cell_size(plain(name), width)}  {counts}  {sum(done.values())}"), no_wrap=True)
    for reason in found["left out"]:
        console.print(Text(words.LEFT_OUT.format(names=reason), "dim"))
