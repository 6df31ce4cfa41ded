"""Each of the lessons 00-17 is a notebook as well, and what is stored in it is true.

nbval runs every notebook and compares its outputs with the stored ones. Here stands what nbval does not see: whether a
notebook is still that of its script and notes, was run at all, and shows the pictures; and the numbers that are only
about the same on another machine.
"""

import base64
import copy
import io
import os
import re
import subprocess
import sys

import nbformat
import pytest
from lessons import WOVEN, about_same, alike, links, load_module, run_lesson
from nbval.plugin import get_sanitize_patterns
from PIL import Image

from common.paths import REPOSITORY

weaving = load_module(REPOSITORY / "tools" / "weave_notebooks.py")
WHAT_TO_DO = "make notebooks (or git checkout) brings lesson.ipynb up to date"
SANITIZE = get_sanitize_patterns((REPOSITORY / "tests" / "sanitize.cfg").read_text(encoding="utf-8"))


def stored(lesson):
    return nbformat.read(REPOSITORY / lesson / "lesson.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pieces(notebook):
    """The code cells as the tool has them after it ran them: number of the section -> its pieces."""
    found = {}
    for cell in code_cells(copy.deepcopy(notebook)):
        found.setdefault(int(cell.id.split("-")[1]), []).append(weaving.Code(cell.source, cell.outputs))
    return found


def stale_code(notebook, script):
    """The numbers of the script's cells that the notebook does not hold, whole and in order."""
    stale = []
    for number, source in script.items():
        for piece in pieces(notebook).get(number, []):
            source = source.lstrip("\n")
            if not source.startswith(piece.source):
                break
            source = source.removeprefix(piece.source)
        if source.strip():
            stale.append(number)
    return stale


def stale_cells(notebook, fresh):
    """The ids of the cells that differ from those of a notebook made again, around the same code and outputs."""
    names = [cell.id for cell in notebook.cells], [cell.id for cell in fresh.cells]
    if names[0] != names[1]:
        return sorted(set(names[0]) ^ set(names[1])) or ["the order of the cells"]
    differ = [one.id for one, other in zip(notebook.cells, fresh.cells, strict=True) if one != other]
    return differ + ["metadata"] * (notebook.metadata != fresh.metadata)


def sanitized(text):
    """The text as nbval compares it."""
    for regex, replacement in SANITIZE:
        text = re.sub(regex, replacement, text)
    return text


def problems_with_outputs(notebook, printed):
    """The lines, stored and printed by the script, that are not the same: about the same in tagged cells."""
    printing = [(weaving.Code(cell.source, cell.outputs).printed, cell) for cell in code_cells(notebook)]
    lines = [(line, cell) for text, cell in printing for line in sanitized(text).splitlines()]
    others = sanitized(printed).splitlines()
    if len(lines) != len(others):
        return [f"{len(lines)} lines stored, {len(others)} printed"]
    differ = []
    for (line, cell), other in zip(lines, others, strict=True):
        same = about_same if "nbval-ignore-output" in cell.metadata.get("tags", []) else str.__eq__
        if not same(line, other):
            differ.append((line, other))
    return differ


def problems_with_pictures(notebook, folder):
    """The cells that save a picture and do not show it, and the names of pictures unlike those of the notes."""
    wrong = []
    for cell in code_cells(notebook):
        images = weaving.Code(cell.source, cell.outputs).images
        names = re.findall(r'savefig\(.*"([^"]+\.png)"', cell.source)
        if len(images) != len(names) and "add_figure" not in cell.source:  # which closes the figure that it logs
            wrong.append(cell.id)
        for name, image in zip(names, images, strict=False):
            file = io.BytesIO(base64.b64decode(image.data["image/png"]))
            if not alike(folder / "figures" / name, file, sizes=0.3, pixels=0.12):  # drawn at 100 dpi, a little shifted
                wrong.append(name)
    return wrong


@pytest.mark.parametrize("lesson", WOVEN)
def test_every_code_cell_was_run_in_order_and_without_error(lesson):
    cells = code_cells(stored(lesson))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), WHAT_TO_DO
    kinds = {output.get("name", output.output_type) for cell in cells for output in cell.outputs}
    assert kinds <= {"stdout", "display_data"}, "no errors, warnings or progress bars, and no echo of a last line"


@pytest.mark.parametrize("lesson", WOVEN)
def test_no_notebook_is_stale(lesson):
    notebook = stored(lesson)
    _, script = weaving.read_script(lesson)
    assert stale_code(notebook, script) == [], f"not the cells of the script: {WHAT_TO_DO}"
    fresh = weaving.build(lesson, pieces(notebook))
    assert stale_cells(notebook, fresh) == [], f"not as notes and script make it, or saved by hand: {WHAT_TO_DO}"


@pytest.mark.parametrize("lesson", WOVEN)
def test_the_stored_outputs_are_what_the_script_prints(lesson):
    assert problems_with_outputs(stored(lesson), run_lesson(lesson).printed) == [], WHAT_TO_DO


@pytest.mark.parametrize("lesson", WOVEN)
def test_every_picture_is_stored_and_is_that_of_the_notes(lesson):
    assert problems_with_pictures(stored(lesson), REPOSITORY / lesson) == []


@pytest.mark.parametrize("lesson", WOVEN)
def test_links_and_callouts_work_in_a_notebook(lesson):
    prose = "\n".join(cell.source for cell in stored(lesson).cells if cell.cell_type == "markdown")
    assert [target for target in links(prose) if not (REPOSITORY / lesson / target.split("#")[0]).exists()] == []
    assert "[!" not in prose


@pytest.mark.parametrize("lesson", WOVEN)
def test_nothing_of_the_machine_that_ran_it_is_stored(lesson):
    notebook = stored(lesson)
    printed = "".join(piece.printed for number in pieces(notebook).values() for piece in number)
    assert not re.search(r"/(tmp|home|root|Users)/|\b[A-Z]:\\|0x[0-9a-f]{6}|ipykernel", printed)
    assert notebook.metadata == weaving.METADATA
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_all_notebooks_together_are_small():
    assert sum((REPOSITORY / lesson / "lesson.ipynb").stat().st_size for lesson in WOVEN) < 6e6


# ---- The checks themselves: each must catch its kind of lie ----------------------------------------------------------


@pytest.fixture
def notebook():
    return stored("Course08-Conv2d")


def test_a_changed_script_is_caught(notebook):
    _, script = weaving.read_script("Course08-Conv2d")
    assert stale_code(notebook, script | {2: script[2].replace("out_channels=6", "out_channels=7")}) == [2]
    assert stale_code(notebook, script | {2: script[2] + "\nprint('more')"}) == [2]
    assert stale_code(notebook, script | {12: "print('a new cell')"}) == [12]


def test_changed_notes_are_caught(notebook, monkeypatch):
    opening, sections, closing = weaving.read_notes("Course08-Conv2d")

    def stale_after(changed_sections):
        monkeypatch.setattr(weaving, "read_notes", lambda lesson: (opening, changed_sections, closing))
        return stale_cells(notebook, weaving.build("Course08-Conv2d", pieces(notebook)))

    assert stale_after(sections) == []
    assert stale_after(sections | {4: sections[4].replace("two images", "three images")}) == ["section-4-3"]
    assert stale_after(sections | {4: sections[4].replace("```text", "```text about")}) == ["section-4-2"]
    assert stale_after(sections | {4: sections[4].replace("layer: True", "layer: yes")}), "a block nobody printed"
    assert stale_after(sections | {12: "## 12. A new one\n"}) == ["section-12-1"]


def test_a_notebook_that_was_never_run_is_caught(notebook):
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    assert stale_cells(notebook, weaving.build("Course08-Conv2d", pieces(notebook)))
    assert problems_with_outputs(notebook, run_lesson("Course08-Conv2d").printed)


def test_a_changed_number_is_caught_and_in_a_tagged_cell_one_that_is_far_off():
    cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("stream", text="loss 1.25\n")])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert problems_with_outputs(notebook, "loss 1.25\n") == []
    assert problems_with_outputs(notebook, "loss 1.26\n") == [("loss 1.25", "loss 1.26")]
    assert problems_with_outputs(notebook, "loss 1.25\ndone\n")
    cell.metadata.tags = ["nbval-ignore-output"]
    assert problems_with_outputs(notebook, "loss 1.26\n") == []
    assert problems_with_outputs(notebook, "loss 2.26\n")
    assert problems_with_outputs(notebook, "cost 1.25\n")


def test_a_missing_and_a_wrong_picture_are_caught(notebook):
    (cell,) = [cell for cell in code_cells(notebook) if "savefig" in cell.source]
    (image,) = weaving.Code("", cell.outputs).images
    file = io.BytesIO()
    Image.new("RGB", Image.open(io.BytesIO(base64.b64decode(image.data["image/png"]))).size, "navy").save(file, "PNG")
    image.data["image/png"] = base64.b64encode(file.getvalue()).decode()
    assert problems_with_pictures(notebook, REPOSITORY / "Course08-Conv2d") == ["feature_maps.png"]
    cell.outputs.remove(image)
    assert problems_with_pictures(notebook, REPOSITORY / "Course08-Conv2d") == [cell.id]


def test_nbval_compares_stored_and_fresh_outputs(tmp_path):
    def passes(stored_text, count=1):
        output = nbformat.v4.new_output("stream", text=stored_text)
        cell = nbformat.v4.new_code_cell("print(0.25)", outputs=[output] if count else [], execution_count=count)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=weaving.METADATA), tmp_path / "lesson.ipynb")
        command = [sys.executable, "-m", "pytest", "-q", "-c", REPOSITORY / "pyproject.toml", "-p", "conftest"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ["PYTHONPATH"]])}
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", tmp_path], env=environment, capture_output=True, encoding="utf-8"
        )
        assert re.search("^1 (passed|failed|error)", done.stdout, re.MULTILINE), done.stdout + done.stderr
        return "1 passed" in done.stdout

    assert passes("0.25\n")
    assert not passes("0.26\n")
    assert not passes("", count=None), "a cell that was never run"
