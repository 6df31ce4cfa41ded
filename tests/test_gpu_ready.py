"""What `make gpu` does, as far as it can be seen without a GPU: its file, its failures, its tables, its settings."""

import json
import subprocess
import weakref
from pathlib import Path

import measure_gpu
import pytest
import test_gpu
import torch
from measure_gpu import NOT_MEASURED, Failed, Part, figure
from test_course19_train import stop_after, train

from common import UserError, checkpoint
from common.models import MODELS, make_model
from common.paths import REPOSITORY
from trainer import distributed, startup

NOTES = (REPOSITORY / "Course19-TrainGPU" / "notes.md").read_text(encoding="utf-8")
SMALL = measure_gpu.Settings(torch.device("cpu"), small=True)


def test_all_tests_for_a_gpu_are_marked_so_and_skipped_for_want_of_one_alone():
    marked, skipped, _ = (mark.mark for mark in test_gpu.pytestmark)
    assert marked.name == "gpu" and skipped.kwargs == {"reason": "no GPU"}
    assert skipped.args == (not torch.cuda.is_available(),)
    assert test_gpu.only_real.args == (False,), "on a GPU, and where there is none, nothing else is left out"


def test_the_command_for_a_gpu_is_one_line_of_the_makefile():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert "\ngpu: $(INSTALLED) " in makefile and "\n\t$(RUN) tools/measure_gpu.py\n" in makefile


# ---- The measurement -------------------------------------------------------------------------------------------------


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def parts(monkeypatch, **functions):
    """Measure these parts, and not those of the tool."""
    monkeypatch.setattr(measure_gpu, "PARTS", {name: Part(function) for name, function in functions.items()})


def measured(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_without_a_gpu_it_says_so_ends_well_and_writes_nothing(no_gpu, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(measure_gpu, "measure", lambda *_: pytest.fail("it measured"))
    assert measure_gpu.main(["--out", str(tmp_path / "gpu.json")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("no GPU: ") and out.count("\n") == 1 and err == ""
    assert not list(tmp_path.iterdir())


def test_a_part_that_fails_is_written_down_and_printed_and_the_others_run(tmp_path, capsys, monkeypatch):
    path = tmp_path / "new" / "gpu.json"

    def first(_):
        return {"speed": figure(12.3456789, "pictures/s", "python a.py")}

    def second(_):
        assert measured(path)["parts"]["first"]["figures"], "what is done is on the disk before the next part begins"
        assert measured(path)["finished"] is False
        raise RuntimeError("no kernel image is available\nfor execution")

    def third(_):
        raise Failed("2 tests failed", {"passed": figure(7, "tests", "pytest")})

    parts(monkeypatch, first=first, second=second, third=third, fourth=first)
    assert measure_gpu.main(["--device", "cpu", "--out", str(path)]) == 1
    found, (out, err) = measured(path), capsys.readouterr()
    assert found["finished"] is True and list(found["parts"]) == ["first", "second", "third", "fourth"]
    speed = {"value": 12.346, "unit": "pictures/s", "command": "python a.py"}
    assert found["parts"]["first"]["figures"] == found["parts"]["fourth"]["figures"] == {"speed": speed}
    assert found["parts"]["second"]["error"] == "RuntimeError: no kernel image is available"
    assert found["parts"]["third"]["figures"]["passed"]["value"] == 7
    assert "second: 0 s, FAILED: RuntimeError: no kernel image is available" in out
    assert err == "failed: second, third, see above\n"


def test_parts_that_are_measured_one_by_one_come_together_unless_the_machine_has_changed(tmp_path, monkeypatch):
    path, machine = tmp_path / "gpu.json", {"GPU": "a"}
    monkeypatch.setattr(measure_gpu, "describe_machine", lambda _: dict(machine))
    parts(monkeypatch, one=lambda _: {}, two=lambda _: {})

    def only(name):
        assert measure_gpu.main(["--device", "cpu", "--out", str(path), "--only", name]) == 0
        return measured(path)

    assert only("one")["parts"].keys() == {"one"} and measured(path)["finished"] is False
    assert only("two")["parts"].keys() == {"one", "two"} and measured(path)["finished"] is True
    machine["GPU"] = "b"
    assert only("two")["parts"].keys() == {"two"}


def test_what_is_not_installed_is_named_in_one_line_and_only_what_needs_it_is_left_out(tmp_path, capsys, monkeypatch):
    parts(monkeypatch, with_it=lambda _: {}, without=lambda _: {})
    measure_gpu.PARTS["with_it"].needs = ("torch", "no_such_package")
    assert measure_gpu.main(["--device", "cpu", "--out", str(tmp_path / "gpu.json")]) == 1
    assert "what needs it is left out: no_such_package\n" in capsys.readouterr().out
    found = measured(tmp_path / "gpu.json")["parts"]
    assert "not installed here: no_such_package" in found["with_it"]["error"] and "error" not in found["without"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--device", "cpu"], "name an --out FILE"),
        (["--only", "everything"], "invalid choice"),
        (["--table", "--out", "no/such.json"], "type make gpu"),
    ],
)
def test_bad_options_get_one_clear_line(argv, says, capsys):
    assert measure_gpu.main(argv) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


REPORT = """<testsuites><testsuite tests="4"><testcase name="a"/><testcase name="b"><failure/></testcase>
<testcase name="c"><error/></testcase><testcase name="d"><skipped/></testcase></testsuite></testsuites>"""


def test_a_failed_test_fails_the_part_and_is_named(monkeypatch):
    def pytest_ran(command, **_):
        (report,) = (word.removeprefix("--junitxml=") for word in command if word.startswith("--junitxml="))
        Path(report).write_text(REPORT)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(measure_gpu.subprocess, "run", pytest_ran)
    with pytest.raises(Failed, match="these tests failed: b, c") as caught:
        measure_gpu.run_tests(SMALL)
    assert [caught.value.figures[kind]["value"] for kind in ("passed", "skipped", "failed")] == [1, 1, 2]


def test_a_program_that_fails_is_an_error_with_its_last_line(tmp_path):
    (tmp_path / "fails.py").write_text(
        "import sys; print('a warning', file=sys.stderr); sys.exit('too ' + sys.argv[1])"
    )
    with pytest.raises(UserError, match=r"fails.py ended with exit code 1: too small$"):
        measure_gpu.run_program(tmp_path / "fails.py", "small", timeout=60)


def test_the_work_of_a_step_is_what_its_layers_multiply_and_add():
    """A product is a multiplication and an addition; backward does it twice more, once for the first layer."""
    convolutions = [32 * 32 * 32 * 3 * 25, 16 * 16 * 32 * 32 * 25, 8 * 8 * 64 * 32 * 25]
    linear = [1024 * 64, 64 * 10]
    expected = 2 * 64 * (3 * sum(convolutions + linear) - convolutions[0])
    found = measure_gpu.profile_steps(SMALL)
    assert found["work of a step"]["value"] == pytest.approx(expected / 1e9, rel=1e-4)
    assert found["one by one: a step"]["value"] > 0


def test_the_small_parts_run_on_a_cpu_too():
    assert set(measure_gpu.measure_ceilings(SMALL)) >= {"copy", "product, bfloat16", "a kernel, launched alone"}
    assert list(measure_gpu.vary_sizes(SMALL)) == ["cnn, batch 64"]


def ladder(times, epoch, test):
    values = {"graph: times": times, "graph: epoch": epoch, "graph: test": test, "graph: training": 333_000.0}
    values |= {"graph: evaluation": 500_000.0, "graph: evaluation, times": 70.0}
    values |= {"floor: alone: times": 900.0, "floor: alone: epoch": 0.001, "floor: alone: test": 0.001}
    return {name: figure(value, "", "python speed.py") for name, value in values.items()}


@pytest.mark.parametrize(
    ("numbers", "reached"),
    [((50.0, 0.1499, 0.0499), [True] * 3), ((49.9, 0.15, 0.05), [False] * 3), ((60.0, 0.2, 0.01), [True, False, True])],
)
def test_the_bars_are_judged_by_the_best_row_and_never_by_the_floor(numbers, reached):
    bars = measure_gpu.judge({"ladder": {"figures": ladder(*numbers)}})
    assert [bar["reached"] for bar in bars] == reached
    assert measure_gpu.judge({"tests": {"figures": {}}}) == [], "nothing measured, nothing judged"


FOUND = {
    "machine": {"GPU": "Made-up 9000", "driver": "1.2", "PyTorch": "2.15.0", "date": "2026-11-21"},
    "parts": {
        "ladder": {"figures": ladder(61.04, 0.15, 0.02)},
        "training": {
            "figures": {
                "modern: accuracy": figure(87.65, "%", "python Course19-TrainGPU/train.py --data drawn"),
                "modern: an epoch": figure(0.3333, "s", "the same"),
                "modern: all": figure(12.0, "s", "the same"),
            }
        },
        "profile": {"figures": {"graph: a step": figure(181.6, "µs", ""), "graph: kernels": figure(61.0, "", "")}},
    },
}


def test_the_tables_show_the_numbers_of_the_file_and_on_what_they_were_measured():
    lines = measure_gpu.tables(FOUND).splitlines()
    assert "| graph | 333,000 | 61.0 | 500,000 | 70.0 |" in lines
    assert "| modern | 87.7 % | 0.33 s | `train.py --data drawn` |" in lines
    assert "| graph | 182 µs | – µs | 61 |" in lines
    assert lines[-1] == "(`make gpu`, 2026-11-21: Made-up 9000, driver 1.2, PyTorch 2.15.0.)"


def problems_with_gpu_notes(notes, found):
    """The lines of the tables that do not stand in the notes; without a file, the sentence that says so, if missing."""
    if found is None:
        return [] if NOT_MEASURED in notes else [NOT_MEASURED]
    stale = [NOT_MEASURED] if NOT_MEASURED in notes else []
    return stale + [line for line in measure_gpu.tables(found).splitlines() if line not in notes.splitlines()]


def test_the_notes_show_what_was_measured_on_a_gpu_or_say_that_nothing_was():
    path = measure_gpu.MEASURED
    assert problems_with_gpu_notes(NOTES, measured(path) if path.exists() else None) == []


def test_notes_that_differ_from_the_file_are_caught():
    assert problems_with_gpu_notes(measure_gpu.tables(FOUND), FOUND) == []
    assert problems_with_gpu_notes(f"{NOT_MEASURED}\n{measure_gpu.tables(FOUND)}", FOUND) == [NOT_MEASURED]
    assert len(problems_with_gpu_notes(measure_gpu.tables(FOUND).replace("61.0", "62.0"), FOUND)) == 1
    assert problems_with_gpu_notes("nothing", None) == [NOT_MEASURED]


# ---- What train.py needs on a GPU ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_no_network_draws_random_numbers_in_a_step(name):
    """So a checkpoint needs no state of the GPU's generator: --resume would have to put it back."""
    size = 64 if name == "resnet18-224" else 32
    model, before = make_model(name).train(), torch.get_rng_state()
    model(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert torch.equal(torch.get_rng_state(), before)


def test_deterministic_sets_all_that_pytorch_asks_for(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    try:
        startup.compute_deterministically()
        assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
        assert startup.os.environ["CUBLAS_WORKSPACE_CONFIG"] in (":4096:8", ":16:8"), "the two that PyTorch takes"
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_run_from_before_there_was_deterministic_goes_on_with_it(course_home, pictures, monkeypatch, capsys):
    out, options = course_home / "run", ["--epochs", "2", "--limit", "100", "--batch-size", "32", "--device", "cpu"]
    stop_after(1, monkeypatch)
    assert train.main(["--data", str(pictures), *options, "--out", str(out)]) == 130
    saved = checkpoint.load(out / "last.pt")
    assert saved["options"].pop("deterministic") is False
    checkpoint.save(out / "last.pt", saved)
    monkeypatch.setattr(train, "finish", lambda *_: None)  # it draws, which takes longer than to train
    assert train.main(["--resume", str(out), "--deterministic"]) == 0
    assert checkpoint.load(out / "last.pt")["options"]["deterministic"] is True
    assert not torch.are_deterministic_algorithms_enabled(), "a CPU is left as it is"


@pytest.mark.parametrize("error", [ValueError("stopped"), RuntimeError("Connection closed by peer")], ids=repr)
def test_what_a_stopped_training_leaves_is_gone_before_the_processes_part(error, monkeypatch):
    """With PyTorch 2.11, a DistributedDataParallel that outlived its process group waited for ever, now and then."""

    class Wrapper:
        pass

    def fit():
        wrapper = Wrapper()
        alive.append(weakref.ref(wrapper))
        raise error

    alive, seen = [], []
    monkeypatch.setattr(distributed.dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend: None)
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: seen.append(alive[0]() is None))
    with pytest.raises((ValueError, UserError)), distributed.process_group("cpu"):
        fit()
    assert seen == [True]
