"""The house keeps itself whole: a lesson that lacks a part, or a test that nobody runs, is found here."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from lessons import (
    BESIDE,
    LESSONS,
    MEASURING,
    WOVEN,
    cells,
    importable,
    load_module,
    pages_of,
    run_lesson,
    script_of,
    split_script,
)
from packaging.requirements import Requirement

from common.paths import REPOSITORY, home

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
REQUIREMENTS = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = PYPROJECT["project"].get("dependencies", [])
NINE = {"torch", "torchvision", "tensorboard", "tqdm", "pillow", "matplotlib", "opencv-python", "pytest", "nbval"}
HELPERS = {  # what else is pinned, and why
    "pytest-xdist": "two tests at a time",
    "safetensors": "the weights that the course brings along: a format that cannot hold code",
    "jupytext": "cells of scripts, for the notebooks",
    "nbclient": "runs the notebooks when they are woven",
    "filelock": "one process at a time, in a download and in a run's folder",
    "rich": "the screen of the practice",
    "watchfiles": "sees that a workbook was saved",
}


def map_rows():
    """The course map: number -> [lesson, question, new here, seconds]. A list, because a wide table fits no phone."""
    entry = re.compile(r"^- (\[?(\d\d) · [^:\n]+): (.+)\n  \*New:\* (.+)\. \*(\d+) s\*$", re.MULTILINE)
    rows = {number: [name, question, new, seconds] for name, number, question, new, seconds in entry.findall(README)}
    assert len(rows) == len(re.findall(r"^- \[?\d\d · ", README, re.MULTILINE)), "an entry of another form"
    return rows


def test_the_map_has_all_twenty_two_lessons():
    assert list(map_rows()) == [f"{n:02}" for n in range(22)]
    assert all(len(row) == 4 and all(row) for row in map_rows().values())


def test_the_map_links_each_lesson():
    names = {lesson[6:8]: f"[{lesson[6:8]} · {lesson[9:]}]({lesson}/notes.md)" for lesson in LESSONS}
    assert {number: name for number, (name, *_) in map_rows().items()} == names


flat_pages = pytest.mark.parametrize("page", WOVEN, ids=str)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lesson_has_script_notes_and_tests(lesson):
    script = script_of(lesson)
    assert (REPOSITORY / lesson / "notes.md").exists()
    assert (REPOSITORY / "tests" / f"test_{lesson.split('-')[0].lower()}_{script.stem}.py").exists()
    doc = script.read_text(encoding="utf-8")
    number, name = lesson[6:].split("-", 1)
    assert doc.startswith(f'"""Course {number} · {name} — '), "the docstring opens with the lesson's question"
    assert f"python {lesson}/{script.name}" in doc.split('"""')[1], "and says how to run it"


def test_the_lessons_00_to_18_are_notebooks_as_well_and_so_is_each_page_beside_the_capstone():
    assert [page.number for page in WOVEN if page.is_lesson] == list(range(19))
    assert [str(page) for page in WOVEN if not page.notebook.exists()] == [], "type make notebooks"
    there = set(REPOSITORY.glob("Course*/lesson.ipynb"))
    assert there <= {page.notebook for page in WOVEN}, "a notebook that no script and notes belong to"


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_python_file_of_a_lesson_is_of_a_known_kind(lesson):
    there = {path.name for path in (REPOSITORY / lesson).glob("*.py")}
    assert unknown_files(there, lesson, {page.script.name for page in pages_of(lesson)}) == set()


@flat_pages
def test_a_flat_script_has_its_cells_in_order_and_its_imports_in_the_first(page):
    assert problems_with_form(page.script.read_text(encoding="utf-8")) == []


@flat_pages
def test_a_flat_script_imports_from_the_course_only_what_lessons_may(page):
    assert foreign_imports(page.script.read_text(encoding="utf-8")) == []


@flat_pages
def test_no_core_cell_holds_plumbing(page):
    core, _ = split_script(page.script.read_text(encoding="utf-8"))
    assert plumbing(core) == []


@pytest.mark.parametrize(
    "path", sorted(REPOSITORY.glob("Course*/*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_how_to_run_a_script_fits_a_terminal_of_80_columns(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    how_to = re.findall(r"^(?:Run|See|Read|  +) .*$", docstring, re.MULTILINE)
    assert [line for line in how_to if len(line) > 80] == []


@pytest.mark.parametrize(
    "script",
    [
        "Course19-TrainGPU/train.py",
        "Course19-TrainGPU/speed.py",
        "Course20-ModelTest/test.py",
        "Course21-SpeedRun/speedrun.py",
    ],
)
def test_what_the_programs_print_fits_a_terminal_of_80_columns(script, monkeypatch, capsys):
    path = REPOSITORY / script
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", [script, "--help"])  # the help begins with the name of the program
    with importable(path.parent), pytest.raises(SystemExit, match="^0$"):
        program = load_module(path)
        program.main(*([program.LADDER] if path.stem == "speedrun" else []), ["--help"])
    printed = capsys.readouterr().out + run_lesson(path.parent.name).printed
    assert "--help" in printed and [line for line in printed.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_script_has_the_name_of_a_package_that_it_needs(lesson):
    names = {path.stem for path in (REPOSITORY / lesson).glob("*.py")}
    assert not names & {"torch", "torchvision", "tensorboard", "tqdm", "PIL", "matplotlib", "cv2", "common", "types"}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_writes_only_where_its_name_stands(lesson):
    run_lesson(lesson)
    for kind in ("logs", "checkpoints", "outputs"):
        if (home() / kind).exists():
            assert {entry.name for entry in (home() / kind).iterdir()} <= set(LESSONS)


def test_lessons_never_import_each_other():
    for path in REPOSITORY.glob("Course*/*.py"):
        imported = set(re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        others = {p.stem for p in REPOSITORY.glob("Course*/*.py") if p.parent != path.parent}
        own = {p.stem for p in path.parent.glob("*.py")}
        assert not imported & (others - own - {"test"}), path


def test_every_test_file_and_every_notebook_is_collected(collected_files):
    """Looks at the run that it is part of, where that is a run of everything."""
    there = {*(REPOSITORY / "tests").glob("test_*.py"), *(page.notebook for page in WOVEN if page.notebook.exists())}
    if collected_files is None:
        command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", ""]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, encoding="utf-8", timeout=120)
        names = re.findall(r"^([\w/-]+\.\w+)::", done.stdout.replace("\\", "/"), re.MULTILINE)
        collected_files = {REPOSITORY / name for name in names}
    assert collected_files == there


def test_the_requirements_are_the_nine_packages_and_the_named_helpers_pinned_and_the_course_itself():
    lines = REQUIREMENTS.splitlines()
    assert lines[-1] == "-e ."
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines[:-1])
    assert sorted(line.split("==")[0] for line in lines[:-1]) == sorted([*NINE, *HELPERS])


def test_the_pinned_versions_are_inside_the_ranges_of_the_package():
    assert DEPENDENCIES
    assert misfits(REQUIREMENTS.splitlines()[:-1], DEPENDENCIES) == []


def test_the_package_needs_what_it_imports():
    """So that `pip install -e .` alone gives something that imports."""
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    modules = [path for name in packages for path in (REPOSITORY / name).rglob("*.py")]
    imported = set().union(*(third_party_imports(path.read_text(encoding="utf-8")) for path in modules))
    assert "torch" in imported
    assert imported - {Requirement(line).name for line in DEPENDENCIES} == set()


def test_the_citation_names_the_course_as_its_package_does():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert problems_with_citation(citation) == []
    project = PYPROJECT["project"]
    assert (str(citation["version"]), citation["license"]) == (project["version"], project["license"])


def test_ci_runs_the_readmes_test_commands_and_nothing_else():
    commands = [line for line in (REPOSITORY / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands[-2:] == ["make test", "make trials"] and [c.split()[0] for c in commands[:-2]] == ["set", "cd"]
    assert re.search(r"^make test\b", README, re.MULTILINE) and "`make trials`" in README


# ---- What is checked -------------------------------------------------------------------------------------------------

IMPORTS = (ast.Import, ast.ImportFrom)
OWN_PACKAGES = {"common", "trainer", "practice", "tests", "tools"}
FOR_LESSONS = {  # the modules of the course that a lesson may import from, and what; None: anything but FOR_PROGRAMS
    "common": {"UserError"},
    "common.data": {"cifar10", "ants_bees", "in_memory", "mean_and_std", "image_folder", "open_data"},
    "common.paths": None,
    "common.models": None,
    "common.device": None,
    "common.checkpoint": None,
    "common.pretrained": {"load_course_network"},
}
FOR_PROGRAMS = {"to_uint8", "read_image", "atomic_write"}
PLUMBING = {"subprocess", "Popen", "redirect_stdout", "redirect_stderr", "StringIO", "sys.stdout", "sys.stderr"}
PLUMBING |= {"weakref", "gc", "tracemalloc", "saved_tensors_hooks", "setattr", "settrace", "_getframe"}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python"}
BROUGHT = {"numpy"}  # by torchvision and matplotlib
CITATION_KEYS = {  # of the Citation File Format 1.2.0
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact"),
    *("repository-code", "title", "type", "url", "version"),
}


def problems_with_form(source):
    """What makes a script no flat sequence of numbered cells with all imports in the first."""
    wrong = []
    numbers = [int(title.split(".")[0]) for title in cells(source)]
    if numbers != list(range(1, len(numbers) + 1)) or len(numbers) != len(re.findall(r"^# %%", source, re.MULTILINE)):
        wrong.append(f"cells without a number, or not in order: {numbers}")
    _, *later = re.split(r"^# %% (?!1\. )", source, flags=re.MULTILINE)
    if any(isinstance(node, IMPORTS) for cell in later for node in ast.walk(ast.parse(f"# %% {cell}"))):
        wrong.append("an import below cell 1")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    if any("tqdm" in names_of(call.func) and "disable" not in {word.arg for word in call.keywords} for call in calls):
        wrong.append("tqdm without disable=None draws its bar into files and notebooks")
    used = set().union(*(names_of(node) for node in ast.walk(ast.parse(source))))
    return wrong + sorted(used & {"argparse", "sys.path", "def main"})


def foreign_imports(source):
    """The imports from the course itself that are not for lessons, as "common.data.MemoryLoader"."""
    foreign = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            own = [alias.name for alias in node.names if alias.name.split(".")[0] in OWN_PACKAGES]
            foreign += [name for name in own if name not in FOR_LESSONS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OWN_PACKAGES:
            names = {alias.name for alias in node.names}
            allowed = FOR_LESSONS.get(node.module, set())
            wrong = names & FOR_PROGRAMS if allowed is None else names - allowed
            wrong = {name for name in wrong if f"{node.module}.{name}" not in FOR_LESSONS}
            foreign += [f"{node.module}.{name}" for name in sorted(wrong)]
    return foreign


def plumbing(core):
    """What the cells of a core use to redirect, to patch or to watch, instead of teaching. Imports do not count."""
    nodes = [node for node in ast.walk(ast.parse(core)) if not isinstance(node, (*IMPORTS, ast.alias))]
    return sorted(set().union(*(names_of(node) for node in nodes)) & PLUMBING)


def names_of(node):
    """The names that a node of a program uses: `sys.path` is "path" and "sys.path", a function f is "def f"."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        owner = {f"{node.value.id}.{node.attr}"} if isinstance(node.value, ast.Name) else set()
        return {node.attr} | owner
    if isinstance(node, ast.FunctionDef):
        return {f"def {node.name}"}
    return {node.name} if isinstance(node, ast.alias) else set()


def unknown_files(names, lesson, scripts):
    """The Python files that are neither the script of a page nor of a kind that may stand beside one."""
    return names - scripts - BESIDE - MEASURING.get(lesson, set())


def misfits(pinned, dependencies):
    """The dependencies that are not pinned, or whose pinned version is outside their range or on its edge of none."""
    versions = dict(line.split("==") for line in pinned)
    ranges = {Requirement(line).name: Requirement(line).specifier for line in dependencies}
    return [name for name, allowed in ranges.items() if not allowed or versions.get(name, "0") not in allowed]


def third_party_imports(source):
    """The packages, by the names they are installed by, that a module imports from outside this repository."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module]
        else:
            continue
        names |= {module.split(".")[0] for module in modules}
        names |= {"tensorboard"} if "torch.utils.tensorboard" in modules else set()  # which torch only wraps
    return {DISTRIBUTIONS.get(name, name) for name in names - sys.stdlib_module_names - OWN_PACKAGES - BROUGHT}


def problems_with_citation(citation):
    """What the Citation File Format does not know, or demands and does not find; and names of persons."""
    wrong = sorted(set(citation) - CITATION_KEYS)
    wrong += sorted({"authors", "cff-version", "message", "title"} - set(citation))
    if citation.get("cff-version") != "1.2.0" or citation.get("type", "software") not in ("software", "dataset"):
        wrong.append("cff-version or type")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", str(citation.get("date-released", "2000-01-01"))):
        wrong.append("date-released")
    authors = citation.get("authors") or [{}]
    return wrong + [f"author {author}" for author in authors if set(author) != {"name"}]


# ---- The checks themselves: each must catch its kind of fault --------------------------------------------------------

GOOD_SCRIPT = """# %% 1. Setup
import subprocess

import torch

from common.data import cifar10, in_memory
from common.paths import output_dir

# %% 2. Look
images = torch.zeros(3)

# ---- Second reading ----

# %% 3. Later
subprocess.run(["true"])
"""


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("", "", None),
        ("# %% 2. Look", "# %% 4. Look", "cells without a number, or not in order: [1, 4, 3]"),
        ("# %% 2. Look", "# %% Look", "cells without a number, or not in order: [1, 3]"),
        ("images = ", "import json\nimages = ", "an import below cell 1"),
        ("images = ", "def f():\n    from json import load\n\n\nimages = ", "an import below cell 1"),
        ("images = ", "def main():\n    pass\n\n\nimages = ", "def main"),
        ("import torch", "import argparse", "argparse"),
        ("images = ", "tqdm([], disable=None)\nimages = ", None),
        ("images = ", "tqdm([])\nimages = ", "tqdm without disable=None draws its bar into files and notebooks"),
        ("images = ", "sys.path.append('..')\nimages = ", "sys.path"),
    ],
)
def test_a_script_that_is_not_flat_is_caught(old, new, problem):
    assert problems_with_form(GOOD_SCRIPT.replace(old, new)) == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("line", "foreign"),
    [
        ("from common import UserError", []),
        ("from common.checkpoint import load_trained", []),
        ("from common import checkpoint", []),
        ("import common.checkpoint", []),
        ("from common.data import MemoryLoader, cifar10", ["common.data.MemoryLoader"]),
        ("from common.data import to_uint8", ["common.data.to_uint8"]),
        ("from common.paths import atomic_write", ["common.paths.atomic_write"]),
        ("from common.drawn import draw_cifar", ["common.drawn.draw_cifar"]),
        ("from common import distributed", ["common.distributed"]),
        ("import trainer.runs", ["trainer.runs"]),
        ("from trainer.plots import BLUE", ["trainer.plots.BLUE"]),
    ],
)
def test_an_import_that_is_not_for_lessons_is_caught(line, foreign):
    assert foreign_imports(f"{GOOD_SCRIPT}\n{line}\n") == foreign


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sys.stdout = open('out')", ["sys.stdout"]),
        ("with contextlib.redirect_stdout(io.StringIO()) as out: help(torch)", ["StringIO", "redirect_stdout"]),
        ("subprocess.run(['true'])", ["subprocess"]),
        ("alive = weakref.WeakSet()", ["weakref"]),
        ("setattr(torch.nn.Linear, 'forward', print)", ["setattr"]),
    ],
)
def test_plumbing_is_caught_in_the_core_and_only_there(line, found):
    core, second = split_script(GOOD_SCRIPT.replace("images = ", f"{line}\nimages = "))
    assert plumbing(core) == found
    assert plumbing(second) == ["subprocess"]


def test_a_file_of_no_known_kind_is_caught():
    names = {"pool.py", "drawing.py", "exercises.py", "speed.py"}
    assert unknown_files(names, "Course09-Pool", {"pool.py"}) == {"speed.py"}
    assert unknown_files(names - {"pool.py"}, "Course19-TrainGPU", set()) == set()


def test_a_page_beside_a_lesson_is_found_by_its_script_and_its_notes_of_the_same_name(tmp_path, monkeypatch):
    folder = tmp_path / "Course19-TrainGPU"
    folder.mkdir()
    for name in ("train.py", "notes.md", "speed.py", "two_ways.py", "two_ways.md", "one_picture.py", "other.md"):
        (folder / name).touch()
    monkeypatch.setattr("lessons.REPOSITORY", tmp_path)
    own, beside = pages_of("Course19-TrainGPU")
    assert (str(own), own.script.name, own.is_woven) == ("Course19-TrainGPU", "train.py", False)
    assert (str(beside), beside.is_woven) == ("Course19-TrainGPU/two_ways", True)
    assert beside.notebook == folder / "two_ways.ipynb"


def test_a_pin_outside_its_range_and_a_range_without_a_pin_are_caught():
    pinned = ["torch==2.15.0", "tqdm==4.70.1"]
    assert misfits(pinned, ["torch>=2.10", "tqdm>=4.66,<5"]) == []
    assert misfits(pinned, ["torch>=2.16", "tqdm>=4.66,<4.70"]) == ["torch", "tqdm"]
    assert misfits(pinned, ["torch", "pillow>=10"]) == ["torch", "pillow"]


def test_an_import_that_no_dependency_brings_is_caught():
    lines = ["import os, cv2, numpy, common.data", "from PIL import Image", "import torch.utils.tensorboard"]
    assert third_party_imports("\n".join(lines)) == {"opencv-python", "pillow", "torch", "tensorboard"}


def test_a_citation_with_a_wrong_key_or_a_person_is_caught():
    good = {
        "cff-version": "1.2.0",
        "message": "Cite it.",
        "title": "A course",
        "authors": [{"name": "The maintainers"}],
    }
    assert problems_with_citation(good) == []
    assert problems_with_citation(good | {"licence": "MIT"}) == ["licence"]
    assert problems_with_citation({**good, "date-released": "21.11.2026"}) == ["date-released"]
    assert problems_with_citation(good | {"authors": [{"family-names": "Doe"}]}) == ["author {'family-names': 'Doe'}"]
    assert problems_with_citation({"cff-version": "1.1.0"})[:3] == ["authors", "message", "title"]
