"""Memory that runs out: one line, exit code 2, and the run goes on from its last checkpoint as if nothing had been."""

import pytest
import torch
from lessons import load_module, script_of
from matplotlib.figure import Figure
from test_course19_train import everything

from common import UserError, checkpoint
from trainer.cli import run_cli
from trainer.memory import shortage, shortage_means
from trainer.state import EpochMetrics

train = load_module(script_of("Course19-TrainGPU"))
GPU_SAYS = (  # as PyTorch 2.15 words it
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 7.79 GiB of which 1.06 GiB is free. "
    "Including non-PyTorch memory, this process has 6.71 GiB memory in use."
)


def really_too_much():
    torch.empty(2**58, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            torch.OutOfMemoryError(GPU_SAYS),
            "out of memory on the GPU (2.50 GiB more were needed, 1.06 GiB are free)",
        ),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be …"), "out of memory on the GPU"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "out of memory on the GPU"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "out of memory on the GPU",
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.9 GiB …)"), "out of memory on the GPU"),
        (MemoryError(), "out of memory"),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
    ],
)
def test_each_way_to_run_out_of_memory_is_known_and_nothing_else(error, says):
    assert shortage(error) == says


def test_what_the_cpu_really_says_is_known():
    with pytest.raises(UserError, match=r"^out of memory: take less$"), shortage_means("take less"):
        really_too_much()
    with pytest.raises(RuntimeError, match="device-side"), shortage_means("take less"):
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_any_program_ends_in_one_line(capsys):
    assert run_cli("test.py", really_too_much) == 2
    err = capsys.readouterr().err
    assert err.startswith("test.py: out of memory: ") and err.count("\n") == 1 and "--device cpu" in err
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        run_cli("test.py", lambda: torch.zeros(2) @ torch.zeros(3))


def test_a_training_that_runs_out_of_memory_says_how_to_go_on_and_loses_nothing(
    course_home, tmp_path, pictures, monkeypatch, capsys
):
    for page in ("predictions_page", "plot_curves"):
        monkeypatch.setattr(train, page, lambda *_: Figure(figsize=(1, 1)))  # to draw takes longer than to train
    options = ["--data", str(pictures), "--epochs", "1", "--batch-size", "16", "--device", "cpu", "--save-every", "2"]
    assert train.main([*options, "--out", str(tmp_path / "whole")]) == 0
    update, steps = EpochMetrics.update, []

    def full_in_step_3(self, *args):
        steps.append(self)
        if len(steps) == 3:
            raise torch.OutOfMemoryError(GPU_SAYS)
        update(self, *args)

    capsys.readouterr()
    out = tmp_path / "parts"
    with monkeypatch.context() as patched:
        patched.setattr(EpochMetrics, "update", full_in_step_3)
        assert train.main([*options, "--out", str(out)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("train.py: out of memory on the GPU (2.50 GiB more") and err.count("\n") == 1
    assert f"--resume {out}" in err and "--batch-size" in err
    assert checkpoint.load(out / "last.pt")["unfinished"]["steps"] == 2
    assert train.main(["--resume", str(out)]) == 0
    assert everything(out / "last.pt") == everything(tmp_path / "whole/last.pt")
