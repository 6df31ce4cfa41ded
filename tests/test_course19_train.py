"""Course 19: the training loop against arithmetic by hand, and the program against everything people type."""

import io
import itertools
import os
import platform
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from filelock import FileLock
from lessons import load_module, run_lesson, script_of
from PIL import Image
from torch import nn

from common import checkpoint
from common.data import stratified
from common.models import make_model
from common.paths import REPOSITORY, home
from trainer.state import EpochMetrics

train = load_module(script_of("Course19-TrainGPU"))
QUICK = ["--limit", "100", "--epochs", "2", "--batch-size", "32", "--device", "cpu"]


def run(*argv, capsys=None):
    """The program in this process: exit code, standard output, standard error."""
    code = train.main([str(a) for a in argv])
    printed = capsys.readouterr() if capsys else None
    return (code, printed.out, printed.err) if capsys else code


def one_line(text):
    """The one clear line on standard error: no traceback, nothing more."""
    assert text.count("\n") == 1, text
    return text


# ---- The loop --------------------------------------------------------------------------------------------------------


def linear_problem():
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(10, 4, generator=generator)
    labels = torch.randint(0, 3, (10,), generator=generator)
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight.copy_(torch.randn(3, 4, generator=generator))
        model.bias.zero_()
    return model, inputs, labels


def test_an_epoch_is_gradient_descent_worked_out_by_hand():
    """Catches a missing zero_grad, a missing backward and a missing step: softmax regression has a closed gradient."""
    model, inputs, labels = linear_problem()
    weight, bias = model.weight.detach().double().clone(), model.bias.detach().double().clone()
    loss_sum = 0.0
    for start in (0, 4, 8):  # batches of 4, 4 and 2
        x, y = inputs[start : start + 4].double(), labels[start : start + 4]
        probabilities = torch.softmax(x @ weight.T + bias, dim=1)
        loss_sum -= probabilities[range(len(y)), y].log().sum().item()
        error = (probabilities - nn.functional.one_hot(y, 3)) / len(y)
        weight -= 0.5 * error.T @ x
        bias -= 0.5 * error.sum(dim=0)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    batches = list(zip(inputs.split(4), labels.split(4), strict=True))
    loss, _ = train.train_one_epoch(model, batches, nn.CrossEntropyLoss(), optimizer, scheduler)
    assert torch.allclose(model.weight.double(), weight, atol=1e-5)
    assert torch.allclose(model.bias.double(), bias, atol=1e-5)
    assert loss == pytest.approx(loss_sum / 10, abs=1e-5), "the mean over samples, not over batches"


def test_accuracy_and_loss_are_means_over_samples_not_over_batches():
    images = torch.eye(2)[[0, 0, 0, 0, 0]]  # the network says class 0 to all five
    labels = torch.tensor([0, 0, 0, 0, 1])
    batches = list(zip(images.split(4), labels.split(4), strict=True))
    loss, accuracy = train.evaluate(nn.Identity(), batches, nn.CrossEntropyLoss())
    assert accuracy == 4 / 5, "the mean of the batches' means would be 1/2"
    right, wrong = 0.31326, 1.31326  # -log softmax([1, 0]) for the first and for the second entry
    assert loss == pytest.approx((4 * right + wrong) / 5, abs=1e-4)


def test_evaluation_switches_dropout_off_and_keeps_no_graph():
    model = nn.Sequential(nn.Linear(4, 50), nn.Dropout(0.5), nn.Linear(50, 3))
    inputs, labels = torch.randn(20, 4), torch.randint(0, 3, (20,))
    model.train()
    measured = train.evaluate(model, [(inputs, labels)], nn.CrossEntropyLoss())
    logits = model[2](model[0](inputs))
    assert measured[0] == pytest.approx(nn.CrossEntropyLoss()(logits, labels).item(), abs=1e-5)
    assert all(p.grad is None for p in model.parameters())


def test_training_switches_back_to_train_mode():
    model, inputs, labels = linear_problem()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    model.eval()
    train.train_one_epoch(model, [(inputs, labels)], nn.CrossEntropyLoss(), optimizer, scheduler)
    assert model.training


def test_onecycle_ends_with_the_last_step_near_zero():
    options = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "schedule": "onecycle"}
    options |= {"pretrained": None, "freeze": False}
    optimizer, scheduler = train.build_optimizer(nn.Linear(2, 2), options, total_steps=20)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(rates) < 20 else None
    assert max(rates) == pytest.approx(0.1, rel=0.02)
    assert rates[0] < 0.1 / 10 and rates[-1] < 0.1 / 1000


# ---- The data that it trains on --------------------------------------------------------------------------------------


def options_for(data, **more):
    given = {"data": str(data), "limit": None, "val_split": 0.25, "seed": 0, "normalize": True, "augment": True}
    return given | {"batch_size": 8, "image_size": 32} | more


def test_train_and_validation_share_no_picture_and_keep_the_classes_balanced(pictures):
    loaders, about = train.build_loaders(options_for(pictures), torch.device("cpu"))
    assert about["classes"] == ["blue", "red"]
    assert [len(loaders[split].labels) for split in ("train", "val", "test")] == [36, 12, 16]
    assert loaders["val"].labels.bincount().tolist() == [6, 6]
    seen = {image.numpy().tobytes() for image in loaders["train"].images}
    assert not seen & {image.numpy().tobytes() for image in loaders["val"].images}


def test_the_statistics_come_from_the_training_pictures_alone(pictures):
    loaders, about = train.build_loaders(options_for(pictures, val_split=0.5), torch.device("cpu"))
    pixels = loaders["train"].images.double() / 255  # (N, 32, 32, 3)
    assert about["mean"] == pytest.approx(pixels.mean(dim=(0, 1, 2)).tolist())
    assert about["std"] == pytest.approx(pixels.std(dim=(0, 1, 2), correction=0).tolist())


def test_only_the_training_pictures_are_shuffled_and_augmented(pictures):
    loaders, _ = train.build_loaders(options_for(pictures), torch.device("cpu"))
    assert loaders["train"].shuffle and loaders["train"].augment
    for split in ("val", "test"):
        assert not loaders[split].shuffle and not loaders[split].augment


def test_limit_takes_the_same_number_of_each_class():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    counts = labels[stratified(labels, 30, seed=1)].bincount().tolist()
    assert counts == [15, 9, 6], "every class has its share"
    balanced = torch.arange(10).repeat(20)
    assert balanced[stratified(balanced, 100, seed=1)].bincount().tolist() == [10] * 10


def test_without_a_validation_split_all_pictures_are_trained_on(pictures):
    loaders, _ = train.build_loaders(options_for(pictures, val_split=0.0), torch.device("cpu"))
    assert "val" not in loaders and len(loaders["train"].labels) == 48


# ---- The default run -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def default_run():
    run_lesson("Course19-TrainGPU")
    return checkpoint.load(home() / "checkpoints/Course19-TrainGPU/run-001/last.pt")


def test_the_default_run_reaches_the_accuracy_that_the_notes_state(default_run):
    assert 0.75 <= default_run["test"]["accuracy"] <= 0.92


def test_a_linear_classifier_stays_under_half_so_there_is_something_to_learn():
    loaders, _ = train.build_loaders(
        options_for("drawn", val_split=0.0, augment=False, batch_size=250), torch.device("cpu")
    )
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    steps = 8 * len(loaders["train"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    for epoch in range(8):
        loaders["train"].set_epoch(epoch)
        train.train_one_epoch(model, loaders["train"], nn.CrossEntropyLoss(), optimizer, scheduler)
    _, accuracy = train.evaluate(model, loaders["test"], nn.CrossEntropyLoss())
    assert 0.15 < accuracy < 0.5


def test_the_default_run_leaves_checkpoints_curves_and_a_log(default_run):
    folder = home() / "checkpoints/Course19-TrainGPU/run-001"
    checkpoints, pictures = {"best.pt", "last.pt", "previous.pt"}, {"curves.png", "predictions.png"}
    assert {p.name for p in folder.iterdir()} - {".lock"} == checkpoints | pictures
    assert list((home() / "logs/Course19-TrainGPU/run-001").glob("events.out.tfevents.*"))
    assert [row["epoch"] for row in default_run["history"]] == list(range(1, 11))


def test_the_best_epoch_is_chosen_by_validation_not_by_test(default_run):
    accuracies = [row["accuracy/val"] for row in default_run["history"]]
    assert default_run["best"]["epoch"] == 1 + accuracies.index(max(accuracies)) == default_run["test"]["epoch"]


def test_best_is_the_epoch_with_the_highest_validation_accuracy_and_the_test_uses_it(
    course_home, pictures, monkeypatch, capsys
):
    measured = iter([(1.0, 0.5), (1.0, 0.9), (1.0, 0.7), (1.0, 0.25)])  # three epochs, then the test pictures
    monkeypatch.setattr(train, "evaluate", lambda *args: next(measured))
    assert run("--data", pictures, "--epochs", 3, "--device", "cpu", "--out", course_home / "run") == 0
    assert checkpoint.load(course_home / "run/best.pt")["epoch"] == 2
    assert checkpoint.load(course_home / "run/last.pt")["test"] == {"epoch": 2, "loss": 1.0, "accuracy": 0.25}
    assert next(measured, None) is None, "the test pictures were measured once"


def test_tensorboard_has_every_epoch_the_graph_and_the_predictions(default_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(home() / "logs/Course19-TrainGPU/run-001"), {"scalars": 0, "images": 0, "graph": 1})
    log.Reload()
    tags = log.Tags()
    assert {"loss/train", "loss/val", "loss/test", "accuracy/train", "accuracy/val", "accuracy/test", "lr"} <= set(
        tags["scalars"]
    )
    assert tags["graph"] and tags["images"] == ["predictions"]
    page = Image.open(io.BytesIO(log.Images("predictions")[0].encoded_image_string))
    saved = Image.open(home() / "checkpoints/Course19-TrainGPU/run-001/predictions.png").convert("RGB")
    assert page.tobytes() == saved.tobytes()
    logged = [(event.step, event.value) for event in log.Scalars("accuracy/val")]
    assert logged == [(row["epoch"], pytest.approx(row["accuracy/val"])) for row in default_run["history"]]
    assert len(log.Scalars("accuracy/test")) == 1, "the test split is measured once"


def test_a_checkpoint_holds_tensors_and_plain_values_only(default_run):
    def check(value):
        if isinstance(value, dict):
            for k, v in value.items():
                check(k), check(v)
        elif isinstance(value, list | tuple):
            for v in value:
                check(v)
        else:
            assert isinstance(value, torch.Tensor | str | int | float | None), type(value)

    check(default_run)


# ---- Runs side by side, and resume -----------------------------------------------------------------------------------


def test_typing_the_command_twice_makes_two_runs(course_home, pictures, capsys):
    for _ in range(2):
        assert run("--data", pictures, *QUICK) == 0
    assert {p.name for p in (course_home / "checkpoints/Course19-TrainGPU").iterdir()} == {"run-001", "run-002"}
    assert {p.name for p in (course_home / "logs/Course19-TrainGPU").iterdir()} == {"run-001", "run-002"}


def signal_in_batch(n, monkeypatch, signum=signal.SIGINT):
    """Send this process a signal in the n-th batch from now on, training and evaluation counted alike."""
    real, count = EpochMetrics.update, itertools.count(1)

    def update(self, *args):
        if next(count) == n:
            monkeypatch.setattr(EpochMetrics, "update", real)
            signal.raise_signal(signum)
        real(self, *args)

    monkeypatch.setattr(EpochMetrics, "update", update)


def stop_after(epochs, monkeypatch):
    """Ctrl-C in the epoch after that many. For the 100 red and blue pictures of QUICK."""
    signal_in_batch(epochs * 3 + 1, monkeypatch)  # an epoch there is two batches to train and one to validate


def everything(path):
    """All that a checkpoint holds, but for the seconds it took and the folder it lies in."""
    contents = checkpoint.load(path)
    contents["history"] = [row | {"seconds": 0} for row in contents["history"]]
    contents["unfinished"]["seconds"] = 0
    return bits(contents | {"options": {k: v for k, v in contents["options"].items() if k not in ("out", "resume")}})


def bits(value):
    """The same with every tensor as its bytes, so that == compares bit for bit."""
    if isinstance(value, dict):
        return {k: bits(v) for k, v in value.items()}
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def scalars(logs):
    """What TensorBoard shows: tag -> [(step, value), …]."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(logs), {"scalars": 0})
    log.Reload()
    tags = [tag for tag in log.Tags()["scalars"] if tag != "seconds"]
    return {tag: [(event.step, event.value) for event in log.Scalars(tag)] for tag in tags}


FOUR_EPOCHS = ["--epochs", 4, "--batch-size", 16, "--device", "cpu", "--save-every", 2]


@pytest.fixture(scope="session")
def reference_run(tmp_path_factory, pictures):
    """A run of four epochs, each of three batches to train and one to validate, that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole")
    assert run("--data", pictures, *FOUR_EPOCHS, "--out", out) == 0
    return out


@pytest.mark.parametrize(
    ("batch", "where"),
    [(1, "the first step"), (7, "the last step of an epoch"), (8, "a validation"), (10, "the middle of an epoch")]
    + [(15, "the last step of all"), (16, "the last validation"), (17, "the test")],
)
def test_a_run_that_was_stopped_and_resumed_equals_one_that_never_was(
    batch, where, tmp_path, course_home, pictures, reference_run, monkeypatch, capsys
):
    out = tmp_path / "parts"
    signal_in_batch(batch, monkeypatch)
    assert run("--data", pictures, *FOUR_EPOCHS, "--out", out) == 130
    assert "stopped by SIGINT" in (err := capsys.readouterr().err) and f"--resume {out}" in err
    assert run("--resume", out) == 0
    for name in ("last.pt", "best.pt", "previous.pt"):
        assert everything(out / name) == everything(reference_run / name)
    assert scalars(out / "logs") == scalars(reference_run / "logs"), "one value a step, the same ones"


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    tmp_path, course_home, pictures, reference_run, monkeypatch, capsys
):
    class Killed(BaseException):
        """What nothing catches, like kill -9."""

    def killed(*_):
        raise Killed

    before = signal.signal(signal.SIGUSR1, killed)
    signal_in_batch(11, monkeypatch, signal.SIGUSR1)  # step 3 of epoch 3; a checkpoint lies after step 2
    with pytest.raises(Killed):
        run("--data", pictures, *FOUR_EPOCHS, "--out", tmp_path / "parts")
    signal.signal(signal.SIGUSR1, before)
    code, out, _ = run("--resume", tmp_path / "parts", capsys=capsys)
    assert code == 0 and "after epoch 2 of 4 and 2 steps" in out
    assert everything(tmp_path / "parts/last.pt") == everything(reference_run / "last.pt")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_and_saves_and_a_second_one_stops_at_once(
    signum, code, course_home, pictures, monkeypatch, capsys
):
    out = course_home / "run"
    signal_in_batch(2, monkeypatch, signum)
    assert run("--data", pictures, *FOUR_EPOCHS, "--out", out) == code
    assert "all is saved" in capsys.readouterr().err
    assert checkpoint.load(out / "last.pt")["unfinished"]["steps"] == 2, "steps of the unfinished epoch"

    def twice(*args):
        signal.raise_signal(signum), signal.raise_signal(signum)

    monkeypatch.setattr(EpochMetrics, "update", twice)
    before = (out / "last.pt").read_bytes()
    assert run("--resume", out) == code
    assert "go on after the last checkpoint: " in capsys.readouterr().err
    assert (out / "last.pt").read_bytes() == before


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before_with_a_warning(
    tmp_path, course_home, pictures, reference_run, monkeypatch, capsys
):
    out = tmp_path / "parts"
    signal_in_batch(10, monkeypatch)
    assert run("--data", pictures, *FOUR_EPOCHS, "--out", out) == 130
    data = bytearray((out / "last.pt").read_bytes())
    weights = checkpoint.load(out / "last.pt")["state_dict"]["classifier.1.weight"].numpy().tobytes()
    data[data.index(weights)] ^= 1  # a single bit
    (out / "last.pt").write_bytes(data)
    capsys.readouterr()
    assert run("--resume", out) == 0
    assert "last.pt is damaged" in (err := capsys.readouterr().err) and "previous.pt" in err
    assert everything(out / "last.pt") == everything(reference_run / "last.pt")


def test_leftovers_of_killed_programs_are_removed(course_home, pictures, monkeypatch, capsys):
    stop_after(1, monkeypatch)
    assert run("--data", pictures, *QUICK) == 130
    folder = course_home / "checkpoints/Course19-TrainGPU/run-001"
    (folder / ".last.4711.pt").write_bytes(b"half a checkpoint")
    (folder / ".mine.pt").write_bytes(b"not ours")
    assert run("--resume") == 0
    assert not (folder / ".last.4711.pt").exists() and (folder / ".mine.pt").exists()


def test_nobody_else_trains_in_the_folder_of_a_run_that_goes_on(course_home, pictures, monkeypatch, capsys):
    stop_after(1, monkeypatch)
    assert run("--data", pictures, *QUICK) == 130
    folder = course_home / "checkpoints/Course19-TrainGPU/run-001"
    with FileLock(folder / ".lock"):  # as the other process would hold it
        capsys.readouterr()
        code, _, err = run("--resume", folder, capsys=capsys)
        assert code == 2 and "another process is training in" in one_line(err)
        code, _, err = run("--resume", capsys=capsys)
        assert code == 2 and "that is not being trained right now" in one_line(err)
        code, _, err = run("--data", pictures, *QUICK, "--out", folder, capsys=capsys)
        assert code == 2 and "another process is training in" in one_line(err)
    assert run("--resume") == 0


def test_resume_alone_takes_the_newest_unfinished_run(course_home, pictures, monkeypatch, capsys):
    assert run("--data", pictures, *QUICK) == 0
    stop_after(1, monkeypatch)
    assert run("--data", pictures, *QUICK) == 130
    assert run("--data", pictures, *QUICK) == 0
    capsys.readouterr()
    code, out, _ = run("--resume", capsys=capsys)
    assert code == 0 and "run-002 after epoch 1 of 2" in out
    before = (course_home / "checkpoints/Course19-TrainGPU/run-002/last.pt").read_bytes()
    code, out, _ = run("--resume", course_home / "checkpoints/Course19-TrainGPU/run-002", capsys=capsys)
    assert code == 0 and out.startswith("nothing to do")
    assert (course_home / "checkpoints/Course19-TrainGPU/run-002/last.pt").read_bytes() == before


def test_a_damaged_older_run_does_not_keep_a_newer_one_from_resuming(course_home, pictures, monkeypatch, capsys):
    older = course_home / "checkpoints/Course19-TrainGPU/run-000"
    older.mkdir(parents=True)
    (older / "last.pt").write_bytes(b"PK damaged")
    os.utime(older / "last.pt", (1, 1))
    stop_after(1, monkeypatch)
    assert run("--data", pictures, *QUICK) == 130
    assert run("--resume") == 0


def test_resume_refuses_another_learning_rate_but_takes_another_device(course_home, pictures, monkeypatch, capsys):
    stop_after(1, monkeypatch)
    assert run("--data", pictures, *QUICK) == 130
    capsys.readouterr()
    code, _, err = run("--resume", "--lr", "0.5", capsys=capsys)
    assert code == 2 and "--lr 0.05" in one_line(err)
    code, _, err = run("--resume", "--epochs", "9", capsys=capsys)
    assert code == 2 and "--epochs 2" in one_line(err), "onecycle was planned for 2 epochs"
    assert run("--resume", "--device", "cpu") == 0


def test_a_run_without_a_schedule_may_go_on_for_more_epochs(course_home, pictures, capsys):
    options = ["--data", pictures, "--schedule", "constant", "--batch-size", 16, "--device", "cpu"]
    assert run(*options, "--epochs", 1, "--out", course_home / "a") == 0
    assert run("--resume", course_home / "a", "--epochs", 2) == 0
    assert run(*options, "--epochs", 2, "--out", course_home / "b") == 0
    a, b = (checkpoint.load(course_home / name / "last.pt")["state_dict"] for name in "ab")
    torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(course_home, pictures, capsys):
    options = ["--data", pictures, *QUICK]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run(*options, "--seed", seed, "--out", course_home / name) == 0
    a, b, c = (everything(course_home / name / "last.pt")["history"] for name in "abc")
    assert a == b != c


def test_given_options_win_over_the_recipe(course_home, pictures, capsys):
    out = course_home / "run"
    assert run("--data", pictures, *QUICK, "--recipe", "classic", "--lr", "0.02", "--normalize", "--out", out) == 0
    options = checkpoint.load(out / "last.pt")["options"]
    assert (options["model"], options["momentum"], options["lr"], options["normalize"]) == (
        "cnn-classic",
        0,
        0.02,
        True,
    )


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        ("cnn", "sgd"),
        ("cnn", "adamw"),
        ("cnn-classic", "sgd"),
        ("lenet", "adamw"),
        ("resnet18", "sgd"),
        ("resnet20", "sgd"),
    ],
)
def test_every_model_learns_red_from_blue(model, optimizer, course_home, pictures, capsys):
    more = ["--model", model, "--optimizer", optimizer, "--epochs", 3, "--batch-size", 8, "--lr", 0.003]
    assert run("--data", pictures, "--device", "cpu", *more, "--out", course_home / "run") == 0
    assert checkpoint.load(course_home / "run/last.pt")["test"]["accuracy"] > 0.9


def test_mixed_precision_learns_too(course_home, pictures, capsys):
    options = ["--data", pictures, "--epochs", 5, "--batch-size", 8, "--device", "cpu", "--amp"]
    assert run(*options, "--out", course_home / "run") == 0
    assert checkpoint.load(course_home / "run/last.pt")["test"]["accuracy"] > 0.9


def test_mixed_precision_is_left_out_with_a_line_where_the_cpu_would_be_slower(
    course_home, pictures, monkeypatch, capsys
):
    """On a CPU with AVX2 alone, bfloat16 was 7.6 times slower than float32."""
    options = ["--data", pictures, *QUICK]
    assert run(*options, "--out", course_home / "float32") == 0
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    capsys.readouterr()
    code, out, _ = run(*options, "--amp", "--out", course_home / "amp", capsys=capsys)
    assert code == 0
    assert out.count("--amp is left out: this CPU (AVX2) has no bfloat16 instructions") == 1
    assert out.index("--amp is left out") < out.index("epoch 1/2"), "said before the training"
    states = [checkpoint.load(course_home / name / "last.pt")["state_dict"] for name in ("float32", "amp")]
    assert bits(states[0]) == bits(states[1])


# ---- The pictures must be those of before ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("one more", "the training pictures of .* have changed .*number: 48 then, 49 now"),
        ("one less", "the training pictures of .* have changed .*number: 48 then, 47 now"),
        ("another class", "the training pictures of .* have changed .*labels"),
        ("another pixel", "the training pictures of .* have changed .*pixels"),
        ("another test picture", "the test pictures of .* have changed .*pixels"),
    ],
)
def test_a_run_does_not_go_on_with_other_pictures(change, says, course_home, pictures, tmp_path, monkeypatch, capsys):
    """The split into training and validation pictures would be another one, and mix what must stay apart."""
    data, out = tmp_path / "data", course_home / "run"
    shutil.copytree(pictures, data)
    stop_after(1, monkeypatch)
    assert run("--data", data, *QUICK, "--out", out) == 130
    before = (out / "last.pt").read_bytes()
    if change == "one more":
        shutil.copy(data / "train/red/0.png", data / "train/red/new.png")
    elif change == "one less":
        (data / "train/red/23.png").unlink()
    elif change == "another class":
        (data / "train/red/0.png").rename(data / "train/blue/new.png")
    else:
        path = data / ("test" if change == "another test picture" else "train") / "blue/3.png"
        image = Image.open(path).convert("RGB")
        image.putpixel((20, 20), (255, 255, 255))
        image.save(path)
    capsys.readouterr()
    code, _, err = run("--resume", out, capsys=capsys)
    assert code == 2 and re.search(says, one_line(err)), err
    assert (out / "last.pt").read_bytes() == before


# ---- Bad input: one clear line, exit code 2, nothing left behind -----------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--data", "no/such/folder"], "there is no data folder"),
        (["--epochs", "0"], "'0' is no whole number of at least 1"),
        (["--epochs", "1.5"], "whole number"),
        (["--lr", "-1"], "'-1' is no number"),
        (["--lr", "nan"], "'nan' is no number"),
        (["--batch-size", "many"], "'many' is no whole number"),
        (["--val-split", "1"], "from 0 to 0.9"),
        (["--model", "vgg"], "invalid choice: 'vgg'"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--limit", "5", "--data", "drawn"], "5 training pictures are too few for 10 classes"),
        (["--resume", "no/such/run"], "there is no checkpoint"),
        (["--resume"], "to resume"),
    ],
)
def test_bad_options_get_one_clear_line(argv, says, course_home, capsys):
    code, _, err = run(*argv, capsys=capsys)
    assert code == 2
    assert says in one_line(err)
    assert not list(course_home.rglob("*.pt")) and not (course_home / "logs").exists()


def test_a_device_that_is_not_there_is_named(course_home, pictures, capsys):
    missing = "mps" if torch.cuda.is_available() else "cuda"
    code, _, err = run("--data", pictures, "--device", missing, capsys=capsys)
    assert code == 2 and f"no {missing} device here" in one_line(err)


@pytest.mark.parametrize("broken", ["no train", "no class", "one class", "empty class", "other classes", "no picture"])
def test_broken_data_folders_get_one_clear_line(broken, tmp_path, course_home, pictures, capsys):
    root = tmp_path / "data"
    shutil.copytree(pictures, root)
    says = {
        "no train": "has no folder train/",
        "no class": "holds 0 class folders",
        "one class": "holds 1 class folders",
        "empty class": "for the classes red",
        "other classes": "only one of them has blue, green",
        "no picture": "0.png",
    }[broken]
    if broken == "no train":
        shutil.rmtree(root / "train")
    elif broken in ("no class", "one class"):
        for name in ["red", "blue"] if broken == "no class" else ["red"]:
            shutil.rmtree(root / "train" / name)
    elif broken == "empty class":
        shutil.rmtree(root / "train/red")
        (root / "train/red").mkdir()
    elif broken == "other classes":
        (root / "test/blue").rename(root / "test/green")
    else:
        (root / "train/red/0.png").write_text("not a picture")
    code, _, err = run("--data", root, capsys=capsys)
    assert code == 2
    assert says in one_line(err)
    assert not list(course_home.rglob("*.pt"))


def test_what_is_left_out_of_a_data_folder_is_said_once_a_split_and_before_the_training(
    tmp_path, course_home, pictures, capsys
):
    root = tmp_path / "data"
    shutil.copytree(pictures, root)
    (root / "test").rename(root / "val")
    (root / "train/red/0.png").rename(root / "train/red/picture")  # read all the same
    for name in (
        "train/red/a.heic",
        "train/blue/b.heic",
        "train/blue/notes.txt",
        "val/red/a.heic",
        "val/red/.DS_Store",
    ):
        (root / name).write_bytes(b"no picture")
    code, out, err = run("--data", root, *QUICK, capsys=capsys)
    assert code == 0 and err == ""
    before, _, _ = out.partition("data: ")
    assert before.splitlines()[1:] == [
        "train/: left out 2 .heic, 1 .txt",
        f"{root} has no test/: its val/ is taken, and called test",
        "val/: left out 1 .heic",
    ]
    assert "(43 train, 5 val, 16 test; 2 classes)" in out and "left out" not in out[len(before) :]


def test_an_out_folder_that_holds_a_run_is_not_overwritten(course_home, pictures, capsys):
    out = course_home / "mine"
    assert run("--data", pictures, *QUICK, "--out", out) == 0
    before = (out / "last.pt").read_bytes()
    capsys.readouterr()
    code, _, err = run("--data", pictures, *QUICK, "--out", out, capsys=capsys)
    assert code == 2 and "--resume" in one_line(err)
    assert (out / "last.pt").read_bytes() == before


def test_no_permission_is_said_before_the_training(course_home, pictures, capsys):
    (course_home / "file").write_text("in the way")
    code, out, err = run("--data", pictures, *QUICK, "--out", course_home / "file" / "run", capsys=capsys)
    assert code == 2 and "cannot make the folder" in one_line(err)
    assert "epoch" not in out


def test_a_log_folder_that_cannot_be_made_leaves_no_run_behind(course_home, pictures, capsys):
    (course_home / "file").write_text("in the way")
    for place in ([], ["--out", course_home / "mine"]):
        options = ["--data", pictures, *QUICK, "--logdir", course_home / "file" / "logs", *place]
        code, out, err = run(*options, capsys=capsys)
        assert code == 2 and "cannot make the folder" in one_line(err) and "epoch" not in out
    assert not list(course_home.rglob("*.pt"))
    assert not list((course_home / "checkpoints/Course19-TrainGPU").iterdir()), "no number is used up"


def test_an_unsafe_pytorch_is_refused_before_the_training(course_home, pictures, monkeypatch, capsys):
    monkeypatch.setattr(torch, "__version__", "2.9.1")
    code, out, err = run("--data", pictures, *QUICK, capsys=capsys)
    assert code == 2 and "install 2.10 or newer" in one_line(err) and "epoch" not in out


def test_resuming_from_a_checkpoint_of_another_model_is_refused(course_home, pictures, monkeypatch, capsys):
    stop_after(1, monkeypatch)
    assert run("--data", pictures, *QUICK) == 130
    path = course_home / "checkpoints/Course19-TrainGPU/run-001/last.pt"
    contents = checkpoint.load(path)
    checkpoint.save(path, contents | {"state_dict": make_model("lenet", 2).state_dict()})
    capsys.readouterr()
    code, _, err = run("--resume", capsys=capsys)
    assert code == 2 and "does not fit CifarCNN: features.0.weight is (6, 3, 5, 5)" in one_line(err)


def test_resuming_from_something_that_is_no_checkpoint_is_refused(course_home, capsys):
    (course_home / "page.pt").write_text("<!doctype html>")
    code, _, err = run("--resume", course_home / "page.pt", capsys=capsys)
    assert code == 2 and "web page" in one_line(err)
    torch.save(make_model("lenet").state_dict(), course_home / "weights.pt")
    code, _, err = run("--resume", course_home / "weights.pt", capsys=capsys)
    assert code == 2 and "no training to go on with" in one_line(err)


def test_a_loss_that_explodes_stops_the_run_and_leaves_finite_weights(course_home, pictures, capsys):
    more = ["--lr", "1e30", "--schedule", "constant", "--model", "cnn-classic", "--out", course_home / "run"]
    code, _, err = run("--data", pictures, *QUICK, *more, capsys=capsys)
    assert (
        code == 2
        and "not finite at step 2 of epoch 1 (learning rate 1e+30): start a new run with a smaller --lr"
        in one_line(err)
    )
    state = checkpoint.load(course_home / "run/last.pt")["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


# ---- From anywhere ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["elsewhere", "its folder in a checkout under 课程 with spaces"])
def test_the_script_runs_from_anywhere(place, tmp_path, pictures):
    root, cwd = REPOSITORY, tmp_path
    env = dict(os.environ, COURSE_HOME=str(tmp_path / "home"))
    if place != "elsewhere":
        root = tmp_path / "我的 课程 with spaces"
        for part in ("common", "trainer", "Course19-TrainGPU"):
            shutil.copytree(REPOSITORY / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
        cwd = root / "Course19-TrainGPU"
        del env["COURSE_HOME"]  # everything is to land inside that checkout
        env["PYTHONPATH"] = os.pathsep.join([str(root), env["PYTHONPATH"]])
    command = [sys.executable, str(root / "Course19-TrainGPU" / "train.py"), "--data", str(pictures), *QUICK]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "with standard error in a file there are no bars, and no warnings"
    out = (tmp_path / "home" if "COURSE_HOME" in env else root) / "checkpoints/Course19-TrainGPU/run-001"
    assert (out / "best.pt").exists() and (out / "curves.png").exists()
