"""Everything that a GPU must show: `python -m pytest -m gpu`, or `make gpu`, which measures as well.

Where there is no GPU, all of it is skipped. GPU_TESTS_ON=cpu runs what means something on a CPU, to try the tests
themselves.
"""

import contextlib
import io
import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from children import TRAIN, Server, wait_for
from lessons import load_module, script_of
from test_course19_train import everything, signal_in_batch
from torch import nn

from common import checkpoint
from common.checkpoint import load_trained
from common.device import has_fast_bfloat16, pick_device
from common.drawn import CIFAR_CLASSES
from common.models import MODELS
from trainer import distributed, startup
from trainer.graphs import GraphedEpochs
from trainer.options import new_run_options
from trainer.signals import StopSignals
from trainer.state import EpochMetrics

GPU = os.environ.get("GPU_TESTS_ON", "cuda")
IS_REAL = GPU == "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(IS_REAL and not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.filterwarnings("default"),  # compilers and drivers have their own
]
only_real = pytest.mark.skipif(not IS_REAL, reason="a CPU cannot stand in for the GPU here")
device = torch.device(GPU)

train = load_module(script_of("Course19-TrainGPU"))


def run(*argv, capsys=None):
    """The program in this process: exit code, standard output, standard error."""
    code = train.main([str(a) for a in (*argv, "--device", GPU)])
    printed = capsys.readouterr() if capsys else None
    return (code, printed.out, printed.err) if capsys else code


def one_line(text):
    """The one clear line of the program on standard error; PyTorch's own warnings may stand beside it."""
    own = [line for line in text.splitlines() if line.startswith("train.py: ")]
    assert len(own) == 1 and "Traceback" not in text, text
    return own[0]


@pytest.fixture
def exact():
    """Products in float32 as everywhere else: by default, a GPU's convolutions round to TF32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture
def deterministic():
    """What --deterministic sets in this process, and unset afterwards."""
    if IS_REAL:
        startup.compute_deterministically()
    yield
    torch.use_deterministic_algorithms(False)


# ---- The default run -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    """The folder of a run with no option but the device, and what it printed; on a CPU a short one."""
    out, printed = tmp_path_factory.mktemp("default") / "run", io.StringIO()
    short = [] if IS_REAL else ["--limit", "300", "--epochs", "1"]
    if IS_REAL:
        torch.cuda.reset_peak_memory_stats()
    with contextlib.redirect_stdout(printed):
        assert train.main(["--data", "drawn", "--out", str(out), *short]) == 0
    return out, printed.getvalue()


@only_real
def test_auto_picks_the_gpu_and_says_which(default_run):
    picked, line = pick_device("auto")
    assert picked.type == "cuda" and torch.cuda.get_device_name(picked) in line
    assert default_run[1].startswith(line + "\n")


@only_real
def test_the_default_run_reaches_the_accuracy_that_the_notes_state(default_run):
    assert 0.75 <= checkpoint.load(default_run[0] / "last.pt")["test"]["accuracy"] <= 0.92


@only_real
def test_a_run_takes_less_than_a_gibibyte_of_the_gpu(default_run):
    """12,000 pictures are 37 MB, the largest activations 33 MB a layer; cuDNN takes the rest."""
    assert 37 * 10**6 < torch.cuda.max_memory_allocated() < 2**30


@only_real
def test_memory_does_not_grow_from_epoch_to_epoch(pictures, tmp_path):
    peaks = []
    for epochs in (2, 8):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        assert run("--data", pictures, "--epochs", epochs, "--out", tmp_path / str(epochs)) == 0
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < peaks[0] + 2**20


# ---- The same numbers as on a CPU ------------------------------------------------------------------------------------


def losses_of_20_steps(on, recipe):
    options = new_run_options(["--data", "drawn", "--recipe", recipe, "--limit", "2000", "--val-split", "0"])
    loaders, metadata = train.build_loaders(options, on)
    state = train.build_state(options, metadata, len(loaders["train"]), on)
    losses = []

    class Noted(EpochMetrics):
        def update(self, loss, logits, labels):
            losses.append(loss.item())
            super().update(loss, logits, labels)

    loss_fn = nn.CrossEntropyLoss(label_smoothing=options["label_smoothing"])
    batches = itertools.islice(loaders["train"], 20)
    train.train_one_epoch(state.model, batches, loss_fn, state.optimizer, state.scheduler, metrics=Noted())
    return losses


@pytest.mark.parametrize(("recipe", "allowed"), [("classic", 1e-5), ("modern", 1e-2)])
def test_the_losses_of_the_first_20_steps_are_those_of_a_cpu(recipe, allowed, exact):
    """Relatively, in float32, which differs from float64 on a CPU by 1.4e-7 and 7e-4 in these steps."""
    here, there = losses_of_20_steps(device, recipe), losses_of_20_steps(torch.device("cpu"), recipe)
    assert len(here) == 20 and here == pytest.approx(there, rel=allowed)


def test_a_network_says_on_the_gpu_what_it_says_on_a_cpu(default_run, exact):
    test = load_module(script_of("Course20-ModelTest"))
    images = torch.randint(0, 256, (600, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    said = [
        test.predict(load_trained(default_run[0] / "best.pt", list(CIFAR_CLASSES)), images, on)
        for on in (device, torch.device("cpu"))
    ]
    assert all(probabilities.device.type == "cpu" for probabilities in said)
    torch.testing.assert_close(*said, rtol=0, atol=1e-4)


def test_the_test_program_finds_the_accuracy_that_the_training_found(default_run, capsys):
    test = load_module(script_of("Course20-ModelTest"))
    assert test.main(["--checkpoint", str(default_run[0] / "best.pt"), "--data", "drawn", "--device", GPU]) == 0
    found = float(re.search(r"accuracy ([\d.]+)%", capsys.readouterr().out)[1])
    stated = checkpoint.load(default_run[0] / "last.pt")["test"]["accuracy"]
    assert found == pytest.approx(100 * stated, abs=0.1), "to two of 2,000 pictures"


# ---- Stop and go on --------------------------------------------------------------------------------------------------

FOUR_EPOCHS = ["--epochs", 4, "--batch-size", 8, "--val-split", 0.25, "--save-every", 2]  # 5 steps each, 1 validation


@pytest.mark.parametrize("more", [[], ["--no-amp"], ["--optimizer", "adamw"], ["--model", "resnet20"]], ids=str)
@pytest.mark.parametrize("batch", [2, 9], ids=["first epoch", "second epoch"])
def test_a_resumed_run_equals_an_undisturbed_one_to_the_last_bit(
    more, batch, pictures, tmp_path, deterministic, monkeypatch, capsys
):
    options = ["--data", pictures, *FOUR_EPOCHS, "--deterministic", *more]
    assert run(*options, "--out", tmp_path / "whole") == 0
    signal_in_batch(batch, monkeypatch)
    assert run(*options, "--out", tmp_path / "parts") == 130
    assert run("--resume", tmp_path / "parts") == 0
    for name in ("last.pt", "best.pt"):
        assert everything(tmp_path / "parts" / name) == everything(tmp_path / "whole" / name)


def test_a_checkpoint_of_the_gpu_goes_on_on_a_cpu_and_back(pictures, tmp_path, monkeypatch, capsys):
    options = ["--data", pictures, *FOUR_EPOCHS, "--no-amp"]
    assert run(*options, "--out", tmp_path / "whole") == 0
    out = tmp_path / "parts"
    signal_in_batch(4, monkeypatch)
    assert run(*options, "--out", out) == 130
    signal_in_batch(6, monkeypatch)
    assert train.main(["--resume", str(out), "--device", "cpu"]) == 130
    assert run("--resume", out) == 0
    ours, theirs = (checkpoint.load(folder / "last.pt")["history"] for folder in (out, tmp_path / "whole"))
    assert [row["loss/train"] for row in ours] == pytest.approx([row["loss/train"] for row in theirs], rel=0.05)
    assert [row["epoch"] for row in ours] == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Programs as real processes. The server itself never touches the GPU, or its children could not."""
    server = Server(tmp_path_factory.mktemp("children"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed(server, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    child = server.run("--data", pictures, *FOUR_EPOCHS, "--device", GPU, "--deterministic", "--out", out)
    assert child.code == 0, child.err
    return out


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_process_that_is_stopped_or_killed_goes_on_as_if_nothing_had_been(
    signum, code, server, pictures, undisturbed, tmp_path
):
    out = tmp_path / "run"
    argv = ["--data", pictures, *FOUR_EPOCHS, "--device", GPU, "--deterministic", "--out", out]
    child = server.start(*argv, first={"note_steps": {"hold_at": 9}})
    wait_for(lambda: len(child.steps) == 9 or child.ended(), "step 8")
    child.signal(signum)
    if signum == signal.SIGTERM:
        child.go_on()
    assert child.wait() == code, child.err
    assert checkpoint.load(out / "last.pt")["epoch"] == 1
    child = server.run("--resume", out)
    assert child.code == 0, child.err
    assert everything(out / "last.pt") == everything(undisturbed / "last.pt")


# ---- What goes wrong -------------------------------------------------------------------------------------------------


@only_real
def test_a_gpu_without_enough_memory_is_one_line_and_the_run_goes_on_when_there_is_more(tmp_path, capsys):
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 300 * 2**20) / total)
    out = tmp_path / "run"
    try:  # steps of 4,000 pictures: 524 MB for what the first layer gives
        code, _, err = run(
            "--data", "drawn", "--epochs", 1, "--batch-size", 4000, "--out", out, "--no-amp", capsys=capsys
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert code == 2 and "out of memory on the GPU (" in one_line(err) and f"--resume {out}" in one_line(err)
    assert run("--resume", out) == 0


@pytest.mark.parametrize("bad_step", [1, 37, 50, 51, 79])
def test_a_loss_that_is_not_finite_is_found_within_fifty_steps_and_names_the_right_one(
    bad_step, tmp_path, monkeypatch, capsys
):
    update = EpochMetrics.update

    def infinite(self, loss, *rest):
        update(self, loss * torch.inf if self.steps + 1 == bad_step else loss, *rest)

    monkeypatch.setattr(EpochMetrics, "update", infinite)
    options = ["--data", "drawn", "--limit", 700, "--batch-size", 8, "--epochs", 2]  # 630 pictures: 79 steps
    code, _, err = run(*options, "--out", tmp_path / "run", capsys=capsys)
    assert code == 2 and f"the loss is not finite at step {bad_step} of epoch 1 " in one_line(err)
    assert checkpoint.load(tmp_path / "run/last.pt")["unfinished"]["steps"] == 0, "nothing of it was saved"


# ---- Mixed precision, compiled, frozen -------------------------------------------------------------------------------


@only_real
def test_bfloat16_is_on_by_default_and_costs_less_than_a_point(tmp_path):
    if not has_fast_bfloat16(device):
        assert train.choose_amp(None, device) is False
        return
    assert train.choose_amp(None, device) is True and train.choose_amp(False, device) is False
    accuracies = {"--amp": [], "--no-amp": []}
    for (flag, found), seed in itertools.product(accuracies.items(), range(3)):
        out = tmp_path / f"{flag}{seed}"
        assert run("--data", "drawn", "--epochs", 5, "--seed", seed, flag, "--out", out) == 0
        found.append(checkpoint.load(out / "last.pt")["test"]["accuracy"])
    assert abs(sum(accuracies["--amp"]) - sum(accuracies["--no-amp"])) / 3 < 0.01, accuracies


@only_real
def test_a_compiled_network_learns_the_same(tmp_path):
    options = ["--data", "drawn", "--limit", 2000, "--epochs", 2, "--no-amp"]
    found = []
    for flag in ("--compile", "--no-compile"):
        assert run(*options, flag, "--out", tmp_path / flag) == 0
        found.append([row["loss/train"] for row in checkpoint.load(tmp_path / flag / "last.pt")["history"]])
    assert found[0] == pytest.approx(found[1], rel=0.03)


@pytest.mark.parametrize("more", [[], ["--freeze"], ["--freeze", "--augment"]], ids=str)
def test_the_courses_network_is_trained_on(more, pictures, tmp_path):
    assert run("--data", pictures, "--pretrained", *more, "--epochs", 3, "--out", tmp_path / "run") == 0
    assert checkpoint.load(tmp_path / "run/last.pt")["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"resnet18-224"}))
def test_every_network_learns_red_from_blue(name, pictures, tmp_path):
    more = ["--model", name, "--epochs", 3, "--batch-size", 8, "--lr", 0.003]
    assert run("--data", pictures, *more, "--out", tmp_path / "run") == 0
    assert checkpoint.load(tmp_path / "run/last.pt")["test"]["accuracy"] > 0.9


# ---- Nothing waits ---------------------------------------------------------------------------------------------------


def small_state(recipe="modern"):
    options = new_run_options(["--data", "drawn", "--recipe", recipe, "--limit", "1000", "--batch-size", "8"])
    loaders, metadata = train.build_loaders(options, device)
    return train.build_state(options, metadata, len(loaders["train"]), device), loaders


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "bfloat16"])
def test_nothing_waits_for_the_gpu_in_fifty_steps(amp):
    """But for the first step, which chooses kernels, and the look at the losses after fifty."""
    state, loaders = small_state()
    looked = []

    def check():
        steps = state.metrics.steps
        if IS_REAL and steps in (1, 49):
            torch.cuda.set_sync_debug_mode("error" if steps == 1 else "default")
        looked.append(len(state.metrics.pending))
        if 1 < steps < 49 and IS_REAL:
            train.check_step(state, loaders["train"], 1000, run=None, stop=StopSignals())

    try:
        train.train_one_epoch(
            state.model,
            loaders["train"],
            nn.CrossEntropyLoss(),
            state.optimizer,
            state.scheduler,
            amp,
            state.metrics,
            check,
        )
    finally:
        if IS_REAL:
            torch.cuda.set_sync_debug_mode("default")
    assert looked[:49] == list(range(1, 50)), "no loss was read"


@only_real
def test_a_loss_that_is_read_at_each_step_would_be_seen():
    """The test above can fail: the same switch, and the .item() of the videos."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            torch.ones((), device=device).item()
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ---- CUDA graphs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "amp", "compiled", "allowed"),
    [("cnn-classic", False, False, 1e-4), ("cnn", False, False, 1e-2), ("cnn-classic", True, False, 5e-3)]
    + [pytest.param("cnn-classic", True, True, 2e-2, marks=only_real)],
)
def test_steps_that_are_launched_as_a_whole_are_those_of_the_plain_loop(name, amp, compiled, allowed, exact):
    """Two epochs of ten steps and a smaller one; the modern network with momentum and augmentation."""
    modern, found = name == "cnn", []
    for graphed in (True, False):
        generator = torch.Generator().manual_seed(1)
        labels = torch.randint(0, 10, (656,), generator=generator)
        images = torch.randint(0, 26, (656, 3, 32, 32), generator=generator) + 25 * labels[:, None, None, None]
        images = images.to(torch.uint8)  # the brighter, the higher the class: easy to learn, so that mistakes show
        loader = train.MemoryLoader(
            images.to(device), labels.to(device), 64, [0.5] * 3, [0.25] * 3, shuffle=True, augment=modern
        )
        torch.manual_seed(0)
        model = train.build_model(name, 10, device)
        optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=0.9 * modern, nesterov=modern)
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
        if graphed:
            epochs = GraphedEpochs(model, loader, nn.CrossEntropyLoss(), optimizer, amp, compiled)
            found.append([epochs.run(1)[0], epochs.run(2)[0]])
        else:
            found.append([])
            for epoch in (1, 2):
                loader.set_epoch(epoch)
                loss, _ = train.train_one_epoch(model, loader, nn.CrossEntropyLoss(), optimizer, scheduler, amp)
                found[-1].append(loss)
        found[-1] += [value.float().sum().item() for value in model.state_dict().values() if value.numel() == 10]
    assert found[1][1] < 2.25, "there is something to learn"
    assert found[0][:2] == pytest.approx(found[1][:2], rel=allowed)
    assert found[0][2:] == pytest.approx(found[1][2:], abs=allowed), "the biases of the last layer"


# ---- More processes --------------------------------------------------------------------------------------------------


def torchrun(count, *argv):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, TRAIN, *argv]
    root = str(Path(TRAIN).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), root])}
    return subprocess.run(
        [str(c) for c in command], env=environment, capture_output=True, encoding="utf-8", timeout=120
    )


def test_torchrun_with_one_process_is_the_plain_run(pictures, tmp_path, deterministic):
    options = ["--data", pictures, *FOUR_EPOCHS, "--deterministic", "--device", GPU]
    done = torchrun(1, *options, "--out", tmp_path / "torchrun")
    assert done.returncode == 0, done.stderr
    assert run(*options, "--out", tmp_path / "plain") == 0
    ours, theirs = (checkpoint.load(tmp_path / name / "last.pt")["history"] for name in ("torchrun", "plain"))
    assert [row["loss/train"] for row in ours] == pytest.approx([row["loss/train"] for row in theirs], rel=1e-2)


@only_real
def test_more_processes_than_gpus_are_refused_in_one_line(pictures, tmp_path):
    gpus = torch.cuda.device_count()
    done = torchrun(gpus + 1, "--data", pictures, "--out", tmp_path / "run")
    assert done.returncode != 0 and f"{gpus + 1} processes for {gpus} GPU(s): use" in one_line(done.stderr)
    assert not (tmp_path / "run").exists()


def test_gradients_travel_weighted_by_the_share_of_each_process(tmp_path, monkeypatch):
    """Through NCCL on a GPU. One process alone, whose share is said to be a quarter, gets a quarter of its gradient."""
    torch.manual_seed(0)
    model = train.build_model("cnn", 10, device)
    images, labels = torch.rand(16, 3, 32, 32, device=device), torch.arange(16, device=device) % 10

    def gradients(network):
        model.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        return [p.grad.clone() for p in model.parameters()]

    alone, backend = gradients(model), "cpu:gloo,cuda:nccl" if IS_REAL else "gloo"
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/rendezvous", world_size=1, rank=0)
    try:
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        shared = gradients(distributed.data_parallel(model, share=lambda: 0.25))  # and the wrapper is gone, as in fit()
    finally:
        dist.destroy_process_group()
    for gradient, whole in zip(shared, alone, strict=True):
        torch.testing.assert_close(gradient, whole / 4, rtol=1e-2, atol=1e-5)
