"""Notes never lie: every lesson is run once, and its notes are held against the script and against the run."""

import pytest
from lessons import (
    CAPSTONE,
    LESSONS,
    about_same,
    alike,
    blocks,
    cells,
    drawn_figure,
    is_printed,
    links,
    run_lesson,
    script_of,
    sections,
)
from PIL import Image

from common.paths import REPOSITORY

FLAT = [lesson for lesson in LESSONS if lesson not in CAPSTONE]


def notes(lesson):
    return (REPOSITORY / lesson / "notes.md").read_text(encoding="utf-8")


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


def dead_links(markdown, folder):
    """Relative links that lead nowhere."""
    return [target for target in links(markdown) if not (folder / target.split("#")[0]).exists()]


@pytest.mark.parametrize("lesson", FLAT)
def test_sections_have_the_numbers_and_titles_of_the_cells(lesson):
    assert sections(notes(lesson)) == cells(script_of(lesson).read_text(encoding="utf-8"))


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_text_block_is_what_the_run_printed(lesson):
    wrong = problems_with_text(notes(lesson), run_lesson(lesson).printed)
    assert not wrong, f"not printed by the run:\n{wrong[0]}\nthe run printed:\n{run_lesson(lesson).printed}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_python_block_stands_in_the_script(lesson):
    assert problems_with_python(notes(lesson), script_of(lesson).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_relative_link_leads_somewhere(lesson):
    assert dead_links(notes(lesson), REPOSITORY / lesson) == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_figure_is_what_the_script_draws(lesson):
    run_lesson(lesson)
    shown = {target for target in links(notes(lesson)) if target.startswith("figures/")}
    kept = {f"figures/{path.name}" for path in (REPOSITORY / lesson / "figures").glob("*")}
    assert shown == kept, "figures/ holds the pictures that the notes show, and no others"
    for figure in sorted(shown):
        drawn = drawn_figure(lesson, figure.removeprefix("figures/"))
        assert alike(REPOSITORY / lesson / figure, drawn), f"{lesson}/{figure} is out of date: type make figures"


def test_the_readme_quotes_real_output_and_links_to_real_files():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    printed = "\n".join(run_lesson(lesson).printed for lesson in CAPSTONE)
    assert blocks(readme, "text"), "the README shows what its commands print"
    assert problems_with_text(readme, printed) == []
    assert dead_links(readme, REPOSITORY) == []


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
    (tmp_path / "there.md").write_text("")
    alive = "[a](there.md) [b](there.md#part) [c](https://pytorch.org) `[d](no.md)`".replace("`[d](no.md)`", "")
    assert dead_links(alive, tmp_path) == []
    assert dead_links("![x](figures/no.png) [y](../no.md)", tmp_path) == ["figures/no.png", "../no.md"]


def test_a_picture_of_something_else_is_caught(tmp_path):
    Image.new("RGB", (40, 20), "white").save(tmp_path / "a.png")
    Image.new("RGB", (40, 20), "#eeeeee").save(tmp_path / "b.png")
    Image.new("RGB", (40, 20), "navy").save(tmp_path / "c.png")
    assert alike(tmp_path / "a.png", tmp_path / "b.png")
    assert not alike(tmp_path / "a.png", tmp_path / "c.png")
