"""Runs the lessons, for the tests and the tools: each one once, with what it printed and what it left."""

import contextlib
import functools
import importlib.util
import io
import os
import re
import runpy
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import torch
from markup import FENCED, links, split_at_headings
from PIL import Image, ImageChops, ImageStat

from common.paths import REPOSITORY, home
from trainer import commands

LESSONS = sorted(folder.name for folder in REPOSITORY.glob("Course[0-9][0-9]-*") if any(folder.glob("*.py")))
CAPSTONE = ("Course19-TrainGPU", "Course20-ModelTest")
PROGRAMS = (*CAPSTONE, "Course21-SpeedRun")  # the lessons that are no flat script
BESIDE = {"drawing.py", "workers.py", "exercises.py", "solutions.py"}  # what a lesson may have beside its script
MEASURING = {  # measure for the notes, or stand beside a program
    "Course16-ModifyNN": {"transfer_helps.py"},
    "Course19-TrainGPU": {"speed.py", "choose_by_test.py", "transfer_table.py"},
    "Course21-SpeedRun": {"measuring.py", "muon.py", "mistakes.py"},
}


@dataclass
class Run:
    """What a lesson did."""

    printed: str  # with paths as somebody in the repository would see them
    names: dict  # the variables that the script left behind


@dataclass(frozen=True)
class Page:
    """A script, the notes that explain its cells, and the notebook that is woven from both."""

    folder: str  # of the lesson
    script: Path
    notes: Path
    notebook: Path

    def __str__(self):
        """Course08-Conv2d, or Course19-TrainGPU/two_ways where a page stands beside the lesson's own."""
        return self.folder if self.is_lesson else f"{self.folder}/{self.script.stem}"

    @property
    def is_lesson(self) -> bool:
        """Whether this is the lesson itself, and not a page beside it."""
        return self.notes.name == "notes.md"

    @property
    def number(self) -> int:
        """The lesson's number."""
        return int(self.folder[6:8])

    @property
    def is_woven(self) -> bool:
        """Whether it is a notebook as well: all pages in cells, and not the programs."""
        return not (self.is_lesson and self.folder in PROGRAMS)

    def read(self) -> tuple[str, str]:
        """The text of the notes, and that of the script."""
        return self.notes.read_text(encoding="utf-8"), self.script.read_text(encoding="utf-8")


def script_of(lesson: str) -> Path:
    """The lesson's script: the one Python file whose cells notes.md explains."""
    scripts = {path.name for path in (REPOSITORY / lesson).glob("*.py")}
    scripts -= BESIDE | MEASURING.get(lesson, set()) | {page.script.name for page in pages_beside(lesson)}
    (name,) = scripts & {"train.py", "test.py"} or scripts
    return REPOSITORY / lesson / name


def pages_beside(lesson: str) -> list[Page]:
    """The pages that a lesson has beside its own: every script that has notes of its own name, NAME.py and NAME.md."""
    scripts = sorted((REPOSITORY / lesson).glob("*.py"))
    beside = [script for script in scripts if script.with_suffix(".md").exists()]
    return [Page(lesson, path, path.with_suffix(".md"), path.with_suffix(".ipynb")) for path in beside]


def pages_of(lesson: str) -> list[Page]:
    """All pages of a lesson, its own first."""
    folder = REPOSITORY / lesson
    own = Page(lesson, script_of(lesson), folder / "notes.md", folder / "lesson.ipynb")
    return [own, *pages_beside(lesson)]


def chosen(things: list, names: list[str]) -> list:
    """The lessons or pages whose names begin with one of these; all where none is given. Exit code 2 for others."""
    for name in names:
        if not any(str(thing).startswith(name.rstrip("/")) for thing in things):
            print(f"nothing here is called {name!r}; there are {', '.join(map(str, things))}", file=sys.stderr)
            sys.exit(2)
    return [thing for thing in things if not names or any(str(thing).startswith(name.rstrip("/")) for name in names)]


def load_module(path: Path) -> ModuleType:
    """A script as a module, though the hyphen in its folder's name keeps `import` from it."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}.{path.stem}".replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def importable(folder: Path):
    """Scripts of this folder import each other, as where one of them is run by its path."""
    names = [path.stem for path in folder.glob("*.py")]
    before = {name: sys.modules.pop(name, None) for name in names}  # other folders have a train.py, too
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module:
                sys.modules[name] = module


def run_script(script: Path) -> Run:
    """Run a flat script now, in the home of the tests."""
    return _captured(lambda: _run_flat(script))


@functools.cache
def run_lesson(lesson: str) -> Run:
    """Run the lesson as its notes say: a flat script as it is; a program with the options that they name."""
    if lesson in PROGRAMS:
        return _captured(lambda: _run_program(lesson))
    return run_script(script_of(lesson))


@functools.cache
def run_page(page: Page) -> Run:
    """Run a page's script."""
    return run_lesson(page.folder) if page.is_lesson else run_script(page.script)


def _captured(run: Callable[[], dict]) -> Run:
    printed = io.StringIO()
    before = Path.cwd(), sys.argv, torch.random.get_rng_state()
    os.chdir(home())
    try:
        with contextlib.redirect_stdout(printed):
            names = run()
        text = printed.getvalue()  # after `make train` in a folder that needs no quotes, it reads:
        text = text.replace(commands.quoted(commands.interpreter()), ".venv/bin/python")
        text = text.replace(commands.quoted(commands.TEST), commands.TEST.relative_to(REPOSITORY).as_posix())
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
        torch.random.set_rng_state(before[2])
        plt.close("all")
    text = text.replace(f"{REPOSITORY}{os.sep}", "").replace(f"{home()}{os.sep}", "").replace(os.sep, "/")
    return Run(text, names)


def _run_flat(script: Path) -> dict:
    sys.argv = [str(script)]
    names = runpy.run_path(str(script), run_name="__main__")
    if (drawing := script.with_name("drawing.py")).exists():  # the pictures whose drawing is no part of the lesson
        runpy.run_path(str(drawing), run_name="__main__")
    return names


def _run_program(lesson: str) -> dict:
    """Course19: one default run. Course20: the course's network, then that run measured, then used on eight files.

    Course21: a look at every rung, and the mistakes.
    """
    if lesson == "Course21-SpeedRun":
        with importable(REPOSITORY / lesson):
            module = load_module(script_of(lesson))
            assert module.main(module.LADDER, ["--quick", "--device", "cpu"]) == 0
            runpy.run_path(str(REPOSITORY / lesson / "mistakes.py"), run_name="__main__")
        return vars(module)
    module = load_module(script_of(lesson))
    if lesson == "Course19-TrainGPU":
        assert module.main([]) == 0
    else:
        run_lesson("Course19-TrainGPU")
        assert module.main(["--checkpoint", "course", "--data", "drawn"]) == 0
        assert module.main([]) == 0
        assert module.main(save_test_pictures()) == 0
    return vars(module)


def save_test_pictures() -> list[str]:
    """Eight drawn test pictures as files, drawn large as photographs are: pictures/ship.png …"""
    from torchvision.transforms.v2.functional import to_pil_image

    from common.drawn import CIFAR_CLASSES, draw_cifar

    folder = Path("pictures")
    folder.mkdir(exist_ok=True)
    labels = torch.tensor([8, 3, 1, 7, 6, 0, 5, 9])
    paths = [folder / f"{CIFAR_CLASSES[label]}.png" for label in labels]
    for path, image in zip(paths, draw_cifar(labels, seed=2026, size=160), strict=True):
        to_pil_image(image).save(path)
    return [path.as_posix() for path in paths]


def drawn_figure(lesson: str, name: str) -> Path:
    """Where the run of a lesson left a picture of that name. FileNotFoundError where it drew none."""
    found = [*home().glob(f"outputs/{lesson}/{name}"), *home().glob(f"checkpoints/{lesson}/*/{name}")]
    if not found:
        raise FileNotFoundError(f"{lesson} does not draw {name}")
    return found[0]


PAGES = [page for lesson in LESSONS for page in pages_of(lesson)]
WOVEN = [page for page in PAGES if page.is_woven]


# ---- The parts of notes and scripts ----------------------------------------------------------------------------------

SECOND_READING_HEADING = "# Second reading"
SECOND_READING_LINE = re.compile(r"^# -+ Second reading -*$\n?", re.MULTILINE)


def split_notes(markdown: str) -> tuple[str, str]:
    """The core of the notes, and the second reading: all from the heading on."""
    parts = split_at_headings(markdown, levels=(1,))
    count = next((n for n, part in enumerate(parts) if _title(part) == SECOND_READING_HEADING), len(parts))
    return "".join(parts[:count]), "".join(parts[count:])


def split_script(script: str) -> tuple[str, str]:
    """The core of a script, and the second reading: all from the line on."""
    line = SECOND_READING_LINE.search(script)
    return (script[: line.start()], script[line.start() :]) if line else (script, "")


def unnumbered(markdown: str) -> dict[str, str]:
    """The sections without a number: title -> text."""
    parts = {_title(part).removeprefix("## "): part for part in split_at_headings(markdown)}
    return {title: part for title, part in parts.items() if not re.match(r"#|\d+\. ", title)}


def _title(part: str) -> str:
    return part.split("\n", 1)[0].rstrip()


def words(text: str) -> int:
    """As `wc -w` counts them."""
    return len(text.split())


def size(page: Page) -> tuple[int, int, int, int]:
    """Words of the notes and cells of the script in the core, and words and cells in the second reading."""
    markdown, script = page.read()
    parts = zip(split_notes(markdown), split_script(script), strict=True)
    return tuple(number for text, code in parts for number in (words(text), len(cells(code))))


def sections(markdown: str) -> list[str]:
    """The numbered section titles: "## 3. Predict, then look" -> "3. Predict, then look"."""
    return re.findall(r"^## (\d+\. .+?)\s*$", FENCED.sub("", markdown), re.MULTILINE)


def cells(script: str) -> list[str]:
    """The numbered cell titles: "# %% 3. Predict, then look" -> "3. Predict, then look"."""
    return re.findall(r"^# %% (\d+\. .+?)\s*$", script, re.MULTILINE)


def blocks(markdown: str, language: str) -> list[tuple[str, str]]:
    """All fenced blocks of a language, as (the rest of the opening line, text)."""
    found = re.findall(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```\s*$", markdown, re.MULTILINE | re.DOTALL)
    return [(info.strip(), textwrap.dedent(text)) for _, name, info, text in found if name == language]


def shown_figures(lesson: str) -> list[str]:
    """The pictures of its own that a lesson shows, on any of its pages: "figures/curves.png"."""
    targets = [target for page in pages_of(lesson) for target in links(page.notes.read_text(encoding="utf-8"))]
    return sorted({target for target in targets if target.startswith("figures/")})


# ---- Notes against runs ----------------------------------------------------------------------------------------------


def is_printed(block: str, printed: str, same=str.__eq__) -> bool:
    """Whether the block's lines stand in what was printed, one right after the other; `...` is for left-out lines."""
    lines = [line.rstrip() for line in printed.splitlines()]
    wanted = [line.rstrip() for line in block.rstrip().splitlines()]
    breaks = [i for i, line in enumerate(wanted) if line.strip() == "..."]
    start = 0
    for first, last in zip([-1, *breaks], [*breaks, len(wanted)], strict=True):
        run = wanted[first + 1 : last]
        for at in range(start, len(lines) - len(run) + 1):
            if all(same(a, b) for a, b in zip(run, lines[at:], strict=False)):
                start = at + len(run)
                break
        else:
            return False
    return True


NUMBER = re.compile(r"\d[\d,]*\.?\d*")


def about_same(noted: str, printed: str) -> bool:
    """Whether two lines are equal but for numbers that depend on the machine: training adds up differently on each CPU.

    Seconds are free. Shares (12.3%) may be off by 8 points, other broken numbers by a fifth, whole ones by a tenth.
    """
    if NUMBER.sub("#", noted).split() != NUMBER.sub("#", printed).split():
        return False
    for a, b in zip(NUMBER.finditer(noted), NUMBER.finditer(printed), strict=True):
        after = noted[a.end() :]
        x, y = float(a[0].replace(",", "")), float(b[0].replace(",", ""))
        if re.match(r" s\b", after):
            continue
        allowed = 8 if after.startswith("%") else abs(x) / (5 if "." in a[0] else 10)
        if abs(x - y) > allowed:
            return False
    return True


def alike(one, other, sizes: float = 0.02, pixels: float = 0.08) -> bool:
    """Whether two pictures show the same: sizes within 2 %, mean difference of all pixels below 8 % of full range."""
    a, b = Image.open(one).convert("RGB"), Image.open(other).convert("RGB")
    if any(abs(m - n) > sizes * m for m, n in zip(a.size, b.size, strict=True)):
        return False
    small = [image.resize((200, 100), Image.Resampling.BILINEAR) for image in (a, b)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean) / 3 < pixels * 255
