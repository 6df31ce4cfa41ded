"""Runs the lessons for the tests: each one once, in a home of its own, with what it printed and what it left."""

import contextlib
import functools
import importlib.util
import io
import os
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import matplotlib.pyplot as plt
import torch
from PIL import Image, ImageChops, ImageStat

from common.paths import REPOSITORY, home

LESSONS = sorted(folder.name for folder in REPOSITORY.glob("Course[0-9][0-9]-*") if any(folder.glob("*.py")))
CAPSTONE = ("Course19-TrainGPU", "Course20-ModelTest")
BESIDE = {"drawing.py", "workers.py"}  # programs that a lesson has beside its script
WOVEN = [lesson for lesson in LESSONS if lesson[6:8] <= "17"]  # those that are notebooks, too


@dataclass
class Run:
    """What a lesson did."""

    printed: str  # with paths as somebody in the repository would see them
    names: dict  # the variables that the script left behind


def script_of(lesson: str) -> Path:
    """The lesson's script: the one Python file whose cells notes.md explains."""
    scripts = {path.name for path in (REPOSITORY / lesson).glob("*.py")} - BESIDE
    (name,) = scripts & {"train.py", "test.py"} or scripts
    return REPOSITORY / lesson / name


def load_module(path: Path) -> ModuleType:
    """A script as a module, though the hyphen in its folder's name keeps `import` from it."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}.{path.stem}".replace("-", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def run_lesson(lesson: str) -> Run:
    """Run the lesson as its notes say: a flat script as it is; the capstone with its default options."""
    printed = io.StringIO()
    before = Path.cwd(), sys.argv, torch.random.get_rng_state()
    os.chdir(home())
    try:
        with contextlib.redirect_stdout(printed):
            names = _run_capstone(lesson) if lesson in CAPSTONE else _run_flat(lesson)
    finally:
        os.chdir(before[0])
        sys.argv = before[1]
        torch.random.set_rng_state(before[2])
        plt.close("all")
    text = printed.getvalue().replace(f"{REPOSITORY}{os.sep}", "").replace(f"{home()}{os.sep}", "").replace(os.sep, "/")
    return Run(text, names)


def _run_flat(lesson: str) -> dict:
    script = script_of(lesson)
    sys.argv = [str(script)]
    names = runpy.run_path(str(script), run_name="__main__")
    if (drawing := script.with_name("drawing.py")).exists():  # the pictures whose drawing is no part of the lesson
        runpy.run_path(str(drawing), run_name="__main__")
    return names


def _run_capstone(lesson: str) -> dict:
    """Course19: one default run. Course20: that run measured, then used on eight of the pictures it was not shown."""
    module = load_module(script_of(lesson))
    if lesson == "Course19-TrainGPU":
        assert module.main([]) == 0
    else:
        run_lesson("Course19-TrainGPU")
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


# ---- Notes against runs ----------------------------------------------------------------------------------------------


def sections(markdown: str) -> list[str]:
    """The numbered section titles: "## 3. Predict, then look" -> "3. Predict, then look"."""
    return re.findall(r"^## (\d+\. .+?)\s*$", _without_blocks(markdown), re.MULTILINE)


def cells(script: str) -> list[str]:
    """The numbered cell titles: "# %% 3. Predict, then look" -> "3. Predict, then look"."""
    return re.findall(r"^# %% (\d+\. .+?)\s*$", script, re.MULTILINE)


def blocks(markdown: str, language: str) -> list[tuple[str, str]]:
    """All fenced blocks of a language, as (the rest of the opening line, text)."""
    return [
        (info.strip(), text)
        for name, info, text in re.findall(r"^```(\w+)([^\n]*)\n(.*?)^```\s*$", markdown, re.MULTILINE | re.DOTALL)
        if name == language
    ]


def _without_blocks(markdown: str) -> str:
    return re.sub(r"^```.*?^```\s*$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def links(markdown: str) -> list[str]:
    """The targets of all links and pictures that stay inside the repository."""
    targets = re.findall(r"\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"", _without_blocks(markdown))
    return [a or b for a, b in targets if not re.match(r"[a-z]+:", a or b)]


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
