"""The words of a lesson's exercises: English as in exercises.py and solutions.py, or Chinese from a table beside them.

What is missing in the table is said in English.
"""

import functools
import hashlib
import re

from rich.cells import cell_len

from common.paths import REPOSITORY
from practice import words
from practice.lessons import Lesson, split_cells
from practice.words import say

WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"  # Chinese characters and punctuation, two columns each
OPENING, CLOSING = "（“《「", "，。：；？！）”》」、"
PIECE = re.compile(rf"[{OPENING}]*(?:[{WIDE}]|[^\s{WIDE}“”]+)[{CLOSING}]*\s*|\S\s*")  # what a line is never broken in
COLUMNS = 80  # of a Chinese task in a workbook


def title(lesson: Lesson, number: int) -> str:
    """What an exercise is called."""
    return _of(lesson, str(number)).get("title") or lesson.tasks[number - 1].title


def task(lesson: Lesson, number: int) -> str:
    """What is to be done in an exercise. A paragraph or an item of a list is a line."""
    return "\n".join(paragraphs(_of(lesson, str(number)).get("task") or english_task(lesson, number)))


def hint(lesson: Lesson, english: str) -> str:
    return _of(lesson, "hints").get(english) or english


def row(lesson: Lesson, label: str) -> str:
    """What a row of a trial is called: as a key says that has its form, and other keys of what stands in its places."""
    return _row(_of(lesson, "rows"), label)[1]


def _row(rows: dict[str, str], label: str) -> tuple[int, str]:
    """(how many of its characters the keys have, what it is called) where they have the most."""
    best = (0, label)
    for key, chinese in rows.items():
        if chinese and (match := pattern(key).fullmatch(label)):
            parts = [_row(rows, part) for part in match.groups()]
            count = len(key.replace("{}", "")) + sum(count for count, _ in parts)
            if count > best[0]:
                best = (count, chinese.format(*(said for _, said in parts)))
    return best


@functools.cache
def pattern(key: str) -> re.Pattern:
    """What matches each label that has this form; `{}` stands for what varies."""
    return re.compile("(.*?)".join(map(re.escape, key.split("{}"))), re.DOTALL)


def section(lesson: Lesson, which: int | str) -> str:
    """Where notes speak of it, 4 or "Course05 4": Course08-Conv2d/notes.md, section 4: Predict the output size"""
    *course, number = str(which).split()
    folder = next(REPOSITORY.glob(f"{course[0]}-*")) if course else lesson.folder
    chinese = folder / "notes.zh-CN.md"
    page = chinese if words.is_chinese() and chinese.exists() else folder / "notes.md"
    heading = re.search(rf"^## {number}\. (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    place = {"page": f"{folder.name}/{page.name}", "number": number}
    return say(words.SECTION_TITLED, **place, title=heading[1]) if heading else say(words.SECTION, **place)


def starter(lesson: Lesson) -> str:
    """exercises.py with the titles and tasks of the chosen language. Its code is the same."""
    first, *cells = split_cells(lesson.starter)
    texts = [first.text.replace(words.HEAD, say(words.HEAD)).replace(words.ALSO, say(words.ALSO))]
    for cell in cells:
        mark, comment, code = cell.parts
        if cell.number:
            mark = mark.replace(lesson.tasks[cell.number - 1].title, title(lesson, cell.number), 1)
            if "task" in _of(lesson, str(cell.number)):
                lines = (line for each in task(lesson, cell.number).split("\n") for line in wrapped(each, COLUMNS - 2))
                comment = "".join(f"{f'# {line}'.rstrip()}\n" for line in lines)
        texts.append(mark + comment + code)
    return "".join(texts)


def in_words(what: str | list, lesson: Lesson) -> str:
    """What words.told() has kept, in the chosen language."""
    if isinstance(what, str):
        return what
    english, values = what
    return say(english, **{name: _value(lesson, name, value) for name, value in values.items()})


def _value(lesson: Lesson, name: str, value: str | float | list) -> str | float:
    if isinstance(value, list):
        return in_words(value, lesson)
    if name == "what":
        return row(lesson, value)
    is_text = isinstance(value, str) and re.fullmatch(r"'.* .*'", value)  # expected 'about half'
    return f"'{row(lesson, value[1:-1])}'" if is_text else value


def _of(lesson: Lesson, name: str) -> dict:
    """A part of the lesson's table; nothing in English."""
    return words.table(lesson.folder).get(name, {}) if words.is_chinese() else {}


# ---- The English, from which is translated ---------------------------------------------------------------------------


def english_task(lesson: Lesson, number: int) -> str:
    """The comment below the mark of an exercise, without the `# `."""
    (cell,) = (cell for cell in split_cells(lesson.starter) if cell.number == number)
    return re.sub(r"^# ?", "", cell.parts[1], flags=re.MULTILINE).strip("\n")


def task_fingerprint(lesson: Lesson, number: int) -> str:
    """The fingerprint of the English title and task: whoever changes them is told that the translation is stale."""
    return fingerprint(f"{lesson.tasks[number - 1].title} {english_task(lesson, number)}")


def fingerprint(text: str) -> str:
    """Eight digits that change with the words, and not with the line breaks."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]


# ---- Lines -----------------------------------------------------------------------------------------------------------


def paragraphs(text: str) -> list[str]:
    """The lines of a text without the line breaks in its paragraphs. Code, which is indented by four spaces, stays."""
    lines = [""]
    for line in text.strip("\n").split("\n"):
        before, is_code = lines[-1], line.startswith("    ") or lines[-1].startswith("    ")
        if is_code or not before.strip() or not line.strip() or re.match(r" *(-|\d+\.) ", line):
            lines.append(line)
        else:
            both = before[-1] + line.lstrip()[0]
            glue = "" if re.fullmatch(rf"[{WIDE}]{{2}}|[{CLOSING}].|.[{OPENING}]", both) else " "
            lines[-1] = before + glue + line.strip()
    return lines[1:]


def wrapped(line: str, width: int) -> list[str]:
    """A line in lines of at most that many columns; code stays. Chinese may be broken between any two characters."""
    if line.startswith("    ") or not line.strip():
        return [line]
    begin = re.match(r" *(?:(?:-|\d+\.) )?", line)[0]
    lines = [begin]
    for piece in PIECE.findall(line[len(begin) :]):
        if cell_len(lines[-1] + piece.rstrip()) > width and lines[-1].strip(" -"):
            lines.append(" " * len(begin))
        lines[-1] += piece
    return [line.rstrip() for line in lines]
