"""The lessons that have exercises, and what their two files hold."""

import functools
import importlib.util
import itertools
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from common import UserError
from common.paths import REPOSITORY
from practice import words
from practice.words import say

KINDS = (words.PREDICT, words.WRITE, words.MEND, words.FIND_OUT)
MARK = re.compile(r"^# %%(?: (\d+)\.)? *(.*)$", re.MULTILINE)
TITLE = re.compile(rf"(.+) \(({'|'.join(KINDS)}), (\d+) min\)")


@dataclass(frozen=True)
class Cell:
    """A piece of a file, from one `# %%` to the next. Exercises have a number; other cells have none."""

    number: int | None
    title: str
    first_line: int  # counted from 1; that of the mark
    text: str  # with the mark

    @property
    def parts(self) -> tuple[str, str, str]:
        """The mark, the comment below it, which is the task of an exercise, and the code: the same in each language."""
        return re.fullmatch(r"((?:# %%.*\n)?)((?:#.*\n)*)((?s:.*))", self.text).groups()

    @property
    def code(self) -> str:
        return self.parts[2].strip()


@dataclass(frozen=True)
class Task:
    """What stands in the title of an exercise: `# %% 2. The size formula (write, 10 min)`."""

    number: int
    title: str
    kind: str  # one of KINDS
    minutes: int


def split_cells(text: str) -> list[Cell]:
    """The cells of a file; what stands before the first mark is a cell without a title."""
    marks = list(MARK.finditer(text))
    starts = [0, *(mark.start() for mark in marks), len(text)]
    found = [(None, "")] + [(int(mark[1]) if mark[1] else None, mark[2].strip()) for mark in marks]
    return [
        Cell(number, title, text.count("\n", 0, start) + 1, text[start:end])
        for (number, title), (start, end) in zip(found, itertools.pairwise(starts), strict=True)
    ]


def codes_of(text: str) -> list[str]:
    """The code of each cell of a file; what stands above the first mark may be anything."""
    return [cell.code for cell in split_cells(text)[1:]]


@dataclass(frozen=True)
class Verdict:
    """What became of an exercise: "done", "todo" or "wrong"; what is told of it; and the hint of a known mistake.

    It is kept, and shown in any language: so `told` is words.told(), and the hint is in English.
    """

    state: str
    told: str | list = ""
    hint: str = ""
    section: int | str | None = None
    printed: list[str | list] = field(default_factory=list)  # the first lines that the cell and its trial printed


@dataclass(frozen=True)
class Lesson:
    """A lesson with exercises."""

    folder: Path

    @property
    def name(self) -> str:
        """Course08-Conv2d"""
        return self.folder.name

    @property
    def number(self) -> str:
        """08"""
        return self.name[6:8]

    @functools.cached_property
    def starter(self) -> str:
        """The text of exercises.py, of which a workbook is a copy."""
        return (self.folder / "exercises.py").read_text(encoding="utf-8")

    @functools.cached_property
    def tasks(self) -> list[Task]:
        """The exercises by their titles; nothing is imported for that."""
        titles = [(cell.number, TITLE.fullmatch(cell.title)) for cell in split_cells(self.starter) if cell.number]
        return [Task(number, title[1], title[2], int(title[3])) for number, title in titles]

    def exercises(self) -> list:
        """The exercises of solutions.py, which imports PyTorch."""
        return load_solutions(self.folder / "solutions.py").EXERCISES


@functools.cache
def load_solutions(path: Path):
    """solutions.py as a module, known by its name, so that the source of its classes can be read."""
    name = f"solutions_of_{path.parent.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_lessons() -> list[Lesson]:
    """Every lesson with exercises, in order."""
    return [Lesson(path.parent) for path in sorted(REPOSITORY.glob("Course[0-9][0-9]-*/exercises.py"))]


def find(which: str) -> tuple[Lesson, int | None]:
    """The lesson and the number of an exercise that "08.2", "8" or "Course08-Conv2d" mean. UserError for others."""
    match = re.fullmatch(r"(?:Course)?(\d{1,2})(?:-\w+)*(?:\.(\d+))?/?", which)
    lessons = {lesson.number: lesson for lesson in all_lessons()}
    lesson = lessons.get(f"{int(match[1]):02}") if match else None
    if lesson is None:
        raise UserError(say(words.NO_LESSON, which=which))
    number = int(match[2]) if match[2] else None
    if number is not None and number not in {task.number for task in lesson.tasks}:
        raise UserError(say(words.NO_EXERCISE, lesson=lesson.number, last=len(lesson.tasks), number=number))
    return lesson, number
