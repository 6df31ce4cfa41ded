"""The house keeps itself whole: a lesson that lacks a part, or a test that nobody runs, is found here."""

import re
import subprocess
import sys

import pytest
from lessons import CAPSTONE, LESSONS, WOVEN, cells, run_lesson, script_of

from common.paths import REPOSITORY, home

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
NINE = {"torch", "torchvision", "tensorboard", "tqdm", "pillow", "matplotlib", "opencv-python", "pytest", "nbval"}


def map_rows():
    """The course map: number -> the row's cells (lesson, question, new here, seconds)."""
    rows = re.findall(r"^\| *(?:\[)?(\d\d) · [^\n]*$", README, re.MULTILINE)
    lines = [line for line in README.splitlines() if re.match(r"\| *\[?\d\d · ", line)]
    return dict(zip(rows, ([cell.strip() for cell in line.strip("|").split("|")] for line in lines), strict=True))


def test_the_map_has_all_twenty_one_lessons():
    assert list(map_rows()) == [f"{n:02}" for n in range(21)]
    assert all(len(row) == 4 and all(row) for row in map_rows().values())


def test_the_map_links_the_lessons_that_are_there_and_marks_the_others():
    there = {lesson[6:8]: lesson for lesson in LESSONS}
    for number, (name, _, _, seconds) in map_rows().items():
        if number in there:
            assert name == f"[{number} · {there[number][9:]}]({there[number]}/notes.md)"
            assert re.fullmatch(r"\d+", seconds), f"lesson {number}: measured seconds"
        else:
            assert "](" not in name and seconds == "to come"


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lesson_has_script_notes_and_tests(lesson):
    script = script_of(lesson)
    assert (REPOSITORY / lesson / "notes.md").exists()
    assert (REPOSITORY / "tests" / f"test_{lesson.split('-')[0].lower()}_{script.stem}.py").exists()
    doc = script.read_text(encoding="utf-8")
    number, name = lesson[6:].split("-", 1)
    assert doc.startswith(f'"""Course {number} · {name} — '), "the docstring opens with the lesson's question"
    assert f"python {lesson}/{script.name}" in doc.split('"""')[1], "and says how to run it"


def test_the_lessons_00_to_17_are_notebooks_as_well():
    there = [path.parent.name for path in sorted(REPOSITORY.glob("Course*/*.ipynb")) if path.name == "lesson.ipynb"]
    assert there == WOVEN and [lesson[6:8] for lesson in WOVEN] == [f"{n:02}" for n in range(18)]


@pytest.mark.parametrize("lesson", [lesson for lesson in LESSONS if lesson not in CAPSTONE])
def test_a_flat_lesson_has_its_cells_in_order_and_its_imports_in_the_first(lesson):
    source = script_of(lesson).read_text(encoding="utf-8")
    numbers = [int(title.split(".")[0]) for title in cells(source)]
    assert numbers == list(range(1, len(numbers) + 1))
    first, rest = re.split(r"^# %% 2\.", source, flags=re.MULTILINE)
    assert re.search(r"^import |^from ", first, re.MULTILINE)
    assert not re.search(r"^(import|from) ", rest, re.MULTILINE), "all imports stand in cell 1"
    assert "argparse" not in source and "sys.path" not in source and "def main(" not in source


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


def test_every_test_file_and_every_notebook_is_collected():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", ""]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, encoding="utf-8", timeout=120)
    collected = set(re.findall(r"^([\w/-]+\.\w+)::", done.stdout.replace("\\", "/"), re.MULTILINE))
    there = {f"tests/{path.name}" for path in (REPOSITORY / "tests").glob("test_*.py")}
    assert collected == there | {f"{lesson}/lesson.ipynb" for lesson in WOVEN}


def test_the_requirements_are_the_nine_packages_pinned_and_the_course_itself():
    lines = (REPOSITORY / "requirements.txt").read_text().split("\n")[:-1]
    assert lines[-1] == "-e ."
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in lines[:-1])
    assert {line.split("==")[0] for line in lines[:-1]} >= NINE


def test_ci_runs_the_readmes_test_commands_and_nothing_else():
    commands = [line for line in (REPOSITORY / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert commands[-2:] == ["make test", "make trials"] and [c.split()[0] for c in commands[:-2]] == ["set", "cd"]
    assert re.search(r"^make test\b", README, re.MULTILINE) and "`make trials`" in README
