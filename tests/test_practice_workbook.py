"""A learner's copy of the exercises is made once, is never overwritten, and can be made anew without a loss."""

import pytest

from common import UserError
from practice.lessons import Lesson, split_cells
from practice.workbook import Workbook

STARTER = '''"""Course 77 · Things: practice."""

# %% Setup
import math

# %% 1. A value (predict, 3 min)
# Which?
value = ...

# %% 2. A function (write, 10 min)


def double(x):
    return ...


# %% 3. A function that is wrong (mend, 5 min)
def half(x):
    return x * 2


# %% Check
from practice import check

check("Course77-Things", globals())
'''


@pytest.fixture
def workbook(tmp_path, monkeypatch):
    monkeypatch.setenv("LANGUAGE", "en")
    folder = tmp_path / "Course77-Things"
    folder.mkdir()
    (folder / "exercises.py").write_text(STARTER, encoding="utf-8")
    return Workbook(Lesson(folder), tmp_path / "workbook 练习" / "Course77-Things.py")


def write(workbook, text):
    workbook.path.parent.mkdir(exist_ok=True)
    workbook.path.write_text(text, encoding="utf-8")


def first_line(workbook):
    return f"# Your copy of Course77-Things/exercises.py ({workbook.digest}). Updates of the course never touch it.\n"


def cells_of(text):
    return {cell.number or cell.title: cell.text for cell in split_cells(text)}


def test_a_copy_is_the_starter_below_a_line_that_says_so(workbook):
    assert workbook.read() == first_line(workbook) + STARTER, "what is to be done is known before the copy is made"
    workbook.make()
    first, rest = workbook.path.read_text(encoding="utf-8").split("\n", 1)
    assert rest == STARTER
    assert first.startswith("# Your copy of Course77-Things/exercises.py (")
    assert [path.name for path in workbook.path.parent.iterdir()] == ["Course77-Things.py"]


def test_a_copy_is_never_overwritten(workbook):
    write(workbook, "mine")
    workbook.make()
    assert workbook.read() == "mine"


def test_an_update_of_the_course_leaves_the_copy_and_is_noticed(workbook):
    workbook.make()
    text = workbook.read()
    assert not workbook.is_outdated()
    (workbook.lesson.folder / "exercises.py").write_text(STARTER.replace("Which?", "Which one?"), encoding="utf-8")
    updated = Workbook(Lesson(workbook.lesson.folder), workbook.path)
    updated.make()
    assert updated.read() == text and updated.is_outdated()
    write(workbook, "# my own first line\n" + STARTER)
    assert not updated.is_outdated(), "a copy of unknown age is not called old"


def test_reset_makes_the_file_anew_and_keeps_each_old_one(workbook):
    assert workbook.reset() is None and workbook.read() == first_line(workbook) + STARTER
    for n in (1, 2):
        write(workbook, f"mine {n}")
        kept = workbook.reset()
        assert kept.name == f"Course77-Things.old-{n}.py" and kept.read_text() == f"mine {n}"
        assert workbook.read() == first_line(workbook) + STARTER


@pytest.mark.parametrize("number", [1, 2, 3])
def test_reset_of_one_cell_leaves_the_others_as_they_are(workbook, number):
    mine = STARTER.replace("value = ...", "value = 3").replace("return ...", "return 2 * x").replace("x * 2", "x / 2")
    write(workbook, f"# {mine}\n\n# %% My own cell\nprint(3)")
    kept = workbook.reset(number)
    assert kept.read_text(encoding="utf-8").endswith("print(3)")
    before, after = cells_of(kept.read_text(encoding="utf-8")), cells_of(workbook.read())
    assert after[number].strip() == cells_of(STARTER)[number].strip()
    assert {n: text for n, text in after.items() if n != number} == {n: t for n, t in before.items() if n != number}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_reset_brings_a_missing_cell_back_to_its_place(workbook, number):
    write(workbook, STARTER.replace(cells_of(STARTER)[number], ""))
    assert workbook.missing() == [number]
    workbook.reset(number)
    assert workbook.read() == STARTER


def test_of_two_cells_with_one_number_reset_leaves_one(workbook):
    write(workbook, STARTER + "\n" + cells_of(STARTER)[2].replace("...", "7"))
    workbook.reset(2)
    assert [cell.number for cell in split_cells(workbook.read()) if cell.number] == [1, 2, 3]
    assert "return 7" not in workbook.read()


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_from_a_different_system_is_read(workbook, line_end, mark):
    workbook.path.parent.mkdir()
    workbook.path.write_bytes((mark + STARTER.replace("Which?", "哪个?")).replace("\n", line_end).encode())
    assert workbook.read() == STARTER.replace("Which?", "哪个?")


@pytest.mark.parametrize("encoding", ["gbk", "utf-16", "latin-1"])
def test_a_file_in_a_different_encoding_is_refused_in_one_line(workbook, encoding):
    workbook.path.parent.mkdir()
    workbook.path.write_bytes(STARTER.replace("Which?", "é" if encoding == "latin-1" else "练习").encode(encoding))
    with pytest.raises(UserError, match="is not in UTF-8: save it as UTF-8") as caught:
        workbook.read()
    assert "\n" not in str(caught.value)


def test_a_folder_in_the_place_of_the_file_is_refused_and_reset_moves_it_away(workbook):
    workbook.path.mkdir(parents=True)
    (workbook.path / "notes.txt").touch()
    with pytest.raises(UserError, match="Is a directory.*reset 77"):
        workbook.read()
    assert (workbook.reset() / "notes.txt").exists() and workbook.read() == first_line(workbook) + STARTER


def test_a_home_that_cannot_be_written_is_refused_in_one_line(workbook):
    workbook.path.parent.touch()  # a file where the folder would be
    with pytest.raises(UserError, match="cannot make the folder"):
        workbook.make()
