"""Course 17: the files on disk, read by other means than the lesson's, and trainings compared bit by bit."""

import io
import json
import pickletools
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from common import UserError, checkpoint
from common.paths import checkpoint_dir


@pytest.fixture(scope="module")
def folder(lesson):
    return checkpoint_dir("Course17-ModelSave")


def numbers_in(file):
    """The raw numbers of weights.pt, read with zipfile and NumPy alone."""
    with zipfile.ZipFile(file) as archive:
        root = archive.namelist()[0].split("/")[0]
        return [
            np.frombuffer(archive.read(f"{root}/data/{i}"), dtype=np.int64 if i == 6 else np.float32) for i in range(9)
        ]


def words_in(file):
    """All texts in the pickle of a file, found without running it."""
    with zipfile.ZipFile(file) as archive:
        index = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        return [argument for _, argument, _ in pickletools.genops(archive.read(index)) if isinstance(argument, str)]


def test_the_file_holds_the_models_numbers_as_they_lie_in_memory(lesson, folder):
    stored = numbers_in(folder / "weights.pt")
    for mine, value in zip(stored, lesson["model"].state_dict().values(), strict=True):
        assert mine.tobytes() == value.numpy().tobytes()


def test_a_loaded_model_gives_the_same_answers_bit_for_bit(lesson):
    model, fresh, images = lesson["model"].eval(), lesson["fresh"].eval(), lesson["images"]
    with torch.no_grad():
        assert torch.equal(model(images), fresh(images))
    assert all(a is not b for a, b in zip(model.parameters(), fresh.parameters(), strict=True))


def test_same_sees_one_changed_number_and_one_changed_name(lesson):
    ours = lesson["model"].state_dict()
    other = OrderedDict((name, value.clone()) for name, value in ours.items())
    assert lesson["same"](ours, other)
    other["classifier.2.bias"][3] += 1e-6
    assert not lesson["same"](ours, other)
    assert not lesson["same"](ours, {f"module.{name}": value for name, value in ours.items()})


def test_the_ending_of_a_file_changes_nothing(folder):
    content = (folder / "weights.pt").read_bytes()
    assert zipfile.is_zipfile(io.BytesIO(content))
    assert all((folder / name).read_bytes() == content for name in ("weights.pth", "weights.ckpt", "weights.jpg"))


def test_a_view_drags_the_whole_table_into_its_file(folder):
    assert (folder / "row.pt").stat().st_size > 1000 * 250 * 4
    assert 250 * 4 < (folder / "clone.pt").stat().st_size < 4000


def test_a_whole_pickled_model_names_its_class_and_a_state_dict_does_not(folder):
    assert any("SmallCNN" in word for word in words_in(folder / "whole.pt"))
    assert not any("SmallCNN" in word for word in words_in(folder / "weights.pt"))


def test_the_surprise_runs_without_weights_only_and_not_with_it(folder, capsys):
    torch.load(folder / "surprise.pt", weights_only=False)
    assert "printed by a file" in capsys.readouterr().out
    with pytest.raises(Exception, match="GLOBAL print"):
        torch.load(folder / "surprise.pt", weights_only=True)
    assert capsys.readouterr().out == ""


def test_the_lesson_itself_ran_the_surprise_once_and_only_where_it_says_so(printed):
    lines = printed.splitlines()
    assert printed.count("printed by a file") == 1
    assert "printed by a file" in lines[lines.index("weights_only=False:") + 1]
    assert "UnpicklingError" in lines[lines.index("weights_only=True:") + 1]


@pytest.mark.parametrize("which", ["longer", "forgiving"])
def test_what_fits_is_loaded_whether_or_not_the_rest_raises(lesson, which):
    theirs, model = lesson[which].state_dict(), lesson["model"].state_dict()
    assert theirs.keys() - model.keys() == {"classifier.3.weight", "classifier.3.bias"}
    assert all(torch.equal(theirs[name], model[name]) for name in model)


def test_both_wrappers_prefix_every_name_and_nothing_else(lesson):
    names = set(lesson["model"].state_dict())
    for wrapper, prefix in (("DataParallel", "module."), ("torch.compile", "_orig_mod.")):
        assert set(lesson["wrapped"][wrapper].state_dict()) == {prefix + name for name in names}


def test_the_forged_file_differs_from_the_true_one_in_the_device_alone(folder):
    true, forged = words_in(folder / "weights.pt"), words_in(folder / "from_gpu.pt")
    assert "cuda:1" in forged and "cpu" not in forged and "cpu" in true
    assert [word.replace("cuda:1", "cpu") for word in forged] == true
    for a, b in zip(numbers_in(folder / "weights.pt"), numbers_in(folder / "from_gpu.pt"), strict=True):
        assert np.array_equal(a, b)


def test_a_training_that_was_resumed_is_the_one_that_never_stopped(lesson, printed):
    curves = lesson["curves"]
    straight = curves["never stopped"]
    assert len(straight) == 20
    assert curves["nothing left out"] == straight
    for name in ("optimizer left out", "rng left out", "model left out"):
        assert curves[name][:10] == straight[:10] and curves[name] != straight
    assert printed.count("the same as never stopped: True") == 1


def test_twenty_steps_by_another_loop_reach_the_same_weights(lesson):
    """The lesson's 20 steps, without its functions and without stopping."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = lesson["SmallCNN"]()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(20):
            model.zero_grad()
            nn.functional.cross_entropy(model(lesson["images"]), lesson["labels"]).backward()
            optimizer.step()
    expected = model.state_dict()
    for name, value in lesson["straight"].state_dict().items():
        assert torch.equal(value, expected[name])


def test_the_checkpoint_holds_all_that_the_next_step_depends_on(lesson, folder):
    saved = torch.load(folder / "training.pt", weights_only=True)
    assert set(saved) == {"model", "optimizer", "rng", "step"} and saved["step"] == 10
    assert [int(state["step"]) for state in saved["optimizer"]["state"].values()] == [10] * 6


def test_a_file_of_a_missing_gpu_loads_only_with_a_map_location(lesson, folder, printed):
    assert "torch.cuda.is_available() is False" in " ".join(printed.split())
    assert "CUDA device 1 but torch.cuda.device_count() is 1" in " ".join(printed.split())
    if torch.cuda.device_count() < 2:
        with pytest.raises(RuntimeError, match="deserialize object on"):
            torch.load(folder / "from_gpu.pt", weights_only=True)
    for where in ("cpu", {"cuda:1": "cpu"}, torch.device("cpu"), lambda storage, location: storage):
        moved = torch.load(folder / "from_gpu.pt", map_location=where, weights_only=True)
        assert lesson["same"](moved, lesson["weights"])


def test_no_half_written_file_is_left_behind(folder):
    assert not list(folder.glob(".*")) and not list(folder.glob("*.part"))
    assert torch.load(folder / "latest.pt", weights_only=True)["step"] == 20


def test_half_a_file_is_refused_by_the_courses_own_reader_and_by_torch(lesson, folder):
    with pytest.raises(UserError, match="damaged or cut short"):
        checkpoint.load(folder / "half.pt")
    with pytest.raises((RuntimeError, OSError)):
        torch.load(folder / "half.pt", weights_only=True)


def test_assigning_to_state_dict_loads_nothing(lesson):
    careless, weights = lesson["careless"], lesson["weights"]
    assert careless.state_dict is weights
    true = nn.Module.state_dict(careless)
    assert true.keys() == weights.keys()
    learned = [name for name in weights if name.endswith("weight") and weights[name].ndim > 1]
    assert len(learned) == 2 and not any(torch.equal(true[name], weights[name]) for name in learned)


def test_a_wrapper_takes_plain_weights_only_through_its_module(lesson):
    weights, net = lesson["weights"], nn.DataParallel(lesson["SmallCNN"]())
    with pytest.raises(RuntimeError, match="Missing key"):
        net.load_state_dict(weights)
    net.module.load_state_dict(weights)
    for wrapper in (net, lesson["parallel"]):  # wrapped, then loaded; loaded, then wrapped
        loaded = {name: value.cpu() for name, value in wrapper.module.state_dict().items()}
        assert lesson["same"](loaded, weights)
        assert set(wrapper.state_dict()) == {"module." + name for name in weights}


def test_a_different_activation_takes_the_weights_and_gives_other_answers(lesson):
    different, images = lesson["different"].eval(), lesson["images"]
    assert lesson["same"](different.state_dict(), lesson["weights"])
    with torch.no_grad():
        assert not torch.allclose(different(images), lesson["fresh"].eval()(images), atol=0.1)


def test_neither_mode_nor_freezing_is_in_the_file(lesson, folder):
    assert not lesson["frozen"].training and not any(p.requires_grad for p in lesson["frozen"].parameters())
    assert torch.load(folder / "frozen.pt", weights_only=True).keys() == lesson["weights"].keys()
    assert not {word for word in words_in(folder / "frozen.pt") if word in ("training", "eval", "SmallCNN")}
    model = lesson["SmallCNN"]()
    model.load_state_dict(torch.load(folder / "frozen.pt", weights_only=True))
    assert model.training and all(p.requires_grad for p in model.parameters())


def test_a_complete_file_brings_the_names_of_the_classes_and_the_normalisation(lesson):
    trained, complete = lesson["trained"], lesson["complete"]
    assert trained.classes == lesson["dataset"].classes and trained.classes[3] == "cat"
    assert (trained.mean, trained.std) == (complete["mean"], complete["std"])
    assert not trained.model.training
    assert lesson["same"](trained.model.state_dict(), complete["state_dict"])


def test_the_safetensors_file_follows_its_specification(lesson, folder):
    content = (folder / "weights.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    ours, end = lesson["model"].state_dict(), 0
    assert list(header) == list(ours)
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        assert start == end, "no gap and no overlap"
        end = stop
        dtype = {"F32": "<f4", "I64": "<i8"}[entry["dtype"]]
        assert np.array_equal(np.frombuffer(data[start:stop], dtype).reshape(entry["shape"]), ours[name].numpy())
    assert end == len(data)


def test_the_renamed_layer_gets_its_weights_only_with_mended_names(lesson):
    renamed, model = lesson["renamed"].state_dict(), lesson["model"].state_dict()
    assert len(lesson["strangers"]) == 7
    for name, value in model.items():
        assert torch.equal(renamed[name.replace("features", "body")], value)


def test_eval_answers_do_not_waver_and_train_answers_do(lesson):
    answers = lesson["answers"]
    assert torch.equal(answers["eval"].amin(0), answers["eval"].amax(0))
    assert (answers["train"].amax(0) - answers["train"].amin(0)).max() > 0.5
    assert torch.allclose(answers["train"].sum(2), torch.ones(50, 64), atol=1e-5)
    assert answers["train"].min() >= 0 and answers["train"].max() <= 1 + 1e-6
    low, high = lesson["ax"].get_ylim()
    assert (low, high) == (0, 1), "probabilities are drawn from 0 to 1, and no further"


def test_eval_answers_are_those_of_each_picture_alone(lesson):
    model = lesson["model"].eval()
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in lesson["images"]]).softmax(1)
    assert torch.allclose(alone, lesson["answers"]["eval"][0], atol=1e-5)


def test_the_picture_of_section_10_is_right_in_eval_mode_and_often_wrong_in_train_mode(lesson):
    answers, picture, label = lesson["answers"], lesson["picture"], lesson["labels"][lesson["picture"]]
    assert (answers["eval"][:, picture].argmax(1) == label).all()
    assert (answers["train"][:, picture].argmax(1) == label).double().mean() < 0.8
    assert answers["eval"][:, picture, label].mean() > answers["train"][:, picture, label].mean()
