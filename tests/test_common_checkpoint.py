"""Checkpoints: whole or not at all, and nothing that is handed over by mistake ends in a traceback."""

import pickle
import random

import pytest
import torch
from torch import nn

from common import UserError, checkpoint
from common.models import make_model


class RunsCode:
    """A pickle that would run code when it is loaded."""

    def __reduce__(self):
        return print, ("this ran",)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.pt"
    checkpoint.save(path, {"state_dict": {"weight": torch.arange(20_000.0)}, "epoch": 3})
    return path


def test_what_was_saved_comes_back(saved):
    contents = checkpoint.load(saved)
    assert contents["epoch"] == 3
    assert torch.equal(contents["state_dict"]["weight"], torch.arange(20_000.0))


def test_a_save_that_fails_midway_leaves_the_old_file_and_no_other(saved):
    resource = pytest.importorskip("resource", reason="a limit on the size of files needs Unix")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # as on a disk that is nearly full
    try:
        with pytest.raises(UserError, match=r"cannot write .*last\.pt \(File too large\)"):
            checkpoint.save(saved, {"epoch": 4, "state_dict": torch.zeros(50_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in saved.parent.iterdir()] == ["last.pt"]
    assert checkpoint.load(saved)["epoch"] == 3


def test_a_flipped_bit_anywhere_in_the_weights_is_noticed(saved):
    data = saved.read_bytes()
    first = data.index(torch.arange(20_000.0).numpy().tobytes()[4:400])
    for seed in range(20):
        damaged = bytearray(data)
        damaged[first + random.Random(seed).randrange(70_000)] ^= 1 << seed % 8
        saved.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            checkpoint.load(saved)


def test_a_file_that_was_cut_short_is_noticed(saved):
    data = saved.read_bytes()
    for size in (5, 100, len(data) // 2, len(data) - 1):
        saved.write_bytes(data[:size])
        with pytest.raises(UserError, match="damaged or cut short"):
            checkpoint.load(saved)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, capsys):
    torch.save(RunsCode(), tmp_path / "evil.pt")
    with pytest.raises(UserError, match="could run code"):
        checkpoint.load(tmp_path / "evil.pt")
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(RunsCode(), protocol=2))
    with pytest.raises(UserError):
        checkpoint.load(tmp_path / "evil.pkl")
    assert capsys.readouterr().out == ""


def test_a_whole_pickled_model_is_refused_with_the_cure(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(UserError, match="state_dict"):
        checkpoint.load(tmp_path / "model.pt")


@pytest.mark.parametrize("version", ["2.9.1", "2.5.0+cpu", "1.13.1"])
def test_a_pytorch_that_a_checkpoint_can_make_run_code_is_refused(version, saved, monkeypatch):
    monkeypatch.setattr(torch, "__version__", version)
    for refused in (lambda: checkpoint.load(saved), lambda: checkpoint.save(saved, {})):
        with pytest.raises(UserError, match=r"install 2\.10 or newer"):
            refused()
    for version in ("2.10.0", "2.15.0+cu130", "3.0.0.dev20300101"):
        monkeypatch.setattr(torch, "__version__", version)
        assert checkpoint.load(saved)["epoch"] == 3


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n", "PNG picture"),
        (b"just words", "no checkpoint"),
        (b"# A heading\n\nAnd a text below it.\n", "no checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_named_as_what_it_is(start, says, tmp_path):
    (tmp_path / "file.pt").write_bytes(start)
    with pytest.raises(UserError, match=says) as refused:
        checkpoint.load(tmp_path / "file.pt")
    assert "\n" not in str(refused.value)


def test_a_folder_and_a_missing_file_are_named_as_what_they_are(saved):
    with pytest.raises(UserError, match=r"is a folder: name a file in it, such as .*last\.pt"):
        checkpoint.load(saved.parent)
    with pytest.raises(UserError, match="there is no checkpoint"):
        checkpoint.load(saved.with_name("lost.pt"))


def test_the_first_name_that_does_not_fit_is_given():
    model = make_model("cnn", 10)
    state = model.state_dict()
    with pytest.raises(UserError, match=r"classifier\.3\.weight is \(7, 64\) in the file and \(10, 64\)"):
        checkpoint.load_state(model, make_model("cnn", 7).state_dict(), "x.pt")
    with pytest.raises(UserError, match=r"features\.1\.running_mean is missing"):
        checkpoint.load_state(model, {k: v for k, v in state.items() if k != "features.1.running_mean"}, "x.pt")
    with pytest.raises(UserError, match=r"extra\.bias is not in the network"):
        checkpoint.load_state(model, state | {"extra.bias": torch.zeros(1)}, "x.pt")


def test_weights_that_are_not_finite_are_refused():
    model = make_model("lenet", 10)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state["classifier.1.bias"][5] = torch.nan
    with pytest.raises(UserError, match=r"classifier\.1\.bias holds NaN"):
        checkpoint.load_state(model, state, "x.pt")


def test_a_state_dict_of_a_strange_network_names_the_nearest_one(tmp_path):
    state = make_model("lenet", 10).state_dict()
    state["features.0.weight"] = torch.zeros(6, 1, 5, 5)
    torch.save(state, tmp_path / "grey.pt")
    with pytest.raises(UserError, match=r"nearest is lenet, where features\.0\.weight is \(6, 1, 5, 5\)"):
        checkpoint.load_trained(tmp_path / "grey.pt", [])


def test_a_dictionary_without_weights_is_refused(tmp_path):
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="its keys are epoch, loss"):
        checkpoint.load_trained(tmp_path / "x.pt", [])


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_weights_inside_somebody_elses_checkpoint_are_found(key, tmp_path):
    torch.save({"epoch": 3, key: make_model("lenet", 4).state_dict()}, tmp_path / "x.pt")
    trained = checkpoint.load_trained(tmp_path / "x.pt", ["a", "b"])
    assert trained.name == "lenet" and trained.classes == ["class 0", "class 1", "class 2", "class 3"]
