"""The ladder of speed.py: its rungs must do the same work, or their speeds say nothing."""

import json
import subprocess
import sys

import pytest
import torch
from lessons import load_module

from common import UserError
from common.paths import REPOSITORY

FOLDER = REPOSITORY / "Course19-TrainGPU"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    yield load_module(FOLDER / "speed.py")
    sys.modules.pop("train", None)  # its name is too common to stay


def test_a_quick_climb_prints_a_row_for_each_rung_and_draws_them(speed, course_home, capfd):
    assert speed.main(["--quick", "--pictures", "640", "--device", "cpu"]) == 0
    printed = capfd.readouterr().out
    here = speed.rungs_here(torch.device("cpu"))
    rows = [line for line in printed.splitlines() if line.startswith(tuple(speed.RUNGS.values()))]
    floors = [line for line in printed.splitlines() if line.startswith(tuple(speed.FLOORS.values()))]
    assert len(rows) + len(floors) == len(here) and floors
    losses = [float(row.split()[-3]) for row in rows]
    assert losses == pytest.approx([losses[0]] * len(rows), rel=1e-3) and 2 < losses[0] < 2.5
    assert f"instructions: {torch.backends.cpu.get_cpu_capability()}" in printed
    assert (course_home / "outputs/Course19-TrainGPU/speed.png").exists()


@pytest.mark.parametrize(("rung", "refused"), [("channels", True), ("sleep", True), ("amp", False)])
def test_a_rung_that_does_other_work_is_refused(rung, refused, speed, monkeypatch):
    def measured(command, **_):
        loss = 2.3 * (1.01 if command[command.index("--rung") + 1] == rung else 1)
        answer = json.dumps({"loss": loss, "test_loss": 2.3, "speed": 1, "test_speed": 1})
        return subprocess.CompletedProcess(command, 0, answer)

    monkeypatch.setattr(speed.subprocess, "run", measured)
    if refused:
        with pytest.raises(UserError, match=f"{rung} has a loss of 2.32"):
            speed.climb(list(speed.RUNGS), [])
    else:
        assert speed.climb(list(speed.RUNGS), [])[rung]["loss"] > 2.3, (
            "bfloat16 rounds: its loss is shown, not held against the others"
        )


def test_ratios_are_taken_within_a_turn_and_then_their_median(speed):
    turns = []
    for slow, factor in ((1, 2), (10, 3), (100, 4)):  # the machine gets ten times faster from turn to turn
        turn = {rung: {"speed": slow * factor, "test_speed": slow} for rung in speed.RUNGS}
        turns.append(turn | {"videos": {"speed": slow, "test_speed": slow}})
    rows = speed.summarise(turns)
    assert rows["sleep"]["times"] == 3 and rows["videos"]["times"] == 1 and rows["amp"]["test_times"] == 1


def test_the_floor_is_the_ratio_to_the_same_turns_floor(speed):
    turns = []
    for slow, share in ((1, 0.5), (10, 0.8), (100, 0.6)):
        turn = {rung: {"speed": slow * share, "test_speed": slow} for rung in ("videos", "sleep", "amp")}
        turns.append(
            turn | {"floor": {"speed": slow, "test_speed": slow}, "floor-amp": {"speed": 2 * slow, "test_speed": slow}}
        )
    rows = speed.summarise(turns)
    assert rows["sleep"]["of_floor"] == pytest.approx(0.6) and rows["amp"]["of_floor"] == pytest.approx(0.3)


def test_bfloat16_is_left_out_on_a_cpu_without_its_instructions(speed, monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(speed, "has_fast_bfloat16", lambda device: False)
    assert speed.rungs_here(cpu) == [rung for rung in (*speed.RUNGS, *speed.FLOORS) if "amp" not in rung]
    monkeypatch.setattr(speed, "has_fast_bfloat16", lambda device: True)
    assert speed.rungs_here(cpu) == [*speed.RUNGS, *speed.FLOORS]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--rung", "videos"], "leave --rung out"),
        (["--rung", "floor", "--file", "no/such"], "leave --rung out"),
        (["--turns", "0"], "whole number of at least 1"),
        (["--colour", "red"], "unrecognized arguments"),
    ],
)
def test_bad_options_get_one_clear_line(argv, says, speed, course_home, capsys):
    assert speed.main(argv) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
