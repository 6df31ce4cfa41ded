"""Whatever a file claims to be: one clear line that names it and exit code 2, no traceback, and no wrong numbers."""

import copy
import re
import shutil

import pytest
import torch
from lessons import load_module, script_of
from strange_checkpoints import FOR_RESUME, FOR_TEST
from test_course19_train import everything, one_line, stop_after

from common import UserError, checkpoint
from common.models import make_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's, about the strange kinds of tensors

train = load_module(script_of("Course19-TrainGPU"))
test = load_module(script_of("Course20-ModelTest"))
RED_AND_BLUE = ["--limit", "100", "--epochs", "2", "--batch-size", "32", "--device", "cpu", "--model", "lenet"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, pictures):
    """The folder of a small run, stopped after its first epoch."""
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        stop_after(1, monkeypatch)
        assert train.main(["--data", str(pictures), *RED_AND_BLUE, "--out", str(out)]) == 130
    return out


@pytest.fixture
def good(stopped):
    return copy.deepcopy(checkpoint.load(stopped / "last.pt"))


@pytest.fixture(scope="module")
def picture(pictures):
    return pictures / "test/red/0.png"


@pytest.fixture
def put(stopped):
    """Writes a checkpoint as the last one of a run, beside the best one of that run."""

    def put(folder, contents):
        folder.mkdir()
        shutil.copy(stopped / "best.pt", folder)
        torch.save(contents, folder / "last.pt")
        return str(folder)

    return put


def refused(program, capsys, *argv):
    """The one line that the program says on standard error."""
    capsys.readouterr()
    assert program.main([str(a) for a in argv]) == 2
    return one_line(capsys.readouterr().err)


def test_the_good_checkpoint_is_good(put, good, picture, tmp_path, course_home, capsys):
    """Else the tests below would prove nothing."""
    torch.save(good, tmp_path / "good.pt")
    assert test.main(["--checkpoint", str(tmp_path / "good.pt"), str(picture)]) == 0
    torch.save(good["state_dict"], tmp_path / "bare.pt")
    assert test.main(["--checkpoint", str(tmp_path / "bare.pt"), str(picture)]) == 0
    assert train.main(["--resume", put(tmp_path / "run", good)]) == 0


@pytest.mark.parametrize("name", FOR_TEST)
def test_a_strange_checkpoint_is_refused_by_test_py(name, good, picture, tmp_path, course_home, capsys):
    path = tmp_path / "strange.pt"
    FOR_TEST[name](path, good)
    line = refused(test, capsys, "--checkpoint", path, picture)
    assert line.startswith("test.py: ") and "strange.pt" in line
    assert not (course_home / "outputs").exists()


@pytest.mark.parametrize("name", FOR_RESUME)
def test_a_strange_checkpoint_is_not_resumed(name, put, good, tmp_path, course_home, capsys):
    folder = tmp_path / "strange"
    put(folder, good)
    FOR_RESUME[name](folder / "last.pt", good)
    before = (folder / "last.pt").read_bytes()
    line = refused(train, capsys, "--resume", folder)
    assert line.startswith("train.py: ") and ("strange" in line or "/no/such/folder" in line)
    assert (folder / "last.pt").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"last.pt", "best.pt", ".lock"}, "nothing is half written"


@pytest.mark.parametrize("key", ["classes", "mean", "std", "model", "history", "best", "unfinished", "random"])
def test_the_line_names_the_key_whose_value_is_wrong(key, good, tmp_path):
    torch.save(good | {key: -1}, tmp_path / "x.pt")
    with pytest.raises(UserError, match=rf"x\.pt cannot be used: its '{key}' is not .+\. Take another checkpoint"):
        checkpoint.load_run(tmp_path / "x.pt")


def test_variances_below_zero_are_refused(tmp_path):
    state = make_model("cnn").state_dict()
    state["features.1.running_var"][3] = -1.0  # finite, and its root is NaN
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"features\.1\.running_var holds negative variances"):
        checkpoint.load_trained(tmp_path / "x.pt", [])


def test_methods_cannot_be_overwritten_by_a_schedulers_state(put, good, tmp_path, course_home, capsys):
    """load_state_dict() of a scheduler takes over whatever stands there."""
    strange = good | {"scheduler": good["scheduler"] | {"step": 5, "total_steps": 1}}
    assert train.main(["--resume", put(tmp_path / "run", strange)]) == 0


def test_a_checkpoint_does_not_choose_where_is_written(put, good, tmp_path, course_home, capsys):
    elsewhere = tmp_path / "elsewhere"
    places = {"logdir": str(elsewhere / "logs"), "out": str(elsewhere / "out"), "resume": str(elsewhere)}
    assert train.main(["--resume", put(tmp_path / "run", good | {"options": good["options"] | places})]) == 0
    assert not elsewhere.exists() and list((tmp_path / "run/logs").iterdir())
    assert f"add --logdir {elsewhere / 'logs'}" in capsys.readouterr().out


def as_first_written(contents):
    """A checkpoint as the first version of the course wrote it: other names, positions instead of names."""
    contents = copy.deepcopy(contents)
    contents["schedule"] = contents.pop("scheduler")
    del contents["pictures"]
    contents["unfinished"] = [contents["unfinished"][k] for k in ("steps", "loss", "correct", "count", "seconds")]
    old = {"loss/train": "train_loss", "accuracy/train": "train_accuracy"}
    old |= {"loss/val": "val_loss", "accuracy/val": "val_accuracy"}
    contents["history"] = [{old.get(name, name): value for name, value in row.items()} for row in contents["history"]]
    return contents


def test_a_run_of_the_first_version_goes_on_as_one_of_today(put, good, tmp_path, course_home, capsys):
    for name, contents in (("first", as_first_written(good)), ("today", good)):
        assert train.main(["--resume", put(tmp_path / name, contents)]) == 0
    assert everything(tmp_path / "first/last.pt") == everything(tmp_path / "today/last.pt")


def test_a_run_whose_best_weights_are_missing_is_refused_before_the_training(put, good, tmp_path, course_home, capsys):
    put(tmp_path / "run", good)
    (tmp_path / "run/best.pt").unlink()
    assert "has no best.pt" in refused(train, capsys, "--resume", tmp_path / "run")


@pytest.mark.parametrize("in_the_old_format", [False, True])
def test_a_best_checkpoint_of_the_first_version_answers(
    in_the_old_format, good, picture, tmp_path, course_home, capsys
):
    torch.save(as_first_written(good), tmp_path / "x.pt", _use_new_zipfile_serialization=not in_the_old_format)
    assert test.main(["--checkpoint", str(tmp_path / "x.pt"), str(picture)]) == 0


def test_a_larger_file_than_any_network_needs_is_not_even_opened(tmp_path, monkeypatch):
    with (tmp_path / "huge.pt").open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(5 * 2**30)  # takes no room on the disk
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(UserError, match=r"huge\.pt has 5,120 MB: networks of this course need at most 256 MB"):
        checkpoint.load(tmp_path / "huge.pt")


def test_what_is_loaded_does_not_change_with_the_file(good, tmp_path):
    """The file is mapped into memory while it is checked; what comes out stands on its own."""
    path = tmp_path / "x.pt"
    torch.save(good, path)
    weight = checkpoint.load(path)["state_dict"]["classifier.5.weight"]
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(weight, good["state_dict"]["classifier.5.weight"])


def test_every_key_that_is_written_is_in_the_schema(good):
    assert good.keys() <= checkpoint.SCHEMA.keys()
    assert {*checkpoint.TRAINED_KEYS, *checkpoint.RESUME_KEYS} <= good.keys() <= {*checkpoint.SCHEMA}
    assert re.fullmatch(r"[0-9a-f]{64}", good["pictures"]["training"]["pixels"])
