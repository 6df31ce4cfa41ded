"""The stand-ins are drawn once, whole or not at all, and again when they are not as they were drawn."""

import pickle

import pytest
import torch

from common import UserError, data, standins
from common.standins import draw_once


def test_pictures_are_drawn_once_and_again_after_the_code_changed(course_home, monkeypatch):
    drawn_folders = []
    target = course_home / "data" / "some"

    def draw(fresh):
        drawn_folders.append(fresh)
        (fresh / "picture").write_text(str(len(drawn_folders)))

    for _ in range(2):
        draw_once(target, draw)
    assert len(drawn_folders) == 1
    (target / "drawn-by.txt").write_text("older code")
    draw_once(target, draw)
    assert (target / "picture").read_text() == "2"
    assert [p.name for p in target.parent.iterdir()] == ["some"], "nothing else is left behind"


def test_drawing_that_fails_leaves_nothing(course_home):
    def draw(fresh):
        (fresh / "half").write_text("")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        draw_once(course_home / "data" / "some", draw)
    assert list((course_home / "data").iterdir()) == []


def test_what_draws_decides_when_to_draw_again_and_nothing_else(course_home):
    """A change of another function in the file must not throw 10,000 pictures away; another way of drawing must."""

    def draw(fresh):
        (fresh / "picture").write_text("one")

    def draw_differently(fresh):
        (fresh / "picture").write_text("other")

    target = course_home / "data" / "some"
    draw_once(target, draw)
    drawn_at = (target / "picture").stat().st_mtime_ns
    draw_once(target, draw)
    assert (target / "picture").stat().st_mtime_ns == drawn_at
    draw_once(target, draw_differently)
    assert (target / "picture").read_text() == "other"


@pytest.mark.parametrize("fault", ["changed", "cut short", "missing", "added", "stamp"])
def test_a_drawn_cache_that_was_tampered_with_is_drawn_again(fault, course_home, monkeypatch, capsys):
    """Its files are pickles, which may run code when they are opened: none is that is not as it was drawn."""
    images = torch.zeros(2000, 3, 32, 32, dtype=torch.uint8)
    monkeypatch.setattr(standins.drawn, "draw_cifar", lambda labels, seed: images)  # in no time
    assert len(data.cifar10(train=False)) == 2000
    folder = course_home / "data" / "drawn-cifar10"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    if fault == "changed":
        (folder / "test_batch").write_bytes(pickle.dumps({"data": RunsCode(), "labels": []}))
    elif fault == "cut short":
        (folder / "test_batch").write_bytes(before["test_batch"][:1000])
    elif fault == "missing":
        (folder / "batches.meta").unlink()
    elif fault == "added":
        (folder / "data_batch_6").write_bytes(b"")
    else:
        (folder / "drawn-by.txt").write_bytes(b"\xff\xfe")
    assert len(data.cifar10(train=False)) == 2000
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "this ran" not in capsys.readouterr().out


class RunsCode:
    """A pickle that would run code when it is opened."""

    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_person_who_waits_is_told_why_and_a_file_is_not(is_terminal, course_home, monkeypatch, capsys):
    monkeypatch.setattr(standins.sys.stderr, "isatty", lambda: is_terminal)
    for _ in range(2):  # drawn the first time only
        draw_once(course_home / "data" / "some", lambda fresh: (fresh / "picture").write_text(""))
    assert capsys.readouterr().err.count("drawing pictures into ") == is_terminal


def test_a_damaged_cache_that_cannot_be_drawn_again_is_one_line(course_home, monkeypatch):
    def draw(fresh):
        (fresh / "picture").write_text("whole")

    def full(fresh):
        raise OSError(28, "No space left on device")

    target = course_home / "data" / "some"
    draw_once(target, draw)
    (target / "picture").write_text("half")
    with pytest.raises(UserError, match="cannot draw pictures into .*some .No space left"):
        draw_once(target, full)
