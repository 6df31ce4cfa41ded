"""Weave the script and the notes of each lesson 00-17 into a notebook, lesson.ipynb, and run it.

Run   python tools/weave_notebooks.py [LESSON …]      all lessons, or those that are named

A section of the notes, then the script's cell of that number, then what it printed and drew. The blocks in which a
section shows what is printed, and the pictures, are left out: the cell's own output takes their place. Where a section
shows its output in several blocks, the cell is cut behind the statement that printed each of them.
"""

import ast
import base64
import io
import os
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from lessons import WOVEN, about_same, is_printed, script_of  # noqa: E402

from common.paths import home  # noqa: E402

METADATA = {  # no versions: they are others on every machine
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
BLOCK = re.compile(r"^```text *(about)?\n(.*?)^```\n|^!\[([^\]]*)\]\(figures/([^)]+)\)\n", re.MULTILINE | re.DOTALL)


@dataclass
class Code:
    """A piece of a script's cell, and what came out when it was run."""

    source: str
    outputs: list = field(default_factory=list)

    @property
    def printed(self) -> str:
        return "".join(out.text for out in self.outputs if out.output_type == "stream" and out.name == "stdout")

    @property
    def images(self) -> list:
        """The outputs that are pictures."""
        return [out for out in self.outputs if "image/png" in out.get("data", {})]

    @property
    def pictures(self) -> list[str]:
        """The files of those pictures, as the code names them."""
        return re.findall(r'savefig\(.*"([^"]+\.png)"', self.source) if self.images else []


# ---- The two sources -------------------------------------------------------------------------------------------------


def read_notes(lesson: str) -> tuple[str, dict[int, str], str]:
    """The notes of a lesson: the opening, the numbered sections, and what follows the last of them."""
    markdown = (REPOSITORY / lesson / "notes.md").read_text(encoding="utf-8")
    # GitHub's own callouts, which a notebook would show as "[!NOTE]"
    markdown = re.sub(r"^> \[!(\w+)\]\n> ", lambda m: f"> **{m[1].capitalize()}:** ", markdown, flags=re.MULTILINE)
    opening, *parts = re.split(r"^(?=## )", markdown, flags=re.MULTILINE)
    numbers = [re.match(r"## (\d+)\.", part) for part in parts]
    sections = {int(number[1]): part for number, part in zip(numbers, parts, strict=True) if number}
    return opening, sections, "".join(part for number, part in zip(numbers, parts, strict=True) if not number)


def read_script(lesson: str) -> tuple[str, dict[int, str]]:
    """The script of a lesson: its docstring and its numbered cells."""
    first, *cells = jupytext.read(script_of(lesson), fmt="py:percent").cells
    return ast.get_docstring(ast.parse(first.source)), {int(c.metadata["title"].split(".")[0]): c.source for c in cells}


def statements(source: str) -> list[Code]:
    """The statements of a cell, each with the comments and empty lines above it."""
    lines = source.splitlines(keepends=True)
    ends = [node.end_lineno for node in ast.parse(source).body]
    ends[-1] = len(lines)
    return [Code("".join(lines[start:end])) for start, end in zip([0, *ends], ends, strict=False)]


# ---- Prose and code, in the order of reading -------------------------------------------------------------------------


def shows(code: list[Code], block: re.Match) -> bool:
    """Whether the code's output is what a block of the notes shows: printed lines, or a picture."""
    about, text, _, picture = block.groups()
    if picture:
        return any(picture in piece.pictures for piece in code)
    return is_printed(text, "".join(piece.printed for piece in code), about_same if about else str.__eq__)


def arrange(section: str, code: list[Code]) -> list[str | list[Code]]:
    """A section of the notes and the pieces of its cell: prose, the code whose output the notes show there, prose …"""
    groups = []  # of blocks that follow directly on each other
    for block in BLOCK.finditer(section):
        if groups and not section[groups[-1][-1].end() : block.start()].strip():
            groups[-1].append(block)
        else:
            groups.append([block])

    arranged, prose, start = [], "", 0
    for group in groups:
        shown = [block for block in group if shows(code, block)]
        prose += section[start : group[0].start()]
        prose += "\n".join(block[0] for block in group if block not in shown)  # from elsewhere, or seen above
        start = group[-1].end()
        if shown:
            enough = next(n for n in range(1, len(code) + 1) if all(shows(code[:n], block) for block in shown))
            arranged += [prose, code[:enough]]
            prose, code = "", code[enough:]
    prose += section[start:]
    if not arranged:
        return [prose, code]
    arranged[-1] += code
    return [*arranged, prose] if prose.strip() else arranged


def opening_line(docstring: str) -> str:
    """How to run the lesson and what to look at, from the script's docstring."""
    run, see = (re.search(rf"^{word} +(.+?)(?: {{2,}}(.+))?$", docstring, re.MULTILINE) for word in ("Run", "See"))
    script = Path(run[1].split()[1]).name
    return (
        f"Run the cells here one by one, or all at once: `{run[1]}`. To see: `{see[1]}` {see[2]}. "
        f"This page is woven from [{script}]({script}) and [notes.md](notes.md)."
    )


def build(lesson: str, cells: dict[int, list[Code]]) -> nbformat.NotebookNode:
    """The notebook of a lesson, whose cells have been run."""
    opening, sections, closing = read_notes(lesson)
    docstring, _ = read_script(lesson)
    title, question, promise = opening.split("\n\n", 2)
    opening = "\n\n".join([title, question, opening_line(docstring), promise])

    notebook = new_notebook(metadata=METADATA, cells=[new_markdown_cell(opening.strip(), id="opening")])
    count = 0
    for number, section in sections.items():
        blocks = list(BLOCK.finditer(section))
        captions = {block[4]: block[3] for block in blocks}
        arranged = [[item] if isinstance(item, str) else item for item in arrange(section, cells.get(number, []))]
        for place, item in enumerate((item for items in arranged for item in items), start=1):
            name = f"section-{number}-{place}"
            if isinstance(item, str):
                notebook.cells.append(new_markdown_cell(item.strip(), id=name))
                continue
            count += 1
            for image, picture in zip(item.images, item.pictures, strict=False):
                image.metadata = {"image/png": {"alt": captions.get(picture, "")}}
            cell = new_code_cell(item.source, id=name, execution_count=count, outputs=item.outputs)
            if any(block[1] and shows([item], block) for block in blocks):
                cell.metadata.tags = ["nbval-ignore-output"]  # on another machine, its numbers are only about the same
            notebook.cells.append(cell)
    notebook.cells.append(new_markdown_cell(closing.strip(), id="closing"))
    return notebook


# ---- Running it ------------------------------------------------------------------------------------------------------


def run(lesson: str, pieces: list[Code], backend: str) -> None:
    """Run pieces of code one after the other in a fresh kernel, and keep what comes out."""
    os.environ["MPLBACKEND"] = backend
    notebook = new_notebook(metadata=METADATA, cells=[new_code_cell(piece.source) for piece in pieces])
    place = {"metadata": {"path": REPOSITORY / lesson}}  # where Jupyter, VS Code and nbval start it, too
    options = ["--log-level=ERROR", "--InlineBackend.print_figure_kwargs={'bbox_inches': None}"]  # margins uncut
    NotebookClient(
        notebook, record_timing=False, coalesce_streams=True, resources=place, extra_arguments=options
    ).execute()
    for piece, cell in zip(pieces, notebook.cells, strict=True):
        piece.outputs = [neat(output) for output in cell.outputs]


def neat(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output with paths as somebody in the repository would see them, and with small pictures."""
    if output.output_type == "stream":
        for root in (REPOSITORY, home()):
            output.text = output.text.replace(f"{root}{os.sep}", "")
    elif "image/png" in output.data:
        file = io.BytesIO()
        picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(
            file, "PNG", optimize=True
        )
        output.data["image/png"] = base64.b64encode(file.getvalue()).decode()
    return output


def weave(lesson: str) -> nbformat.NotebookNode:
    """The notebook of a lesson, run twice: statement by statement, to learn which prints what; then in its cells."""
    _, sections, _ = read_notes(lesson)
    _, script = read_script(lesson)
    cells = {number: statements(source) for number, source in script.items()}
    run(lesson, [piece for pieces in cells.values() for piece in pieces], backend="agg")
    for piece in (piece for pieces in cells.values() for piece in pieces):
        if "savefig(" in piece.source:  # it will be drawn when the cell ends
            piece.outputs.append(new_output("display_data", {"image/png": ""}))
    for number, pieces in cells.items():
        parts = [item for item in arrange(sections[number], pieces) if isinstance(item, list)]
        cells[number] = [Code("".join(piece.source for piece in part).strip("\n")) for part in parts]
    run(lesson, [part for parts in cells.values() for part in parts], backend="inline")
    return build(lesson, cells)


def main(lessons: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_HOME"] = os.environ["TORCH_HOME"] = folder
        os.environ["OMP_NUM_THREADS"] = "1"
        for lesson in lessons or WOVEN:
            file = REPOSITORY / lesson / "lesson.ipynb"
            notebook = weave(lesson)
            nbformat.write(notebook, file)
            print(f"{lesson}/{file.name}: {len(notebook.cells)} cells, {file.stat().st_size >> 10} KB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
