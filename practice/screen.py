"""What a learner sees, in 80 columns: with colours on a terminal that has them, and plain text elsewhere."""

import contextlib
import sys
from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from common.paths import shown
from practice import messages, words
from practice.judge import Judged
from practice.lessons import Lesson, Task, Verdict, split_cells
from practice.messages import in_words, wrapped
from practice.words import say
from practice.workbook import Workbook

SIGNS = {"done": ("✓", "+", "green"), "todo": ("·", ".", "dim"), "wrong": ("✗", "x", "red")}


def make_console() -> Console:
    """A console that prints text as it is. What the terminal cannot show becomes a question mark."""
    with contextlib.suppress(AttributeError):  # a notebook's stream, which can show everything
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, markup=False, emoji=False, force_jupyter=False)


def show_lesson(
    console: Console,
    workbook: Workbook,
    judged: Judged,
    standing: tuple[int, int],
    news: Iterable[int] = (),
    above: str = "",
) -> None:
    """How far one is, the lesson's exercises, and what is wrong, what is new first; else the next task.

    On a terminal, only what fits on it: nothing scrolls away.
    """
    lesson, verdicts = workbook.lesson, judged.verdicts
    parts = [Text(above, "green")] if above else []
    parts += [row(Text(title_of(lesson), "bold"), bar(console, *standing), wide=0), Text()]
    parts += [exercise_row(console, lesson, task, verdicts[task.number]) for task in lesson.tasks]
    parts += [Padding(Text(plain(in_words(note, lesson)), "red"), (1, 0, 0, 0)) for note in judged.notes]
    if workbook.is_outdated():
        parts.append(Text("\n" + say(words.OLD_STARTER, number=lesson.number), "yellow"))
    faulty = [task for task in lesson.tasks if verdicts[task.number].state == "wrong"]
    faulty.sort(key=lambda task: task.number not in news)
    wrong = [what_is_wrong(console, lesson, task, verdicts[task.number], workbook) for task in faulty]
    todo = [task for task in lesson.tasks if verdicts[task.number].state == "todo"]
    room = console.height - 1 - height(console, *parts) if console.is_terminal else 10**6
    if todo and not wrong:
        wrong = [next_task(console, workbook, todo[0], room - 5)]
    for i, part in enumerate(wrong):
        room -= height(console, part)
        if i and room < 1:
            parts.append(Text("\n" + say(words.MORE_WRONG, count=len(wrong) - i), "dim"))
            break
        parts.append(part)
    console.print(Group(*parts))


def show_verdicts(
    console: Console, lesson: Lesson, verdicts: dict[int, Verdict], workbook: Workbook | None = None
) -> None:
    """A line for each exercise that there is a verdict on, then all that is wrong with them."""
    tasks = [task for task in lesson.tasks if task.number in verdicts]
    console.print(*(exercise_row(console, lesson, task, verdicts[task.number]) for task in tasks), sep="")
    for task in tasks:
        if verdicts[task.number].state == "wrong":
            console.print(what_is_wrong(console, lesson, task, verdicts[task.number], workbook))


def show_list(console: Console, judged: dict[Lesson, Judged], standing: tuple[int, int]) -> None:
    """A line for each lesson: a sign for each exercise, how many are done, and the minutes of the others."""
    for lesson, one in judged.items():
        signs = Text.assemble(*(sign(console, verdict.state) for verdict in one.verdicts.values()))
        left = sum(task.minutes for task in lesson.tasks if one.verdicts[task.number].state != "done")
        count = say(words.PROGRESS, done=one.done, total=len(one.verdicts))
        minutes = say(words.MINUTES, minutes=left) if left else ""
        console.print(row(Text(title_of(lesson)), signs, Text(count), Text(f"{minutes:>8}", "dim"), wide=0))
    console.print(bar(console, *standing))
    for note in (in_words(note, lesson) for lesson, one in judged.items() for note in one.notes):
        console.print(Text(plain(note), "red"))


def show_report(console: Console, found: dict) -> None:
    """A line for each learner: how many exercises of each lesson are done, then of all."""
    numbers = sorted({number for lessons in found["learners"].values() for number in lessons})
    width = max(cell_len(name) for name in found["learners"])
    width = min(width, max(10, console.width - 3 * len(numbers) - 11))
    console.print(
        Text(f"{'':{width}}  {' '.join(numbers)}  {say(words.OF, total=found['total'])}", "dim"), no_wrap=True
    )
    for name, lessons in found["learners"].items():
        done = {number: list(states.values()).count("done") for number, states in lessons.items()}
        counts = " ".join(f"{done.get(number, '.'):>2}" for number in numbers)
        console.print(Text(f"{set_cell_size(plain(name), width)}  {counts}  {sum(done.values())}"), no_wrap=True)
    for reason in found["left out"]:
        console.print(Text(say(words.LEFT_OUT, names=plain(reason)), "dim"))


def show_line(console: Console, line: str, style: str = "") -> None:
    console.print(Text("\n".join(wrapped(line, console.width)), style))


# ---- The parts of a screen -------------------------------------------------------------------------------------------


def title_of(lesson: Lesson) -> str:
    return f"{lesson.number} {lesson.name[9:]}"


def title_of_task(lesson: Lesson, task: Task) -> str:
    return f"{task.number}. {messages.title(lesson, task.number)}"


def exercise_row(console: Console, lesson: Lesson, task: Task, verdict: Verdict) -> Table:
    about = f"{say(task.kind)}  {say(words.MINUTES, minutes=task.minutes):>6}"
    title = Text(title_of_task(lesson, task), "dim" if verdict.state == "done" else "")
    return row(sign(console, verdict.state), title, Text(about, "dim"), wide=1)


def what_is_wrong(console: Console, lesson: Lesson, task: Task, verdict: Verdict, workbook: Workbook | None) -> Group:
    """Which exercise and where, what came and what should have, the hint of a known mistake, what was printed."""
    title, place = title_of_task(lesson, task), place_of(workbook, task.number) if workbook else ""
    lines = [(in_words(verdict.told, lesson), ""), (messages.hint(lesson, verdict.hint), "yellow")]
    if verdict.hint and verdict.section:
        lines.append((say(words.READ, section=messages.section(lesson, verdict.section)), "dim"))
    printed = [in_words(line, lesson) for line in verdict.printed[:5]] + ["…"] * (len(verdict.printed) > 5)
    lines += [(f"| {line}", "dim") for line in printed]
    fits = cell_len(title) + cell_len(place) + 4 <= console.width
    if not fits:
        lines.insert(0, (place, "cyan"))
    head = row(sign(console, "wrong"), Text(title, "bold"), Text(place if fits else "", "cyan"), wide=1)
    return Group(Text(), head, *(indented(console, plain(line), style) for line, style in lines if line))


def next_task(console: Console, workbook: Workbook, task: Task, room: int) -> Group:
    """What is to be done, as much of it as fits into so many lines; and where."""
    text = messages.task(workbook.lesson, task.number)
    lines = [line for each in text.split("\n") for line in wrapped(each, console.width - 2)]
    if len(lines) > max(room, 3):
        lines[max(room, 3) - 1 :] = ["…"]
    where = say(words.NEXT, place=place_of(workbook, task.number))
    return Group(
        Text(f"\n{title_of_task(workbook.lesson, task)}", "bold"),
        *(indented(console, line) for line in lines),
        Text(f"\n{where}", "cyan"),
        Text(say(words.STUCK_HERE, which=f"{workbook.lesson.number}.{task.number}"), "dim"),
    )


def place_of(workbook: Workbook, number: int) -> str:
    """workbook/Course08-Conv2d.py:34, where an exercise begins: editors and terminals open that. Nothing without it."""
    lines = [cell.first_line for cell in split_cells(workbook.read()) if cell.number == number]
    return f"{shown(workbook.path)}:{lines[-1]}" if lines else ""


def row(*cells: Text, wide: int) -> Table:
    """Texts side by side. The one at `wide` takes the room that the others leave."""
    grid = Table.grid(padding=(0, 1), expand=True)
    for i in range(len(cells)):
        grid.add_column(ratio=1 if i == wide else None, justify="right" if i > wide else "left", no_wrap=True)
    grid.add_row(*cells)
    return grid


def indented(console: Console, line: str, style: str = "") -> Padding:
    return Padding(Text("\n".join(wrapped(line or " ", console.width - 2)), style), (0, 0, 0, 2), expand=False)


def height(console: Console, *parts: RenderableType) -> int:
    """How many lines they take."""
    return len(console.render_lines(Group(*parts)))


def sign(console: Console, state: str) -> Text:
    nice, simple, colour = SIGNS[state]
    return Text(simple if console.options.ascii_only else nice, colour)


def bar(console: Console, done: int, total: int, width: int = 30) -> Text:
    """━━━━━━━━━━────────────── 12 of 105"""
    full, rest = "#-" if console.options.ascii_only else "━─"
    filled = max(width * done // max(total, 1), min(done, 1))
    count = say(words.PROGRESS, done=done, total=total)
    return Text.assemble((full * filled, "green"), (rest * (width - filled), "dim"), f"  {count}")


def plain(text: str) -> str:
    """One line without control characters, which a learner's program may have printed."""
    return "".join(c if c.isprintable() else " " for c in text.replace("\n", " ")).rstrip()
