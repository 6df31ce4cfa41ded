"""The table of facts, facts.toml, as rows."""

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

EFFECTS = {
    "fails": "stops with an error",
    "warns": "runs with a warning",
    "wrong": "runs, and is wrong",
    "works": "still works",
}


@dataclass(frozen=True)
class Row:
    """One fact. `old` and `new` are programs that tests run; `effect` is what `old` does with the pinned versions."""

    id: str
    call: str  # the old call as the notes would write it
    write: str  # what to write instead
    effect: str  # one of EFFECTS
    lesson: str  # "16 §14 pretrained": the course, the section and a word of its title
    old: str
    new: str
    message: str = ""  # how the error or the warning begins, with its class
    or_message: str = ""  # the same, where PyTorch was built without CUDA
    does: str = ""  # for "works" and "wrong": what happens, in one line
    gives: str = ""  # for "wrong": the `result` of `old`, which `does` must name
    gives_today: str = ""
    why: str = ""
    notes: tuple[str, ...] = ()  # the rows of the lessons' tables that say the same: "16 `vgg16(pretrained=True)`"
    also: tuple[str, ...] = ()  # other rows that the program `old` meets on its way
    by_eye: bool = False  # no rule can tell it from the syntax alone: it is in the notes, and never reported
    gpu: bool = False  # the statement is about a computer without an NVIDIA GPU
    fix: dict = field(default_factory=dict)  # the change that is certain: see proposal.py

    # What to look for. A row without names, methods and modules has a function in rules.py or mistakes.py.
    names: tuple[str, ...] = ()  # full names; * stands for one part
    methods: tuple[str, ...] = ()  # methods of anything
    modules: tuple[str, ...] = ()  # imported modules, and what lies in them
    needs: str = ""  # methods only: a package that the script must import
    use: str = "call"  # "call": only where the name is called; "any": wherever it stands
    has: tuple[str, ...] = ()  # one of these keyword arguments is given …
    value: tuple[str, ...] = ()  # … with one of these values
    other_value: tuple[str, ...] = ()  # … with none of these values
    lacks: str = ""  # this keyword argument is not given …
    place: int = 99  # … nor a positional argument in this place, counted from 0
    first: tuple[str, ...] = ()  # what the first positional argument is; * and ? as in file names
    args: tuple[int, int] = (0, 99)  # the least and the most positional arguments

    @property
    def says(self) -> str:
        """What the old call does today, in one line."""
        return ": ".join(filter(None, (self.does, self.message)))

    @property
    def course(self) -> str:
        """The lesson as people read it: "Course16 §14"."""
        return "Course" + " ".join(self.lesson.split()[:2])


@functools.cache
def table() -> tuple[dict[str, Row], str]:
    """All rows by their id, and the lines that stand before each `old` and `new`.

    A row with `each` is as many rows as `each` has entries: {0}, {1} … in its texts are replaced by theirs.
    """
    with Path(__file__).with_name("facts.toml").open("rb") as file:
        data = tomllib.load(file)
    rows = {}
    for entry in data["row"]:
        for words in entry.pop("each", [()]):
            row = _row({name: _filled(value, words) for name, value in entry.items()})
            if row.id in rows:
                raise ValueError(f"two rows are called {row.id}")
            rows[row.id] = row
    return rows, data["before"]


def _row(entry: dict) -> Row:
    if isinstance(entry.get("has"), str):
        entry["has"] = [entry["has"]]
    return Row(**{name: tuple(filter(lambda v: v != "", v)) if isinstance(v, list) else v for name, v in entry.items()})


def _filled(value, words: tuple[str, ...]):
    if isinstance(value, str):
        for i, word in enumerate(words):
            value = value.replace(f"{{{i}}}", word)
        return value
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    if isinstance(value, dict):
        return {name: _filled(item, words) for name, item in value.items()}
    return value
