"""The course's own trained network: the file is whole, says what it is, and holds what its run had learned."""

import datetime
import hashlib
import json
import re
import shlex

import pytest
import torch
from lessons import load_module, script_of
from safetensors.torch import load_file, save

from common import UserError, checkpoint, pretrained
from common.drawn import CIFAR_CLASSES
from common.paths import REPOSITORY
from common.pretrained import COURSE_NETWORK, METADATA, load_course_network
from trainer.options import new_run_options

export = load_module(REPOSITORY / "tools" / "export_course_network.py")
train = load_module(script_of("Course19-TrainGPU"))


@pytest.fixture
def own_file(tmp_path, monkeypatch):
    """A copy of the file, in place of it: (its path, a function that makes other bytes the expected ones)."""
    path = tmp_path / "course.safetensors"
    path.write_bytes(COURSE_NETWORK.read_bytes())
    monkeypatch.setattr(pretrained, "COURSE_NETWORK", path)

    def expect(content):
        path.write_bytes(content)
        monkeypatch.setattr(pretrained, "COURSE_SHA256", hashlib.sha256(content).hexdigest())

    return path, expect


def test_the_network_is_small_ready_for_use_and_knows_the_ten_classes():
    course = load_course_network()
    trained = course.trained
    assert COURSE_NETWORK.stat().st_size <= 1_200_000
    assert (trained.name, trained.data, trained.image_size) == ("resnet20", "cifar10", 32)
    assert trained.classes == list(CIFAR_CLASSES)
    assert not trained.model.training and {p.dtype for p in trained.model.parameters()} == {torch.float32}
    probabilities = trained.model(torch.randn(4, 3, 32, 32)).softmax(dim=1)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(4))


def test_it_says_how_it_was_made_with_a_command_that_train_py_takes():
    course = load_course_network()
    assert course.accuracy >= 0.88 and course.test_pictures == 10_000
    assert datetime.date.fromisoformat(course.date) >= datetime.date(2026, 11, 21)
    assert {"torch", "torchvision"} <= course.versions.keys()
    python, script, *argv = shlex.split(course.command)
    assert python == "python" and (REPOSITORY / script).is_file()
    assert argv[argv.index("--data") + 1] == "FOLDER", "no path of the machine that it was trained on"
    options = new_run_options(argv)
    assert options["model"] == "resnet20"
    assert course.pictures == 50_000 - round(50_000 * options["val_split"])
    assert argv == shlex.split(export.command_of(options))[2:], "nothing in it is left out or said twice"


def test_the_command_stands_in_the_tool_that_writes_the_file():
    shown = " ".join(export.__doc__.split())
    argv = shlex.split(re.search(r"train\.py (.*) --out RUN", shown)[1])
    assert new_run_options(argv) == new_run_options(shlex.split(load_course_network().command)[2:])


@pytest.mark.parametrize("where", ["the length", "the metadata", "a weight", "the last byte"])
def test_a_single_wrong_bit_is_found_and_the_way_out_is_named(where, own_file):
    path, _ = own_file
    content = bytearray(path.read_bytes())
    content[{"the length": 0, "the metadata": 60, "a weight": len(content) // 2, "the last byte": -1}[where]] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"course\.safetensors is damaged .*: type git checkout .*, or install") as e:
        load_course_network()
    assert "\n" not in str(e.value)


def test_a_file_that_is_cut_short_or_missing_is_said_in_one_line(own_file):
    path, _ = own_file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        load_course_network()
    path.unlink()
    with pytest.raises(UserError, match="cannot read the course's network .*No such file.*: type git checkout"):
        load_course_network()


def described(**changes):
    """The bytes of such a file with another description: None leaves a word out."""
    with pretrained.safe_open(COURSE_NETWORK, "pt") as file:
        said = json.loads(file.metadata()[METADATA]) | changes
    said = {key: value for key, value in said.items() if value is not None}
    return save(load_file(COURSE_NETWORK), {METADATA: json.dumps(said)})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"<!doctype html>", "no safetensors file"),
        (lambda: save({"weight": torch.zeros(3)}), "does not say what it is"),
        (lambda: save({"weight": torch.zeros(3)}, {METADATA: "{"}), "no safetensors file"),
        (lambda: save({"weight": torch.zeros(3)}, {METADATA: "[]"}), "does not say what it is"),
        (lambda: described(date=None), "does not say what it is"),
        (lambda: described(model="vgg"), "its 'model' is not one of"),
        (lambda: described(mean=[0.5, 0.5]), "its 'mean' is not a list of three"),
        (lambda: described(classes=["cat", "dog"]), "does not fit ResNet20: fc.weight is"),
        (lambda: described(model="lenet"), "does not fit LeNet"),
    ],
)
def test_a_new_file_with_a_wrong_content_is_refused(content, says, own_file):
    path, expect = own_file
    expect(content())
    with pytest.raises(UserError, match=says):
        load_course_network()


@pytest.fixture(scope="module")
def small_run(tmp_path_factory, pictures):
    """A finished run of ResNet-20."""
    out = tmp_path_factory.mktemp("small") / "run"
    quick = ["--epochs", "1", "--limit", "16", "--val-split", "0.25", "--device", "cpu"]
    assert train.main(["--data", str(pictures), "--model", "resnet20", *quick, "--out", str(out)]) == 0
    return out


def test_the_tool_writes_the_weights_of_the_best_epoch_in_half_precision_and_the_same_bytes_each_time(
    small_run, tmp_path
):
    target = tmp_path / "new" / "weights.safetensors"
    digest = export.export(small_run, target)
    content = target.read_bytes()
    assert digest == hashlib.sha256(content).hexdigest() == export.export(small_run, target)
    assert content == target.read_bytes()
    with pretrained.safe_open(target, "pt") as file:
        assert list(file.metadata()) == [METADATA], "several words would come in another order each time"
    course, best = pretrained.read_course_network(target), checkpoint.load(small_run / "best.pt")
    assert course.accuracy == checkpoint.load(small_run / "last.pt")["test"]["accuracy"]
    assert (course.pictures, course.test_pictures, course.trained.classes) == (12, 16, ["blue", "red"])
    assert (course.trained.mean, course.trained.std) == (best["mean"], best["std"])
    for name, value in course.trained.model.state_dict().items():
        assert torch.equal(value, best["state_dict"][name].half().to(value.dtype)), name
    assert not re.search(rb"tmp|run-|home", content[:4000]), "no path of this machine"


def test_the_tool_refuses_a_run_that_is_not_finished(small_run, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("best.pt", "last.pt"):
        contents = checkpoint.load(small_run / name)
        contents.pop("test", None)
        checkpoint.save(run / name, contents)
    with pytest.raises(UserError, match="is not finished: type python Course19-TrainGPU/train.py --resume"):
        export.export(run, tmp_path / "weights.safetensors")
    assert not (tmp_path / "weights.safetensors").exists()
