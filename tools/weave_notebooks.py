"""Weave the script and the notes of each page into a notebook, and run it: lesson.ipynb for the lessons 00-18.

Run   python tools/weave_notebooks.py [PAGE …]      all pages, or those whose names begin so:
                                                    Course08, Course19-TrainGPU/two_ways

A section of the notes, then the script's cell of that number, then what it printed and drew. The blocks in which a
section shows what is printed, and the pictures, are left out: the cell's own output takes their place. Where a section
shows its output in several blocks, the cell is cut behind the statement that printed each of them. Where the notes fold
an output (<details>), the notebook folds it, too, and the prose after it stays folded. Sections without a number stand
where they stand in the notes.
"""

import ast
import base64
import io
import os
import re
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

import jupytext
import nbformat
from lessons import SECOND_READING_LINE, WOVEN, Page, about_same, chosen, is_printed
from markup import split_at_headings
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from common.paths import REPOSITORY, home

METADATA = {  # no versions: they differ from machine to machine
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
AT_ONCE = 2  # pages woven at the same time; each kernel computes on one thread
SECONDS = 300  # for one cell, at most

BLOCK = re.compile(r"^```text *(about)?\n(.*?)^```\n|^!\[([^\]]*)\]\(figures/([^)]+)\)\n", re.MULTILINE | re.DOTALL)
FOLDED = re.compile(r"^<details>\s*<summary>(.*?)</summary>\n(.*?)^</details>$\n?", re.MULTILINE | re.DOTALL)
MATH = re.compile(r"^( *)```math *\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
CALLOUT = re.compile(r"^> \[!(\w+)\]\n> ", re.MULTILINE)


class Unfit(Exception):
    """Notes and script do not fit together; the message says where and why."""


@dataclass
class Part:
    """A part of the notes: the opening, or a section, with the number of its cell where it has one."""

    name: str  # with which the ids of its cells in the notebook begin
    text: str
    number: int | None = None


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


@dataclass
class Shown:
    """Pieces of a cell whose output is shown at one place, and whether it is folded there."""

    code: list[Code]
    folded: bool = False


# ---- The two sources -------------------------------------------------------------------------------------------------


def read_notes(page: Page) -> list[Part]:
    """The parts of the notes, in their order: the opening, numbered sections, and others, as "Recap"."""
    markdown = page.notes.read_text(encoding="utf-8")
    # What GitHub knows and a notebook does not: callouts, which it would show as "[!NOTE]", and formulas in a fence.
    markdown = CALLOUT.sub(lambda m: f"> **{m[1].capitalize()}:** ", markdown)
    markdown = MATH.sub(lambda m: f"{m[1]}$$\n{m[2]}{m[1]}$$", markdown)
    opening, *others = split_at_headings(markdown)
    parts = [Part("opening", opening)]
    for text in others:
        title = text.split("\n", 1)[0].lstrip("# ")
        if number := re.match(r"(\d+)\. ", title):
            parts.append(Part(f"section-{number[1]}", text, int(number[1])))
        else:
            parts.append(Part(re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:48], text))
    names = [part.name for part in parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Unfit(f"the notes have two sections with the number or title of {', '.join(twice)}")
    return parts


def read_script(page: Page) -> tuple[str, dict[int, str]]:
    """The script: its docstring and its numbered cells, without the line that begins the second reading."""
    first, *cells = jupytext.read(page.script, fmt="py:percent").cells
    numbered = {}
    for cell in cells:
        number = re.match(r"(\d+)\. ", cell.metadata.get("title", ""))
        if not number or int(number[1]) in numbered:
            raise Unfit(f"a cell of {page.script.name} has no number of its own: {cell.source.strip()[:60]!r}")
        numbered[int(number[1])] = SECOND_READING_LINE.sub("", cell.source).rstrip()
    docstring = ast.get_docstring(ast.parse(first.source))
    if not docstring or not numbered:
        raise Unfit(f"{page.script.name} does not begin with a docstring and a cell '# %% 1. …'")
    return docstring, numbered


def statements(source: str) -> list[Code]:
    """The statements of a cell, each with the comments and empty lines above it."""
    lines = source.splitlines(keepends=True)
    ends = [node.end_lineno for node in ast.parse(source).body] or [0]
    ends[-1] = len(lines)
    return [Code("".join(lines[start:end])) for start, end in zip([0, *ends], ends, strict=False)]


# ---- Prose and code, in the order of reading -------------------------------------------------------------------------


def shows(code: list[Code], block: re.Match) -> bool:
    """Whether the code's output is what a block of the notes shows: printed lines, or a picture."""
    about, text, _, picture = block.groups()
    if picture:
        return any(picture in piece.pictures for piece in code)
    return is_printed(text, "".join(piece.printed for piece in code), about_same if about else str.__eq__)


def regions(section: str) -> list[tuple[str, str]]:
    """A section cut into what is open and what is folded: ("", text), ("Look", text), ("", text) …"""
    found, start = [], 0
    for fold in FOLDED.finditer(section):
        found += [("", section[start : fold.start()]), (fold[1], fold[2])]
        start = fold.end()
    return [*found, ("", section[start:])]


def groups_of_blocks(text: str) -> list[list[re.Match]]:
    """The blocks of a text, in groups that follow directly on each other."""
    groups = []
    for block in BLOCK.finditer(text):
        if groups and not text[groups[-1][-1].end() : block.start()].strip():
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def enough(code: list[Code], blocks: list[re.Match]) -> int:
    """How many of the pieces it takes to show all these blocks."""
    return next(n for n in range(1, len(code) + 1) if all(shows(code[:n], block) for block in blocks))


def folded(text: str, summary: str) -> str:
    """Prose of a region, folded where the notes fold it: the empty lines let the markdown inside be rendered."""
    if not summary:
        return text
    return f"<details>\n<summary>{summary}</summary>\n\n{text.strip()}\n\n</details>\n" if text.strip() else ""


def arrange(section: str, code: list[Code]) -> list[str | Shown]:
    """A section of the notes and the pieces of its cell: prose, the code whose output the notes show there, prose …"""
    arranged, prose = [], ""
    cut = regions(section)
    for place, (summary, text) in enumerate(cut):
        later = [block for fold, rest in cut[place + 1 :] if fold for block in BLOCK.finditer(rest)]
        inside, start = "", 0
        for group in groups_of_blocks(text):
            shown = [block for block in group if shows(code, block)]
            if shown and not summary:  # never at the price of an answer that the same statements print
                n = enough(code, shown)
                if any(shows(code[:n], block) and not shows(code[n:], block) for block in later):
                    shown = []
            inside += text[start : group[0].start()]
            others = "\n".join(block[0] for block in group if block not in shown)  # from elsewhere, or seen above
            start = group[-1].end()
            if shown and summary:  # drawn elsewhere, to be looked at beside what the cell prints
                before, after = inside, others
            else:
                before, after = inside + others, ""
            if shown:
                n = enough(code, shown)
                arranged += [prose + folded(before, summary), Shown(code[:n], bool(summary))]
                prose, inside, code = "", after, code[n:]
            else:
                inside = before
        prose += folded(inside + text[start:], summary)
    shown = [item for item in arranged if isinstance(item, Shown)]
    if shown:
        shown[-1].code += code
    elif code:
        return [prose, Shown(code)]
    return [item for item in [*arranged, prose] if isinstance(item, Shown) or item.strip()]


def opening_of(page: Page, text: str, docstring: str, has_folds: bool) -> str:
    """The opening of the notes, with a paragraph about the notebook: how to run it, what to look at, what is folded."""
    run, see = (re.search(rf"^{word} +(.+?)(?: {{2,}}(.+))?$", docstring, re.MULTILINE) for word in ("Run", "See"))
    if not run:
        raise Unfit(f"the docstring of {page.script.name} has no line 'Run   python …'")
    about = [f"Run the cells here one by one, or all at once: `{run[1]}`."]
    if see:
        about.append(f"To see: `{see[1]}`" + (f" {see[2]}." if see[2] else "."))
    if has_folds:
        about.append("Below a question the output may be folded: guess first, then run the cell, or click on `…`.")
    about.append(
        f"This page is woven from [{page.script.name}]({page.script.name}) and [{page.notes.name}]({page.notes.name})."
    )
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join([*paragraphs[:2], " ".join(about), *paragraphs[2:]])


def build(page: Page, cells: dict[int, list[Code]]) -> nbformat.NotebookNode:
    """The notebook of a page, whose cells have been run."""
    opening, *parts = read_notes(page)
    docstring, _ = read_script(page)
    notebook = new_notebook(metadata=METADATA)
    count, has_folds = 0, False
    for part in parts:
        blocks = list(BLOCK.finditer(part.text))
        captions = {block[4]: block[3] for block in blocks}
        items = arrange(part.text, cells.get(part.number, [])) if part.number else [part.text]
        flat = [piece for item in items for piece in ([item] if isinstance(item, str) else item.code)]
        hidden = [piece for item in items if isinstance(item, Shown) and item.folded for piece in item.code]
        for place, item in enumerate(flat, start=1):
            name = f"{part.name}-{place}" if part.number else part.name
            if isinstance(item, str):
                notebook.cells.append(new_markdown_cell(item.strip(), id=name))
                continue
            count += 1
            for image, picture in zip(item.images, item.pictures, strict=False):
                image.metadata = {"image/png": {"alt": captions.get(picture, "")}}
            cell = new_code_cell(item.source, id=name, execution_count=count, outputs=item.outputs)
            if any(block[1] and shows([item], block) for block in blocks):
                cell.metadata.tags = ["nbval-ignore-output"]  # on another machine, its numbers are only about the same
            if any(item is piece for piece in hidden):
                cell.metadata.jupyter = {"outputs_hidden": True}  # JupyterLab folds it, until the cell is run
                has_folds = True
            notebook.cells.append(cell)
    notebook.cells.insert(0, new_markdown_cell(opening_of(page, opening.text, docstring, has_folds), id=opening.name))
    return notebook


# ---- Running it ------------------------------------------------------------------------------------------------------


def run(page: Page, cells: dict[int, list[Code]], backend: str) -> None:
    """Run the pieces of all cells one after the other in a fresh kernel, and keep what comes out."""
    for kind in ("logs", "checkpoints", "outputs"):  # as if the page had never been run
        if home() != REPOSITORY:
            shutil.rmtree(home() / kind / page.folder, ignore_errors=True)
    numbers, pieces = zip(*((number, piece) for number, pieces in cells.items() for piece in pieces), strict=True)
    notebook = new_notebook(metadata=METADATA, cells=[new_code_cell(piece.source) for piece in pieces])
    place = {"metadata": {"path": page.script.parent}}  # where Jupyter, VS Code and nbval start it, too
    options = ["--log-level=ERROR", "--InlineBackend.print_figure_kwargs={'bbox_inches': None}"]  # margins uncut
    client = NotebookClient(
        notebook,
        record_timing=False,
        coalesce_streams=True,
        resources=place,
        extra_arguments=options,
        timeout=SECONDS,
    )
    try:
        client.execute(env=os.environ | {"MPLBACKEND": backend, "TQDM_DISABLE": "1"})
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        done = max(client.code_cells_executed, 1)  # the last of these is the one that failed
        runnable = [number for number, piece in zip(numbers, pieces, strict=True) if piece.source.strip()]
        last = re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip().splitlines()[-1]
        raise Unfit(f"section {runnable[done - 1]}: the cell does not run: {last}") from error
    for piece, cell in zip(pieces, notebook.cells, strict=True):
        piece.outputs = [neat(output) for output in cell.outputs if not is_progress_bar(output)]


def is_progress_bar(output: nbformat.NotebookNode) -> bool:
    """Whether an output is what tqdm draws, even where it is told to be quiet: 50%|#####     |"""
    return output.output_type == "stream" and output.name == "stderr" and bool(re.search(r"\d%\|", output.text))


def neat(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """An output with paths as somebody in the repository would see them, and with small pictures."""
    if output.output_type == "stream":
        for root in (REPOSITORY, home()):
            output.text = output.text.replace(f"{root}{os.sep}", "")
    elif "image/png" in output.get("data", {}):
        file = io.BytesIO()
        picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(
            file, "PNG", optimize=True
        )
        output.data["image/png"] = base64.b64encode(file.getvalue()).decode()
    return output


def check_numbers(parts: list[Part], script: dict[int, str]) -> None:
    """Refuse notes and a script whose numbers differ, or stand in another order."""
    noted, there = [part.number for part in parts if part.number], list(script)
    for number in sorted(set(noted) ^ set(there)):
        places = ("the notes", "the script") if number in noted else ("the script", "the notes")
        raise Unfit(f"section {number} stands in {places[0]} and not in {places[1]}")
    if noted != there:
        raise Unfit(f"the notes have the sections in the order {noted}, the script the cells in the order {there}")


def check_outputs(parts: list[Part], cells: dict[int, list[Code]]) -> None:
    """Refuse text that no cell printed."""
    everything = [piece for pieces in cells.values() for piece in pieces]
    for part in parts:
        for block in BLOCK.finditer(part.text):
            if block[2] and not shows(everything, block):
                raise Unfit(f"{part.name}: no cell prints this block of the notes:\n{block[2].rstrip()}")


def weave(page: Page) -> nbformat.NotebookNode:
    """The notebook of a page, run twice: statement by statement, to learn which prints what; then in its cells."""
    parts = read_notes(page)
    _, script = read_script(page)
    check_numbers(parts, script)
    cells = {number: statements(source) for number, source in script.items()}
    run(page, cells, backend="agg")
    for piece in (piece for pieces in cells.values() for piece in pieces):
        if "savefig(" in piece.source:  # it will be drawn when the cell ends
            piece.outputs.append(new_output("display_data", {"image/png": ""}))
    check_outputs(parts, cells)
    sections = {part.number: part.text for part in parts if part.number}
    for number, pieces in cells.items():
        shown = [item.code for item in arrange(sections[number], pieces) if isinstance(item, Shown)]
        cells[number] = [Code("".join(piece.source for piece in part).strip("\n")) for part in shown]
    run(page, cells, backend="inline")
    return build(page, cells)


def weave_file(page: Page) -> str:
    """Write the notebook of a page. Says what it wrote, or why it cannot."""
    try:
        notebook = weave(page)
    except (Unfit, SyntaxError) as error:
        raise Unfit(f"{page}, {error}") from error  # with its page
    nbformat.write(notebook, page.notebook)
    hidden = sum("jupyter" in cell.metadata for cell in notebook.cells)
    size = page.notebook.stat().st_size >> 10
    return f"{page}: {page.notebook.name}, {len(notebook.cells)} cells, {hidden} outputs folded, {size} KB"


def main(names: list[str]) -> int:
    """Weave the pages; those that cannot be woven keep their notebooks. Returns 0, or 1 where one could not."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COURSE_HOME"] = os.environ["TORCH_HOME"] = folder
        os.environ["OMP_NUM_THREADS"] = "1"
        with ProcessPoolExecutor(AT_ONCE) as pool:
            for future in as_completed([pool.submit(weave_file, page) for page in chosen(WOVEN, names)]):
                try:
                    print(future.result(), flush=True)
                except Unfit as error:
                    print(f"not woven: {error}", file=sys.stderr, flush=True)
                    failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
