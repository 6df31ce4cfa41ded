"""A learner's copies of the exercises: one plain file a lesson, made once and never overwritten."""

import hashlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from common import UserError
from common.paths import atomic_write, home, make_folder, shown
from practice import messages, words
from practice.lessons import Lesson, split_cells
from practice.words import say


def workbook_folder() -> Path:
    """Where the copies lie. It may not exist yet."""
    return home() / "workbook"


@dataclass(frozen=True)
class Workbook:
    """The copy of one lesson's exercises.py. It may not exist yet."""

    lesson: Lesson
    path: Path

    def make(self) -> None:
        """Copy exercises.py, unless there is a copy. UserError where that is not allowed."""
        if not self.path.exists():
            make_folder(self.path.parent)
            with atomic_write(self.path) as beside:
                beside.write_text(self.fresh, encoding="utf-8")

    @property
    def digest(self) -> str:
        """Eight digits that stand for exercises.py as it is now. The first line of a copy has them."""
        return hashlib.sha256(self.lesson.starter.encode()).hexdigest()[:8]

    @property
    def fresh(self) -> str:
        """What a new copy holds: a line that says so, then exercises.py in the chosen language."""
        first_line = say(words.FIRST_LINE, file=f"{self.lesson.name}/exercises.py", digest=self.digest)
        return f"{first_line}\n{messages.starter(self.lesson)}"

    def read(self) -> str:
        """The text; that of the starter where there is no copy. UserError for what is no text in UTF-8."""
        if not self.path.exists():
            return self.fresh
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(say(words.NOT_UTF8, path=shown(self.path))) from None
        except OSError as error:
            problem = {"path": shown(self.path), "problem": error.strerror, "lesson": self.lesson.number}
            raise UserError(say(words.UNREADABLE, **problem)) from None

    def is_outdated(self) -> bool:
        """Whether exercises.py has changed since this copy was made of it."""
        pattern = r"^# .*/exercises\.py\W+([0-9a-f]{8})\b"  # in each language; below a notebook's header, maybe
        of = re.search(pattern, self.read(), re.MULTILINE)
        return bool(of) and of[1] != self.digest

    def missing(self) -> list[int]:
        """The exercises that have no cell in it."""
        there = {cell.number for cell in split_cells(self.read())}
        return [task.number for task in self.lesson.tasks if task.number not in there]

    def reset(self, number: int | None = None) -> Path | None:
        """Make the file anew, or the cell of that number. Returns where the old file is kept."""
        if not self.path.exists():
            return self.make()
        text = self.fresh if number is None else self.with_cell_of_starter(number)
        names = (self.path.with_suffix(f".old-{n}.py") for n in itertools.count(1))
        kept = next(path for path in names if not path.exists())
        with atomic_write(self.path, keep_old_as=kept) as beside:
            beside.write_text(text, encoding="utf-8")
        return kept

    def with_cell_of_starter(self, number: int) -> str:
        """The text with one cell as it stood there first; where it was missing, it comes before the later ones."""
        (fresh,) = (cell.text for cell in split_cells(self.fresh) if cell.number == number)
        cells = split_cells(self.read())
        old = [i for i, cell in enumerate(cells) if cell.number == number]
        later = [i for i, c in enumerate(cells) if c.title == "Check" or (c.number or 0) > number]
        place = (old or later or [len(cells)])[0]
        texts = [cell.text for cell in cells]
        if place == len(cells):
            texts[-1] = f"{texts[-1].rstrip()}\n\n\n"
        texts[place : place + bool(old)] = [fresh]
        return "".join(text for i, text in enumerate(texts) if i not in old[1:])
