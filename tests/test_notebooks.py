"""Each lesson in cells, and each page beside the capstone, is a notebook as well, and what is stored in it is true.

nbval runs every notebook and compares its outputs with the stored ones. Here stands what nbval does not see: whether a
notebook is still that of its script and notes, was run at all, and shows the pictures; and the numbers that are only
about the same on another machine.
"""

import base64
import copy
import io
import os
import re
import runpy
import subprocess
import sys
import textwrap

import nbformat
import pytest
from lessons import WOVEN, Page, about_same, alike, load_module, run_page
from markup import dead_links
from nbval.plugin import get_sanitize_patterns
from PIL import Image

from common.paths import REPOSITORY

weaving = load_module(REPOSITORY / "tools" / "weave_notebooks.py")
WHAT_TO_DO = "make notebooks (or git checkout) brings it up to date"
SANITIZE = get_sanitize_patterns((REPOSITORY / "tests" / "sanitize.cfg").read_text(encoding="utf-8"))

every_woven_page = pytest.mark.parametrize("page", WOVEN, ids=str)


def stored(page):
    return nbformat.read(page.notebook, as_version=4)


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


@every_woven_page
def test_every_code_cell_was_run_in_order_and_without_error(page):
    cells = code_cells(stored(page))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), WHAT_TO_DO
    kinds = {output.get("name", output.output_type) for cell in cells for output in cell.outputs}
    assert kinds <= {"stdout", "display_data"}, "no errors, warnings or progress bars, and no echo of a last line"


@every_woven_page
def test_no_notebook_is_stale(page):
    notebook = stored(page)
    _, script = weaving.read_script(page)
    assert stale_code(notebook, script) == [], f"not the cells of the script: {WHAT_TO_DO}"
    fresh = weaving.build(page, pieces(notebook))
    assert stale_cells(notebook, fresh) == [], f"not as notes and script make it, or saved by hand: {WHAT_TO_DO}"


@every_woven_page
def test_the_stored_outputs_are_what_the_script_prints(page):
    assert problems_with_outputs(stored(page), run_page(page).printed) == [], WHAT_TO_DO


@every_woven_page
def test_every_picture_is_stored_and_is_that_of_the_notes(page):
    assert problems_with_pictures(stored(page), REPOSITORY / page.folder) == []


@every_woven_page
def test_links_callouts_and_formulas_work_in_a_notebook(page):
    prose = "\n\n".join(cell.source for cell in stored(page).cells if cell.cell_type == "markdown")
    assert dead_links(prose, REPOSITORY / page.folder) == []
    assert "[!" not in prose and "```math" not in prose


@every_woven_page
def test_nothing_of_the_machine_that_ran_it_is_stored(page):
    notebook = stored(page)
    printed = "".join(piece.printed for number in pieces(notebook).values() for piece in number)
    assert not re.search(r"/(tmp|home|root|Users)/|\b[A-Z]:\\|0x[0-9a-f]{6}|ipykernel", printed)
    assert notebook.metadata == weaving.METADATA
    assert all(set(cell.metadata) <= {"tags", "jupyter"} for cell in notebook.cells)


def test_all_notebooks_together_are_small():
    assert sum(page.notebook.stat().st_size for page in WOVEN if page.notebook.exists()) < 6e6


# ---- The tool, on a page made up for this ----------------------------------------------------------------------------

SCRIPT = """
    '''Course 99 · Made up — what does the tool make of this?

    Run   python Course99-MadeUp/made_up.py
    See   figures/line.png        (one line)
    '''

    # %% 1. Setup
    import matplotlib.pyplot as plt
    from tqdm import tqdm

    print("one")
    print("two")

    # %% 2. Predict, then look
    print("the answer is", 6 * 7)
    print("and its half is", 21.0)

    # %% 3. A picture
    for name in ("open", "hidden"):
        print("about", name)
    fig, ax = plt.subplots()
    ax.plot([1, 2, 4])
    fig.savefig("line.png")
    for disable in (None, False):
        for _ in tqdm(range(3), disable=disable):
            pass

    # ---- Second reading ----------------------------------------------------

    # %% 4. Later
    print("later")
"""

NOTES = r"""
    # Course 99 · Made up

    *What does the tool make of this?*

    **You will be able to** see it.

    ## 1. Setup

    ```text
    one
    ```

    > [!NOTE]
    > Mind the gap.

    ```text
    two
    ```

    ![Drawn by another program](figures/elsewhere.png)

    ## A section between

    ```python
    # Second reading
    ## 9. This is code
    ```

    ## 2. Predict, then look

    *Predict, then look:* what is six times seven?

    <details>
    <summary>Look</summary>

    ```text
    the answer is 42
    ```

    </details>

    *Predict, then look:* and half of it?

    <details>
    <summary>The half</summary>

    ```text about
    and its half is 21.1
    ```

    ```math
    \frac{42}{2} = 21
    ```

    </details>

    This is for all to see.

    ## 3. A picture

    One statement prints this

    ```text
    about open
    ```

    <details>
    <summary>Look</summary>

    ![Drawn by another program, too](figures/beside.png)

    ```text
    about hidden
    ```

    ![A line](figures/line.png)

    It rises.

    </details>

    ## Recap

    That was it.

    # Second reading

    For later.

    ## 4. Later

    ```text
    later
    ```
"""


def made_up_page(folder, script=SCRIPT, notes=NOTES):
    page = Page("Course99-MadeUp", folder / "made_up.py", folder / "notes.md", folder / "lesson.ipynb")
    page.script.write_text(textwrap.dedent(script).lstrip(), encoding="utf-8")
    page.notes.write_text(textwrap.dedent(notes).lstrip(), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = made_up_page(tmp_path_factory.mktemp("made up"))
    weaving.weave_file(page)
    return page


@pytest.fixture
def notebook(page):
    return stored(page)


def sources(notebook):
    return {cell.id: cell.source for cell in notebook.cells}


def test_a_notebook_keeps_the_order_of_the_notes(notebook):
    names = [re.sub(r"(section-\d+)-\d+", r"\1", cell.id) for cell in notebook.cells]
    order = [
        "opening",
        "section-1",
        "a-section-between",
        "section-2",
        "section-3",
        "recap",
        "second-reading",
        "section-4",
    ]
    assert list(dict.fromkeys(names)) == order
    assert sources(notebook)["second-reading"] == "# Second reading\n\nFor later."


def test_the_line_of_the_second_reading_is_in_no_cell(notebook):
    assert [cell.id for cell in code_cells(notebook) if "----" in cell.source] == []


def test_what_the_notes_fold_is_folded_and_nothing_else(notebook):
    hidden = [cell for cell in code_cells(notebook) if cell.metadata.get("jupyter") == {"outputs_hidden": True}]
    printed = [weaving.Code("", cell.outputs).printed for cell in hidden]
    assert printed == ["the answer is 42\n", "and its half is 21.0\n", "about open\nabout hidden\n"]
    assert sum("jupyter" in cell.metadata for cell in notebook.cells) == 3
    assert "may be folded" in sources(notebook)["opening"]


def test_prose_after_a_folded_output_stays_folded_and_no_fold_is_empty(notebook):
    cell, other = (cell for cell in notebook.cells if "<details>" in cell.source)
    formula = "$$\n\\frac{42}{2} = 21\n$$"
    fold = f"<details>\n<summary>The half</summary>\n\n{formula}\n\n</details>"
    assert cell.source == f"{fold}\n\nThis is for all to see."
    picture = "![Drawn by another program, too](figures/beside.png)"
    assert other.source == f"<details>\n<summary>Look</summary>\n\n{picture}\n\nIt rises.\n\n</details>"


def test_an_open_output_is_not_cut_out_where_that_would_show_a_folded_one(notebook):
    first, second, _ = (cell for cell in notebook.cells if cell.id.startswith("section-3"))
    assert first.source.endswith("```text\nabout open\n```") and second.metadata.jupyter.outputs_hidden


def test_a_picture_that_no_cell_draws_stays_a_picture_of_the_notes(notebook):
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"!\[.*\((.*)\)", prose) == ["figures/elsewhere.png", "figures/beside.png"]
    (image,) = (image for cell in code_cells(notebook) for image in weaving.Code("", cell.outputs).images)
    assert image.metadata == {"image/png": {"alt": "A line"}}


def test_no_progress_bar_is_stored(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert {output.get("name", output.output_type) for output in outputs} == {"stdout", "display_data"}


@pytest.mark.parametrize(
    ("script", "notes", "message"),
    [
        (SCRIPT, NOTES.replace("## 4. Later", "## Later"), "section 4 stands in the script and not in the notes"),
        (SCRIPT.replace("# %% 4. Later", ""), NOTES, "section 4 stands in the notes and not in the script"),
        (SCRIPT, NOTES.replace("## 4. Later", "## 2. Later"), "two sections with the number or title of section-2"),
        (SCRIPT.replace("# %% 4. Later", "# %% Later"), NOTES, "has no number of its own"),
        (SCRIPT, NOTES.replace("answer is 42", "answer is 43"), "section-2: no cell prints this block of the notes"),
        (SCRIPT.replace('print("two")', "print(three)"), NOTES, "section 1: the cell does not run: NameError"),
        (SCRIPT.replace("Run ", "Runs"), NOTES, "no line 'Run   python …'"),
    ],
    ids=["missing section", "missing cell", "twice", "no number", "not printed", "an error", "no Run"],
)
def test_notes_and_script_that_do_not_fit_are_refused_with_the_place(tmp_path, script, notes, message):
    page = made_up_page(tmp_path, script, notes)
    with pytest.raises(weaving.Unfit, match="^Course99-MadeUp, ") as refused:
        weaving.weave_file(page)
    assert message in str(refused.value)
    assert not page.notebook.exists()


# ---- The checks themselves: each must catch its kind of lie ----------------------------------------------------------


def test_a_changed_script_is_caught():
    script = {1: "import os", 2: "print(1)\nprint(2)"}
    kept = {"section-1-1": "import os", "section-2-1": "print(1)", "section-2-3": "print(2)"}
    cells = [nbformat.v4.new_code_cell(source, id=name) for name, source in kept.items()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert stale_code(notebook, script) == []
    assert stale_code(notebook, script | {2: "print(1)\nprint(3)"}) == [2]
    assert stale_code(notebook, script | {2: "print(1)\nprint(2)\nprint(3)"}) == [2]
    assert stale_code(notebook, script | {3: "print('a new cell')"}) == [3]


def test_changed_notes_are_caught(page, notebook):
    def stale_after(old, new):
        page.notes.write_text(before.replace(old, new), encoding="utf-8")
        try:
            return stale_cells(notebook, weaving.build(page, pieces(notebook)))
        finally:
            page.notes.write_text(before, encoding="utf-8")

    before = page.notes.read_text(encoding="utf-8")
    assert stale_after("", "") == []
    assert stale_after("for all to see", "for some to see") == ["section-2-5"]
    assert stale_after("```text about", "```text") != []
    assert stale_after("answer is 42", "answer is 43"), "a block nobody printed"
    assert stale_after("<details>\n<summary>Look</summary>\n\n```text\nthe", "```text\nthe") != [], "no longer folded"
    assert stale_after("# Second reading", "## 12. A new one\n\n# Second reading") == ["section-12-1"]


def test_a_notebook_that_was_never_run_is_caught(page, notebook):
    printed = "".join(weaving.Code("", cell.outputs).printed for cell in code_cells(notebook))
    assert problems_with_outputs(notebook, printed) == []
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    assert stale_cells(notebook, weaving.build(page, pieces(notebook)))
    assert problems_with_outputs(notebook, printed)


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


def test_a_missing_and_a_wrong_picture_are_caught(page, notebook):
    (cell,) = [cell for cell in code_cells(notebook) if "savefig" in cell.source]
    (image,) = weaving.Code("", cell.outputs).images
    figure = page.notes.parent / "figures" / "line.png"
    figure.parent.mkdir(exist_ok=True)
    figure.write_bytes(base64.b64decode(image.data["image/png"]))
    assert problems_with_pictures(notebook, page.notes.parent) == []
    Image.new("RGB", Image.open(figure).size, "navy").save(figure)
    assert problems_with_pictures(notebook, page.notes.parent) == ["line.png"]
    cell.outputs.remove(image)
    assert problems_with_pictures(notebook, page.notes.parent) == [cell.id]


def test_nbval_compares_stored_and_fresh_outputs(tmp_path):
    def store(name, stored_text, count=1):
        output = nbformat.v4.new_output("stream", text=stored_text)
        cell = nbformat.v4.new_code_cell("print(0.25)", outputs=[output] if count else [], execution_count=count)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=weaving.METADATA), tmp_path / f"{name}.ipynb")

    store("right", "0.25\n")
    store("wrong", "0.26\n")
    store("never_run", "", count=None)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-c", REPOSITORY / "pyproject.toml", "-p", "conftest"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ["PYTHONPATH"]])}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", tmp_path], env=environment, capture_output=True, encoding="utf-8"
    )
    verdicts = re.findall(r"^(PASSED|FAILED|ERROR) (?:\S*/)?(\w+)\.ipynb::", done.stdout, re.MULTILINE)
    expected = [("ERROR", "never_run"), ("FAILED", "wrong"), ("PASSED", "right")]
    assert sorted(verdicts) == expected, done.stdout + done.stderr


@pytest.mark.parametrize("tool", ["weave_notebooks.py", "update_figures.py"])
def test_a_lesson_that_is_not_there_is_one_line_and_exit_code_2(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [tool, "Course99"])
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the tools choose a home of their own
    with pytest.raises(SystemExit, match="^2$"):
        runpy.run_path(str(REPOSITORY / "tools" / tool), run_name="__main__")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nothing here is called 'Course99'; there are Course00-") and err.count("\n") == 1
