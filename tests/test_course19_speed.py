"""The ladder of speed.py: its rungs must do the same work, or their speeds say nothing."""

import contextlib
import io
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from lessons import load_module

from common import UserError
from common.paths import REPOSITORY, home

FOLDER = REPOSITORY / "Course19-TrainGPU"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "train", raising=False)
    yield load_module(FOLDER / "speed.py")
    sys.modules.pop("train", None)  # its name is too common to stay


@pytest.fixture
def in_this_process(speed, monkeypatch):
    """Rungs that are climbed without a process of their own, which takes seconds to start; "sleep" alone has one."""
    run, here = subprocess.run, []

    def climbed(command, **kwargs):
        rung = command[command.index("--rung") + 1]
        if rung == "sleep":
            return run(command, **kwargs)
        here.append(rung)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = speed.main(command[2:])
        return subprocess.CompletedProcess(command, code, printed.getvalue())

    monkeypatch.setattr(speed.subprocess, "run", climbed)
    monkeypatch.setattr(speed, "keep_freed_memory", lambda: here.append("kept"))
    monkeypatch.setattr(speed, "FLOOR_SECONDS", 0.1)
    return here


def test_a_quick_climb_prints_a_row_for_each_rung_and_draws_them(speed, in_this_process, tmp_path, capfd):
    """In the home of all tests: there the pictures are drawn already, which would take as long as the climb."""
    chart = home() / "outputs/Course19-TrainGPU/speed.png"
    chart.unlink(missing_ok=True)
    assert speed.main(["--quick", "--pictures", "128", "--device", "cpu", "--json", str(tmp_path / "rows")]) == 0
    printed = capfd.readouterr().out
    here = speed.rungs_here(torch.device("cpu"))
    rows = [line for line in printed.splitlines() if line.startswith(tuple(speed.RUNGS.values()))]
    floors = [line for line in printed.splitlines() if line.startswith(tuple(speed.FLOORS.values()))]
    assert len(rows) + len(floors) == len(here) and floors
    losses = [float(row.split()[-3]) for row in rows]
    assert losses == pytest.approx([losses[0]] * len(rows), rel=1e-3) and 2 < losses[0] < 2.5
    assert f"instructions: {torch.backends.cpu.get_cpu_capability()}" in printed
    assert chart.exists()
    written = json.loads((tmp_path / "rows").read_text())
    assert list(written["rows"]) == here and written["pictures"] == 128
    assert [written["rows"][rung]["loss"] for rung in speed.RUNGS if rung in here] == pytest.approx(losses, abs=1e-5)
    assert in_this_process[:3] == ["videos", "malloc", "kept"], "the first rung takes memory as the videos do"


def test_the_rungs_of_a_gpu_do_the_same_work(speed, monkeypatch):
    """Tried on a CPU, where a graph is the plain step; without the last rung, which would compile for a minute."""
    pictures = np.random.default_rng(0).integers(0, 256, (144, 32, 32, 3), dtype=np.uint8)
    monkeypatch.setattr(speed, "LOOK_EVERY", 2)
    found = {}
    for number, rung in enumerate(speed.GPU_RUNGS, 1):
        if rung != "compile":
            has = set(list(speed.GPU_RUNGS)[:number])
            found[rung] = speed.train_and_evaluate(has, pictures, torch.device("cpu"), repeat_for=0.01)
    for name in ("loss", "test_loss"):
        first, *same = [found[rung][name] for rung in ("videos", "memory", "sums", "channels")]
        assert same == pytest.approx([first] * 3, rel=speed.SAME_LOSS)
        rounded = [found[rung][name] for rung in ("amp", "graph", "tried")]
        assert rounded == pytest.approx([first] * 3, rel=speed.ROUNDED_LOSS)
        assert rounded[1:] == pytest.approx([rounded[0]] * 2, rel=1e-6), "a graph changes nothing but the launches"


def test_work_is_repeated_until_its_seconds_add_up_and_the_first_answer_counts(speed):
    answers = iter(range(100))

    def work():
        time.sleep(0.01)
        return next(answers)

    assert speed.timed(work)[0] == 0 and next(answers) == 1, "once, where nothing is said"
    first, seconds = speed.timed(work, 0.035)
    assert first == 2 and 2 <= len(seconds) <= 4 and sum(seconds) >= 0.035 > sum(seconds[:-1])


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
        assert speed.climb(list(speed.RUNGS), [])[rung]["loss"] > 2.3, "bfloat16 rounds: a hundredth is allowed"


@pytest.mark.parametrize(("loss", "refused"), [(2.3, False), (2.33, False), (2.4, True), (float("nan"), True)])
def test_where_bfloat16_rounds_a_loss_may_differ_a_little_and_no_more(loss, refused, speed, monkeypatch):
    def measured(command, **_):
        answer = {"loss": loss if command[command.index("--rung") + 1] == "graph" else 2.3, "test_loss": 2.3}
        return subprocess.CompletedProcess(command, 0, json.dumps(answer | {"speed": 1, "test_speed": 1}))

    monkeypatch.setattr(speed.subprocess, "run", measured)
    if refused:
        with pytest.raises(UserError, match="graph has a loss of"):
            speed.climb(list(speed.GPU_RUNGS), [])
    else:
        assert list(speed.climb(list(speed.GPU_RUNGS), [])) == list(speed.GPU_RUNGS)


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


def test_a_gpu_has_a_ladder_of_its_own_and_without_bfloat16_it_ends_where_that_begins(speed, monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(speed, "has_fast_bfloat16", lambda device: True)
    assert speed.rungs_here(gpu) == [*speed.GPU_RUNGS, *speed.FLOORS]
    monkeypatch.setattr(speed, "has_fast_bfloat16", lambda device: False)
    assert speed.rungs_here(gpu) == ["videos", "memory", "sums", "channels", "floor"]


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
