"""Notes never lie: every lesson is run once, and its notes are held against the script and against the run.

And they have one form: a core of half an hour, answers that are folded, formulas that survive on the page.
"""

import re

import pytest
from lessons import (
    CAPSTONE,
    LESSONS,
    PAGES,
    SECOND_READING_HEADING,
    SECOND_READING_LINE,
    WOVEN,
    about_same,
    alike,
    blocks,
    cells,
    drawn_figure,
    is_printed,
    pages_of,
    run_lesson,
    run_page,
    sections,
    shown_figures,
    split_notes,
    split_script,
    unnumbered,
    words,
)
from markup import CODE_SPAN, FENCED, dead_links
from PIL import Image

from common.paths import REPOSITORY

CORES = [page for page in WOVEN if page.is_lesson]
MOST_WORDS, MOST_CELLS = 1500, 12  # of a core: half an hour
WIDEST = 45  # visible characters in a line of a display formula: a phone

every_page = pytest.mark.parametrize("page", PAGES, ids=str)
every_flat_page = pytest.mark.parametrize("page", WOVEN, ids=str)


def problems_with_text(markdown, printed):
    """The ```text blocks that the run did not print; in ```text about blocks, numbers may differ a little."""
    wrong = []
    for info, text in blocks(markdown, "text"):
        assert info in ("", "about"), f"a text block is marked {info!r}: only 'about' is known"
        if not is_printed(text, printed, about_same if info == "about" else str.__eq__):
            wrong.append(text)
    return wrong


def problems_with_python(markdown, script):
    """The ```python blocks that do not stand in the script; those marked `old` show what no longer runs."""
    quoted = [text for info, text in blocks(markdown, "python") if info != "old"]
    return [text for text in quoted if " ".join(text.split()) not in " ".join(script.split())]


@every_flat_page
def test_sections_have_the_numbers_and_titles_of_the_cells(page):
    markdown, script = page.read()
    assert sections(markdown) == cells(script)


@every_page
def test_every_text_block_is_what_the_run_printed(page):
    wrong = problems_with_text(page.read()[0], run_page(page).printed)
    assert not wrong, f"not printed by the run:\n{wrong[0]}\nthe run printed:\n{run_page(page).printed}"


@every_page
def test_every_python_block_stands_in_the_script(page):
    assert problems_with_python(*page.read()) == []


@every_page
def test_every_relative_link_leads_somewhere(page):
    assert dead_links(page.read()[0], page.notes.parent) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_figure_is_what_the_script_draws(lesson):
    for page in pages_of(lesson):
        run_page(page)
    kept = sorted(f"figures/{path.name}" for path in (REPOSITORY / lesson / "figures").glob("*"))
    assert shown_figures(lesson) == kept, "figures/ holds the pictures that the notes show, and no others"
    for figure in kept:
        drawn = drawn_figure(lesson, figure.removeprefix("figures/"))
        assert alike(REPOSITORY / lesson / figure, drawn), f"{lesson}/{figure} is out of date: type make figures"


def test_the_readme_quotes_real_output():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    printed = "\n".join(run_lesson(lesson).printed for lesson in CAPSTONE)
    assert blocks(readme, "text"), "the README shows what its commands print"
    assert problems_with_text(readme, printed) == []


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("*.md")), ids=lambda path: path.name)
def test_every_link_of_the_pages_at_the_top_leads_somewhere(path):
    assert dead_links(path.read_text(encoding="utf-8"), REPOSITORY) == []


# ---- Their form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", CORES, ids=str)
def test_a_lesson_has_a_core_of_half_an_hour_and_then_a_second_reading(page):
    assert problems_with_core(*page.read(), is_optional=page.number > 17) == []


@every_page
def test_an_answer_is_folded_until_the_reader_has_guessed(page):
    markdown, _ = page.read()
    assert open_answers(markdown) == []
    assert problems_with_folds(markdown) == []


@every_page
def test_formulas_survive_the_repositorys_page_and_fit_a_phone(page):
    assert problems_with_formulas(page.read()[0]) == []


def problems_with_core(markdown, script, is_optional=False):
    """What is missing in the core of a lesson or too much there; `is_optional`: it needs no second reading."""
    wrong = []
    core, second = split_notes(markdown)
    core_cells, _ = split_script(script)
    lines = SECOND_READING_LINE.findall(script)
    headings = [f"{level} {title}" for level, title in re.findall(r"^(#+) +(.+?) *$", FENCED.sub("", markdown), re.M)]
    count = len(lines), headings.count(SECOND_READING_HEADING)
    if count != (1, 1) and not (is_optional and count == (0, 0)):
        wrong.append(f"{count[0]} lines '# ---- Second reading ---…' in the script, {count[1]} headings in the notes")
    if any(not re.search(rf"\n\n{re.escape(line)}\n# %% ", script) or len(line.rstrip()) != 120 for line in lines):
        wrong.append("the line is 120 columns wide and stands above a cell, with an empty line above and below it")
    if sections(core) != cells(core_cells):
        wrong.append(f"the core has {len(sections(core))} sections and {len(cells(core_cells))} cells")
    if count == (1, 1) and not sections(second):
        wrong.append("nothing to read in the second reading")
    if words(core) > MOST_WORDS:
        wrong.append(f"{words(core):,} words in the core, not at most {MOST_WORDS:,}")
    if len(cells(core_cells)) > MOST_CELLS:
        wrong.append(f"{len(cells(core_cells))} cells in the core, not at most {MOST_CELLS}")
    if not 1 <= (broken := sum("Break it" in title for title in cells(core_cells))) <= 3:
        wrong.append(f"{broken} cells 'Break it' in the core, not 1 to 3")
    parts = unnumbered(core)
    wrong += [f"no section '{title}' in the core" for title in ("Your turn", "Recall", "Recap") if title not in parts]
    recall = parts.get("Recall", "")
    questions = re.findall(r"^(\d)\. ", recall, re.MULTILINE)
    answers = re.findall(r"<details>\s*<summary>Answer</summary>\s*\S.*?</details>", recall, re.DOTALL)
    if "Recall" in parts and (questions != list("12345") or len(answers) != 5):
        wrong.append(f"{len(questions)} questions to recall with {len(answers)} folded answers, not 5 with 5")
    return wrong


def open_answers(markdown):
    """The predictions that no folded answer follows before the next heading, or that output follows first."""
    kinds = {  # what stands at the beginning of a line, or in it
        "fence": r"^ *```(?:text)?",
        "heading": r"^#{1,6} ",
        "fold": r"^<details>",
        "prediction": r"\*Predict, then look:",
    }
    unanswered, wrong, fenced = None, [], False
    for line in markdown.splitlines():
        kind = next((kind for kind, pattern in kinds.items() if re.search(pattern, line)), None)
        opens_text = kind == "fence" and not fenced and line.strip().startswith("```text")
        if kind == "fence":
            fenced = not fenced
        elif fenced:
            continue
        if unanswered and (opens_text or kind in ("heading", "prediction")):
            wrong.append(unanswered)
            unanswered = None
        if kind == "prediction":
            unanswered = line
        elif kind == "fold":
            unanswered = None
    return wrong + ([unanswered] if unanswered else [])


def problems_with_folds(markdown):
    """Folded parts that are empty, never closed, or in which markdown is not rendered for want of an empty line."""
    text = FENCED.sub("`code`", markdown)
    wrong = ["<details> and </details> do not match"] if text.count("<details>") != text.count("</details>") else []
    for fold in re.findall(r"<details>.*?</details>", text, re.DOTALL):
        shown = re.match(r"<details>\s*<summary>([^\n]*)</summary>(.*)</details>", fold, re.DOTALL)
        if not shown or not shown[2].strip():
            wrong.append(f"no summary, or empty: {fold}")
        elif not re.match(r"\s*\n *\n", shown[2]):
            if re.search(r"[`$]|\]\(|\*\S", re.sub(r"<code>.*?</code>", "", shown[2], flags=re.DOTALL)):
                wrong.append(f"no empty line below <summary>, so write <code>, or the page shows what is typed: {fold}")
        elif not re.search(r"\n *\n *$", shown[2]):
            wrong.append(f"needs an empty line above </details>: {fold}")
        elif re.fullmatch(r"\s*\d+[.)]\s*", shown[2]):
            wrong.append(f"a number and a dot alone begin a list: {fold}")
    return wrong


def problems_with_formulas(markdown):
    """Formulas that the page's renderer damages, and lines of display formulas that are too wide for a phone."""
    wrong = []
    prose = CODE_SPAN.sub("`code`", FENCED.sub("", markdown))
    if "$$" in prose:
        wrong.append("$$: write display formulas in ```math fences")
    if re.search(r"\$`", CODE_SPAN.sub("`", FENCED.sub("", markdown))):
        wrong.append("$`…`$: a notebook does not know this form")
    for formula in re.findall(r"(?<!\$)\$(?=[^\s$])([^$]*?[^\s$])\$(?!\$)", prose):
        if escaped := re.findall(r"\\[^a-zA-Z\s]", formula):
            wrong.append(f"${formula}$: {' '.join(escaped)} loses its backslash")
    for _, display in blocks(markdown, "math"):
        wrong += [f"{line}: {n} characters wide" for line in rows(display) if (n := width(line)) > WIDEST]
    return wrong


MATRIX = re.compile(  # as wide as its widest row
    r"\\begin\{([bpvBV]?matrix|cases|array)\}(?:\{[clr| ]*\})?(.*?)\\end\{\1\}", re.DOTALL
)
OPERATOR = r"\\(?:cdot|times|approx|leq?|geq?|ne|to|in|leftarrow|rightarrow|star|ast|pm|mid|odot)(?![a-zA-Z])"


def rows(display):
    """The lines of a display formula as they are seen."""
    display = MATRIX.sub(lambda m: "x" * (2 + max(map(width, m[2].split(r"\\")))), display)
    display = re.sub(r"\\(?:begin|end)\{\w+\*?\}", "", display)
    return [" ".join(line.split()) for line in display.split(r"\\") if line.strip()]


def width(formula):
    """About how many characters wide a line of a formula is seen: an index counts less, an operator has room around."""
    text = re.sub(r"\\(?:left|right|[bB]igg?[lrm]?|limits|displaystyle|label\{\w*\})(?![a-zA-Z])|[&~]", "", formula)
    text = re.sub(r"\\(q?)quad(?![a-zA-Z])", lambda m: "xxxx" if m[1] else "xx", text)
    text = re.sub(r"\\[,;:!> ]|\\(?:thinspace|enspace)(?![a-zA-Z])", " ", text)
    text = re.sub(r"\\(?:text|mathrm|operatorname)\{([^{}]*)\}", lambda m: "x" * len(m[1]), text)
    text = re.sub(r"\\(log|ln|exp|max|min|sin|cos|tanh|arg|lim|det|sum|prod|int)(?![a-zA-Z])", seen_as, text)
    text = re.sub(OPERATOR, "=", text)
    before = None
    while before != text:  # from the innermost braces to the outermost
        before = text
        text = re.sub(r"\\[dt]?frac *\{([^{}]*)\} *\{([^{}]*)\}", lambda m: "x" * max(map(room, m.groups())), text)
        text = re.sub(r"\\(?:under|over)(?:brace|set) *\{([^{}]*)\}(?:[_^]?\{([^{}]*)\})?", widest, text)
        text = re.sub(r"[_^] *(?:\{([^{}]*)\}|(\\[a-zA-Z]+|[^\s{}\\]))", small, text)
        text = re.sub(r"(?<![_^}])(\\[a-zA-Z]+)? *\{([^{}]*)\}", lambda m: "x" * room(m[2]) if m[1] else m[2], text)
    return room(text)


def room(text):
    """The same, of text in which no brace, fraction or index is left."""
    text = re.sub(r"\\[a-zA-Z]+|\\.", "x", text)
    return len("".join(text.split())) + len(re.findall(r"[=+<>−]|(?<=[\w)\]]) *- *", text))


def seen_as(match):
    return "Σ" if match[1] in ("sum", "prod", "int") else "x" * len(match[1])


def widest(match):
    return "x" * max(room(part or "") for part in match.groups())


def small(match):
    return "x" * max(1, round(0.7 * room(match[1] or match[2] or "")))


# ---- The check itself: it must catch each kind of lie ----------------------------------------------------------------

PRINTED = "images (64, 3, 32, 32)\nloss 1.234 accuracy 56.7% 3.2 s\nparameters 168\ndone"


def test_a_changed_number_is_caught():
    assert problems_with_text("```text\nparameters 168\n```\n", PRINTED) == []
    assert problems_with_text("```text\nparameters 169\n```\n", PRINTED) == ["parameters 169\n"]


def test_left_out_lines_are_allowed_only_where_dots_stand_for_them():
    assert problems_with_text("```text\nimages (64, 3, 32, 32)\n...\ndone\n```\n", PRINTED) == []
    assert problems_with_text("```text\nimages (64, 3, 32, 32)\ndone\n```\n", PRINTED)
    assert problems_with_text("```text\ndone\n...\nimages (64, 3, 32, 32)\n```\n", PRINTED), "in this order only"


def test_about_allows_a_little_and_no_more():
    assert problems_with_text("```text about\nloss 1.250 accuracy 58.0% 9.9 s\n```\n", PRINTED) == []
    assert problems_with_text("```text about\nloss 1.234 accuracy 76.7% 3.2 s\n```\n", PRINTED)
    assert problems_with_text("```text about\nloss 1.834 accuracy 56.7% 3.2 s\n```\n", PRINTED)
    assert problems_with_text("```text about\nparameters 190\n```\n", PRINTED)
    assert problems_with_text("```text about\nerror 1.234 accuracy 56.7% 3.2 s\n```\n", PRINTED), "words are exact"


def test_a_renamed_cell_is_caught():
    script = "# %% 1. Setup\nimport torch\n# %% 2. Look\nprint(1)\n"
    assert sections("# Title\n## 1. Setup\ntext\n## 2. Look\n## Recap\n") == cells(script)
    assert sections("## 1. Setup\n## 2. Look closer\n") != cells(script)


def test_a_python_block_that_the_script_does_not_hold_is_caught():
    script = "conv = nn.Conv2d(3, 6,\n    kernel_size=3)\n"
    assert problems_with_python("```python\nconv = nn.Conv2d(3, 6, kernel_size=3)\n```\n", script) == []
    assert problems_with_python("```python\nconv = nn.Conv2d(3, 6, kernel_size=5)\n```\n", script)
    assert problems_with_python("```python old\nmodel.cuda()\n```\n", script) == []


def test_a_dead_link_and_a_missing_figure_are_caught(tmp_path):
    (tmp_path / "there.md").write_text("# A title\n## 3. `Part` of it, or not?\n## Twice\n## Twice\n", encoding="utf-8")
    alive = "[a](there.md) [b](there.md#3-part-of-it-or-not) [c](https://pytorch.org) [d](there.md#twice-1)"
    assert dead_links(alive, tmp_path) == []
    assert dead_links("![x](figures/no.png) [y](../no.md)", tmp_path) == ["figures/no.png", "../no.md"]
    dead = ["there.md#2-part-of-it-or-not", "there.md#twice-2", "there.md#a"]
    assert dead_links(" ".join(f"[x]({target})" for target in dead), tmp_path) == dead


def test_a_link_inside_code_is_no_link(tmp_path):
    assert dead_links("`[d](no.md)` and ``[`d`](no.md)``\n\n```python\nx[0](no)\n```\n", tmp_path) == []
    assert dead_links("`x` [`d`](no.md) `y`", tmp_path) == ["no.md"]


def test_a_link_to_a_heading_of_the_same_page_is_followed(tmp_path):
    page = "# Course 08 · Conv2d\n[up](#course-08--conv2d) [down](#3-the-end)\n\n```python\n# 3 the end\n```\n"
    assert dead_links(page, tmp_path) == ["#3-the-end"]
    assert dead_links(page + "## 3. The end\n", tmp_path) == []
    assert dead_links(page + '<a id="3-the-end"></a>\n', tmp_path) == []


def test_a_picture_of_something_else_is_caught(tmp_path):
    Image.new("RGB", (40, 20), "white").save(tmp_path / "a.png")
    Image.new("RGB", (40, 20), "#eeeeee").save(tmp_path / "b.png")
    Image.new("RGB", (40, 20), "navy").save(tmp_path / "c.png")
    assert alike(tmp_path / "a.png", tmp_path / "b.png")
    assert not alike(tmp_path / "a.png", tmp_path / "c.png")


# A lesson in the right form, and what may be wrong with it.

LINE = f"# ---- Second reading {'-' * 98}"
SCRIPT = f"""# %% 1. Setup
x = 1

# %% 2. Break it: by zero
x / 0

{LINE}

# %% 3. Later
x = 3
"""
QUESTIONS = "".join(f"{n}. Why {n}?\n   <details><summary>Answer</summary>Because.</details>\n" for n in range(1, 6))
NOTES = f"""# Course 99 · Made up

## 1. Setup

## 2. Break it: by zero

## Your turn

Write.

## Recall

{QUESTIONS}
## Recap

# Second reading

For later.

## 3. Later
"""


def test_a_lesson_in_the_right_form_passes():
    assert problems_with_core(NOTES, SCRIPT) == []


@pytest.mark.parametrize(
    ("notes", "script", "problem"),
    [
        (
            NOTES.replace("# Second reading\n", ""),
            SCRIPT,
            "1 lines '# ---- Second reading ---…' in the script, 0 headings",
        ),
        (NOTES + "# Second reading\n", SCRIPT, "---…' in the script, 2 headings in the notes"),
        (NOTES.replace("# Second reading", "## Second reading"), SCRIPT, "0 headings in the notes"),
        (NOTES, SCRIPT.replace(LINE, ""), "0 lines '# ---- Second reading ---…' in the script"),
        (NOTES, SCRIPT.replace(LINE, LINE[:-1]), "the line is 120 columns wide"),
        (NOTES, SCRIPT.replace(f"\n\n{LINE}", f"\n{LINE}"), "with an empty line above and below"),
        (NOTES.replace("## Your turn", "## 3. Later\n\n## Your turn"), SCRIPT, "the core has 3 sections and 2 cells"),
        (NOTES.replace("Write.", "word " * 1500), SCRIPT, " words in the core, not at most 1,500"),
        (NOTES, SCRIPT.replace("x = 1", "# %% 1. More\n" * 11), "13 cells in the core, not at most 12"),
        (NOTES, SCRIPT.replace("Break it", "Mend it"), "0 cells 'Break it' in the core, not 1 to 3"),
        (NOTES, SCRIPT.replace("x = 1", "# %% 1. Break it: x\n" * 3), "4 cells 'Break it' in the core, not 1 to 3"),
        (NOTES.replace("## Your turn", "## Exercises"), SCRIPT, "no section 'Your turn' in the core"),
        (NOTES.replace("## Recap\n", "") + "## Recap\n", SCRIPT, "no section 'Recap' in the core"),
        (NOTES.replace("5. Why", "Why"), SCRIPT, "4 questions to recall with 5 folded answers"),
        (NOTES.replace("Because.", "", 1), SCRIPT, "5 questions to recall with 4 folded answers"),
        (NOTES.replace("<summary>Answer</summary>", "", 1), SCRIPT, "5 questions to recall with 4 folded answers"),
    ],
)
def test_a_core_that_lacks_something_or_is_too_long_is_caught(notes, script, problem):
    assert any(problem in found for found in problems_with_core(notes, script)), problems_with_core(notes, script)


def test_a_lesson_that_needs_no_second_reading_has_both_marks_of_it_or_none():
    notes, script = NOTES.split("# Second reading")[0], SCRIPT.split(LINE)[0]
    assert problems_with_core(notes, script, is_optional=True) == []
    assert problems_with_core(notes, script) != []
    assert problems_with_core(NOTES, script, is_optional=True) != []


FOLD = "<details>\n<summary>Look</summary>\n\n```text\n42\n```\n\nBecause.\n\n</details>\n"


def test_a_prediction_with_an_open_answer_is_caught():
    question = "*Predict, then look:* how many?\n\n"
    assert open_answers(question + FOLD + question + "See:\n\n```math\nx\n```\n\n" + FOLD) == []
    assert open_answers(question + "```text\n42\n```\n\n" + FOLD) == [question.strip()]
    assert open_answers(question + "## 4. Next\n" + FOLD) == [question.strip()]
    assert open_answers(question + question + FOLD) == [question.strip()]
    assert open_answers(FOLD + question) == [question.strip()]
    assert open_answers(question + "```python\n# no heading\n```\n" + FOLD) == []


def test_a_fold_that_is_empty_or_shows_its_markdown_as_typed_is_caught():
    assert problems_with_folds(FOLD + QUESTIONS) == []
    assert "do not match" in problems_with_folds(FOLD + "<details>")[0]
    assert "or empty" in problems_with_folds("<details>\n<summary>Look</summary>\n\n</details>")[0]
    assert "or empty" in problems_with_folds("<details>\n\nBecause.\n\n</details>")[0]
    assert "below <summary>" in problems_with_folds(FOLD.replace("</summary>\n\n", "</summary>\n"))[0]
    assert "above </details>" in problems_with_folds(FOLD.replace(".\n\n</details>", ".\n</details>"))[0]
    for marked in ("`relu`", "$x$", "*so*", "[a](b.md)"):
        assert "below <summary>" in problems_with_folds(QUESTIONS.replace("Because.", marked, 1))[0]
    assert problems_with_folds("<details><summary>Answer</summary>\n\n   `relu`.\n\n   </details>") == []
    assert problems_with_folds("<details><summary>Answer</summary><code>a * b</code> is 2 * 3.</details>") == []
    assert "begin a list" in problems_with_folds("<details><summary>Answer</summary>\n\n200.\n\n</details>")[0]


def test_a_formula_that_the_page_damages_is_caught():
    fine = "so $x_1 \\cdot \\frac{a}{b}$ and `$a\\,b$`\n\n```math\na\\,b \\\\ c\n```\n\n```python\nx = '$$'\n```\n"
    assert problems_with_formulas(fine) == []
    for mark in (r"\,", r"\;", r"\!", r"\{", r"\_", r"\\", r"\|"):
        assert mark in problems_with_formulas(f"so $a{mark}b$ is")[0]
    assert "two lines" not in problems_with_formulas("in $a +\nb\\,c$ two lines")[0]
    assert "$$" in problems_with_formulas("$$x$$")[0]
    assert "notebook" in problems_with_formulas("so $`x`$ is")[0]


@pytest.mark.parametrize(
    ("formula", "least", "most"),
    [
        (r"a + b", 4, 6),
        (r"\text{loss} = 2", 6, 8),
        (r"\frac{abcdef}{gh}", 6, 6),
        (r"\sqrt{\frac{1}{2} + x^2}", 4, 7),
        (r"\left\lfloor \frac{I + 2p - k}{s} \right\rfloor + 1", 10, 18),
        (r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix} x", 4, 8),
        (r"\underbrace{W_2 W_1}_{\text{one matrix}} x", 7, 12),
        (r"\log \sum_{i=1}^{n} e^{x_i}", 6, 13),
        (r"\text{parameters} = C_\text{out}\,(C_\text{in}\,k_H\,k_W + 1) = 6\,(3\cdot 3\cdot 3 + 1) = 168", 46, 70),
    ],
)
def test_the_width_of_a_formula_is_about_what_is_seen(formula, least, most):
    (row,) = rows(formula)
    assert least <= width(row) <= most


def test_a_display_formula_that_is_too_wide_for_a_phone_is_caught():
    wide = " + ".join("abcdefg")
    assert problems_with_formulas(f"```math\n{wide} = {wide}\n```\n") == []
    assert len(problems_with_formulas(f"```math\n{wide} = {wide} = {wide}\n```\n")) == 1
    aligned = rf"\begin{{aligned}}{wide} &= {wide} \\ &= {wide} \end{{aligned}}"
    assert len(rows(aligned)) == 2 and problems_with_formulas(f"```math\n{aligned}\n```\n") == []
