"""Paths: found from the code, and files that are written whole or not at all."""

from pathlib import Path

import pytest

from common import UserError, paths

REPOSITORY = Path(__file__).parent.parent


def test_the_root_is_the_repository_or_course_home(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    assert paths.home() == tmp_path.resolve()
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.chdir(tmp_path)
    assert paths.home() == REPOSITORY, "found from the code's own place, not from the current directory"
    assert paths.data_dir() == REPOSITORY / "data" and paths.log_dir("X") == REPOSITORY / "logs" / "X"


def test_a_folder_that_cannot_be_made_is_named_with_a_way_out(course_home):
    (course_home / "outputs").write_text("in the way")
    with pytest.raises(UserError, match="cannot make the folder .*outputs.*COURSE_HOME"):
        paths.output_dir("Course08-Conv2d")


def test_a_fresh_log_folder_is_empty_and_leaves_other_lessons_alone(course_home):
    for lesson in ("Course08-Conv2d", "Course09-Pool"):
        (paths.log_dir(lesson) / "run").mkdir(parents=True)
    assert paths.fresh_log_dir("Course08-Conv2d") == course_home / "logs" / "Course08-Conv2d"
    assert [folder.name for folder in (course_home / "logs").iterdir()] == ["Course09-Pool"]


def test_a_path_is_shown_as_it_would_be_typed_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert paths.shown(tmp_path / "a" / "b.pt") == str(Path("a") / "b.pt")
    assert paths.shown(tmp_path.parent / "b.pt") == str(tmp_path.parent / "b.pt")


def test_atomic_write_swaps_the_file_at_the_end_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), paths.atomic_write(path) as beside:
        beside.write_text("half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with paths.atomic_write(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
