"""Course 19, from trained weights: what is frozen stays as it was, to the bit, and what goes wrong gets one line."""

import hashlib
import re
import resource
import shutil
import sys

import pytest
import torch
from children import Server
from lessons import load_module, script_of
from PIL import Image
from safetensors.torch import load_file
from test_course19_train import bits, everything, one_line, signal_in_batch

from common import UserError, checkpoint, pretrained
from common.data import image_folder, in_memory
from common.models import ResNet20, make_model
from common.pretrained import COURSE_NETWORK, load_course_network
from trainer import imagenet, transfer
from trainer import pictures as reading
from trainer.loader import MemoryLoader
from trainer.options import PRETRAINED, new_run_options
from trainer.state import fingerprint

train = load_module(script_of("Course19-TrainGPU"))
QUICK = ["--pretrained", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
QUICK += [
    "--image-size",
    "32",
    "--val-split",
    "0.1",
]  # 43 pictures to train on: an epoch is three steps and one batch of validation
HEAD = {"fc.weight", "fc.bias"}


def run(*argv, capsys=None):
    """The program in this process: exit code, standard output, standard error."""
    code = train.main([str(a) for a in argv])
    printed = capsys.readouterr() if capsys else None
    return (code, printed.out, printed.err) if capsys else code


def course_weights():
    """The weights of the file, as the package reads them, in float32."""
    stored = load_file(COURSE_NETWORK)
    return {name: v.float() if v.is_floating_point() else v for name, v in stored.items()}


# ---- Options ---------------------------------------------------------------------------------------------------------


def test_pretrained_alone_means_the_course_s_network_with_settings_that_need_no_thought():
    options = new_run_options(["--pretrained"])
    assert (options["pretrained"], options["model"], options["image_size"]) == ("course", "resnet20", 32)
    assert {name: options[name] for name in PRETRAINED} == {name: value for name, (value, _) in PRETRAINED.items()}
    frozen = new_run_options(["--pretrained", "--freeze", "--lr", "0.5"])
    assert frozen["lr"] == 0.5 and frozen["epochs"] == PRETRAINED["epochs"][1]
    large = new_run_options(["--pretrained", "imagenet", "--data", "mine"])
    assert (large["model"], large["image_size"]) == ("resnet18-224", 224)
    folder = new_run_options(["--pretrained", "--data", "mine"])
    assert folder["image_size"] == 64, "larger than the drawn pictures, which have no more to show than 32x32"
    plain = new_run_options([])
    assert (plain["pretrained"], plain["freeze"], plain["image_size"], plain["epochs"]) == (None, False, 32, 10)
    assert plain["val_split"] == 0.1


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--freeze"], "--freeze leaves trained weights as they are, and there are none: add --pretrained"),
        (["--pretrained", "vgg"], "invalid choice: 'vgg'"),
        (["--pretrained", "--model", "cnn"], "--pretrained course does not go with --model cnn"),
        (["--pretrained", "imagenet", "--model", "resnet18"], "does not go with --model resnet18"),
        (["--pretrained", "--recipe", "classic"], "does not go with --recipe classic"),
        (["--pretrained", "--no-normalize"], "does not go with --no-normalize"),
        (["--image-size", "7"], "'7' is no whole number from 8 to 1024"),
        (["--image-size", "64"], "--model cnn takes pictures of 32x32 alone: --image-size 64 does not fit it"),
        (["--image-size", "64", "--model", "lenet"], "--model lenet takes pictures of 32x32 alone"),
        (["--image-size", "9", "--model", "resnet18"], "--model resnet18 takes pictures from 16x16 to 1024x1024"),
        (["--pretrained", "imagenet", "--image-size", "32"], "takes pictures from 64x64"),
        (
            ["--pretrained", "--image-size", "64", "--data", "drawn"],
            "drawn are 32x32, not 64x64",
        ),
        (["--data", "drawn", "--model", "resnet18-224"], "all pictures of --data drawn are 32x32, not 224x224"),
    ],
)
def test_options_that_do_not_fit_each_other_get_one_clear_line(argv, says, course_home, capsys):
    code, _, err = run(*argv, capsys=capsys)
    assert code == 2
    assert says in one_line(err)
    assert not list(course_home.rglob("*.pt")) and not (course_home / "logs").exists()


# ---- What is frozen, and what is not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", ["--augment", "--no-augment"])
def test_frozen_weights_and_the_statistics_of_batchnorm_stay_as_they_were_to_the_bit(
    augment, course_home, pictures, capsys
):
    code, out, _ = run("--data", pictures, *QUICK, "--freeze", augment, "--out", course_home / "run", capsys=capsys)
    assert code == 0 and "269,202 parameters, 130 of them trained" in out
    before = course_weights()
    for name in ("best.pt", "last.pt"):
        after = checkpoint.load(course_home / "run" / name)["state_dict"]
        assert bits({k: v for k, v in after.items() if k not in HEAD}) == bits(
            {k: v for k, v in before.items() if k not in HEAD}
        )
    assert len(checkpoint.load(course_home / "run/last.pt")["optimizer"]["state"]) == 2, "momentum of the head alone"


def test_without_freeze_everything_learns_and_the_backbone_slower(course_home, pictures, capsys):
    assert run("--data", pictures, *QUICK, "--out", course_home / "run") == 0
    saved, before = checkpoint.load(course_home / "run/last.pt"), course_weights()
    weights = {name for name, _ in make_model("resnet20").named_parameters()}
    assert all(not torch.equal(saved["state_dict"][name], before[name]) for name in weights - HEAD)
    assert not torch.equal(saved["state_dict"]["stem.1.running_mean"], before["stem.1.running_mean"])
    head, backbone = saved["optimizer"]["param_groups"]
    assert backbone["max_lr"] == pytest.approx(head["max_lr"] * transfer.BACKBONE_LR)
    assert (len(head["params"]), len(backbone["params"])) == (2, len(weights) - 2)


def test_training_begins_with_the_course_s_backbone_and_a_new_head(pictures):
    options = new_run_options(["--pretrained", "--data", str(pictures)])
    metadata = {"classes": ["blue", "red"]}
    model = train.build_state(options, metadata, 3, torch.device("cpu"), load_course_network().trained).model
    before = course_weights()
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in after.keys() - HEAD)
    assert after["fc.weight"].shape == (2, 64)
    torch.manual_seed(options["seed"])
    assert torch.equal(after["fc.weight"], make_model("resnet20", 2).fc.weight), "drawn from the seed"


def test_the_pictures_are_normalised_as_the_network_knows_them(course_home, pictures, capsys):
    assert run("--data", pictures, *QUICK, "--freeze", "--out", course_home / "run") == 0
    saved, trained = checkpoint.load(course_home / "run/best.pt"), load_course_network().trained
    assert (saved["mean"], saved["std"]) == (trained.mean, trained.std)


@pytest.mark.parametrize("more", [[], ["--freeze"], ["--freeze", "--no-augment"], ["--freeze", "--amp"]])
def test_it_learns_red_from_blue(more, course_home, pictures, capsys):
    argv = ["--data", pictures, "--pretrained", "--image-size", 32, "--epochs", 6, "--device", "cpu", *more]
    assert run(*argv, "--out", course_home / "run") == 0
    assert checkpoint.load(course_home / "run/last.pt")["test"]["accuracy"] > 0.9


# ---- Features --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loader(pictures):
    """A loader of the training pictures without augmentation; kwargs as MemoryLoader's."""
    images, labels = in_memory(image_folder(pictures, "train"))
    trained = load_course_network().trained

    def make(**kwargs):
        return MemoryLoader(images, labels, 16, trained.mean, trained.std, shuffle=True, **kwargs)

    return make


def features_of(loader, epoch=3):
    model = load_course_network().trained.model.to(memory_format=torch.channels_last)
    head, loaders = transfer.head_and_features(model, {"train": loader, "test": loader}, amp=False)
    assert head is model.fc and loaders.keys() == {"train"}
    loaders["train"].set_epoch(epoch)
    return loaders["train"]


def test_features_computed_once_equal_features_computed_each_time(loader):
    once, model = features_of(loader()), load_course_network().trained.model
    pictures = loader()
    pictures.set_epoch(3)
    assert once.features.shape == (48, 64)
    for (features, labels), (images, same_labels) in zip(once, pictures, strict=True):
        assert torch.equal(labels, same_labels)
        with torch.no_grad():
            whole = model.stages(model.stem(images)).mean(dim=(2, 3))
            assert torch.allclose(features, whole, atol=1e-4)
            assert torch.allclose(model.fc(features), model(images), atol=1e-3), "what the head makes of them"


def test_with_augmentation_each_epoch_has_features_of_its_own(loader):
    each = features_of(loader(augment=True))
    assert each.features is None
    third = [features for features, _ in each]
    each.set_epoch(4)
    fourth = [features for features, _ in each]
    each.set_epoch(3)
    assert all(torch.equal(a, b) for a, b in zip(third, [f for f, _ in each], strict=True))
    assert not torch.allclose(third[0], fourth[0])


def test_several_processes_share_the_features_without_gaps(loader):
    parts = [features_of(loader(rank=rank, world_size=2)) for rank in (0, 1)]
    whole = features_of(loader())
    for (features, labels), *shares in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([share[0] for share in shares]), features)
        assert torch.equal(torch.cat([share[1] for share in shares]), labels)


@pytest.mark.parametrize(("augment", "again"), [("--no-augment", 0), ("--augment", 36)])
def test_the_frozen_part_runs_once_for_each_picture_where_no_augmentation_forbids_it(
    augment, again, course_home, pictures, monkeypatch, capsys
):
    forward, seen = ResNet20.forward, {}
    argv = ["--data", pictures, "--pretrained", "--freeze", "--image-size", 32, "--val-split", 0.25, augment]
    for epochs in (1, 3):
        seen[epochs] = []
        noted = lambda self, images: (seen[epochs].append(len(images)), forward(self, images))[1]  # noqa: E731, B023
        monkeypatch.setattr(ResNet20, "forward", noted)
        assert run(*argv, "--epochs", epochs, "--out", course_home / f"{epochs}") == 0
    assert sum(seen[1]) >= 48, "36 to train on and 12 to validate with"
    assert sum(seen[3]) - sum(seen[1]) == 2 * again


# ---- Resume ----------------------------------------------------------------------------------------------------------

KINDS = {"all weights": [], "head": ["--freeze", "--augment"], "head, features kept": ["--freeze", "--no-augment"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_stopped_and_resumed_without_the_weights_file_equals_one_that_never_was(
    kind, course_home, pictures, monkeypatch, capsys
):
    argv = ["--data", pictures, *QUICK, "--save-every", 2, *KINDS[kind]]
    assert run(*argv, "--out", course_home / "whole") == 0
    signal_in_batch(6, monkeypatch)  # the second step of the second epoch
    assert run(*argv, "--out", course_home / "parts") == 130
    monkeypatch.setattr(pretrained, "COURSE_NETWORK", course_home / "gone.safetensors")
    capsys.readouterr()
    code, out, _ = run("--resume", course_home / "parts", capsys=capsys)
    assert code == 0 and "after epoch 1 of 2 and 2 steps" in out and "start:" not in out
    for name in ("last.pt", "best.pt", "previous.pt"):
        assert everything(course_home / "parts" / name) == everything(course_home / "whole" / name)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["--pretrained", "imagenet"], "that run has --pretrained course"),
        (["--freeze"], "that run has --freeze False"),
        (["--image-size", "64"], "that run has --image-size 32"),
    ],
)
def test_a_run_does_not_go_on_with_another_start(typed, says, course_home, pictures, monkeypatch, capsys):
    signal_in_batch(2, monkeypatch)
    assert run("--data", pictures, *QUICK, "--out", course_home / "run") == 130
    capsys.readouterr()
    code, _, err = run("--resume", course_home / "run", *typed, capsys=capsys)
    assert code == 2 and says in one_line(err)


def test_a_run_from_before_there_was_pretrained_resumes_as_it_was(course_home, pictures, monkeypatch, capsys):
    argv = ["--data", pictures, "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
    assert run(*argv, "--out", course_home / "whole") == 0
    signal_in_batch(6, monkeypatch)
    assert run(*argv, "--out", course_home / "old") == 130
    for name in ("last.pt", "best.pt", "previous.pt"):
        old = checkpoint.load(course_home / "old" / name)
        old["options"] = {k: v for k, v in old["options"].items() if k not in ("pretrained", "freeze", "image_size")}
        checkpoint.save(course_home / "old" / name, {k: v for k, v in old.items() if k != "image_size"})
    assert checkpoint.load_trained(course_home / "old/best.pt", []).image_size == 32
    assert run("--resume", course_home / "old") == 0
    assert everything(course_home / "old/last.pt") == everything(course_home / "whole/last.pt")


# ---- The size of the pictures ----------------------------------------------------------------------------------------


def test_pictures_are_stored_at_the_size_that_was_asked_for_and_the_checkpoint_says_it(course_home, pictures, capsys):
    argv = ["--data", pictures, *QUICK, "--freeze", "--image-size", 48]
    code, out, _ = run(*argv, "--out", course_home / "run", capsys=capsys)
    needed = 2 * (48 + 16) * 3 * 48 * 48
    assert code == 0 and f"memory: 64 pictures of 48x48 take up to {needed / 1e9:.2f} GB" in out
    assert out.index("memory:") < out.index("data:")
    assert checkpoint.load_trained(course_home / "run/best.pt", []).image_size == 48
    loaders, _ = train.build_loaders(new_run_options([str(a) for a in argv]), torch.device("cpu"))
    assert loaders["train"].images.shape == (43, 48, 48, 3) and loaders["train"].images.dtype == torch.uint8


def test_pictures_that_would_not_fit_into_memory_are_refused_before_one_is_decoded(
    course_home, pictures, tmp_path, monkeypatch, capsys
):
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    (data / "train/red/0.png").write_bytes(b"whoever decodes this fails")
    monkeypatch.setattr(reading, "free_memory", lambda: 2 * 64 * 3 * 100 * 100)
    code, out, err = run("--data", data, *QUICK, "--image-size", 200, capsys=capsys)
    assert code == 2 and "memory: 64 pictures of 200x200" in out
    assert "and 0.00 GB are free: choose an --image-size of at most 100, or fewer pictures" in one_line(err)
    code, _, err = run("--data", data, *QUICK, "--image-size", 100, capsys=capsys)
    assert code == 2 and "0.png is no picture" in one_line(err), "just enough"
    assert not list(course_home.rglob("*.pt"))


def test_the_free_memory_is_a_number_that_this_machine_could_have():
    free = reading.free_memory()
    if sys.platform != "linux":
        pytest.skip("only Linux says it exactly")
    assert 2**24 < free < 2**44


def test_the_padding_of_the_random_crop_grows_with_the_pictures():
    for size, padding in ((32, 4), (64, 8), (224, 28)):
        images = torch.zeros(2, 3, size, size, dtype=torch.uint8)
        assert MemoryLoader(images, torch.zeros(2), 2, [0.0] * 3, [1.0] * 3).padding == padding


def test_a_fingerprint_does_not_depend_on_how_the_pictures_lie_in_memory():
    images = torch.randint(0, 256, (1003, 3, 5, 5), dtype=torch.uint8)
    labels = torch.arange(1003)
    expected = {"number": 1003, "labels": hashlib.sha256(labels.numpy()).hexdigest()}
    expected |= {"pixels": hashlib.sha256(images.numpy()).hexdigest()}
    assert fingerprint(images, labels) == expected
    assert fingerprint(images.to(memory_format=torch.channels_last), labels) == expected


def test_a_checkpoint_whose_network_does_not_take_its_pictures_is_refused(course_home, tmp_path):
    contents = {"model": "cnn", "state_dict": make_model("cnn", 2).state_dict(), "classes": ["a", "b"]}
    contents |= {"mean": [0.5] * 3, "std": [0.2] * 3}
    for size, says in ((64, "cnn takes no pictures of 64x64"), (7, "'image_size' is not a whole number"), ("x", "is")):
        checkpoint.save(tmp_path / "x.pt", contents | {"image_size": size})
        with pytest.raises(UserError, match=says):
            checkpoint.load_trained(tmp_path / "x.pt", [])


# ---- Few pictures ----------------------------------------------------------------------------------------------------


def one_picture_each(folder, count):
    """A data folder of that many classes, with a single picture of each to train and one to test with."""
    for split in ("train", "test"):
        for label in range(count):
            (folder / split / f"class {label}").mkdir(parents=True)
            Image.new("RGB", (40, 40), (label * 30, 0, 99)).save(folder / split / f"class {label}" / "only.png")
    return folder


@pytest.mark.parametrize("more", [[], ["--freeze"], ["--freeze", "--no-augment"]])
def test_classes_of_one_picture_each_can_be_trained_on(more, course_home, tmp_path, capsys):
    data = one_picture_each(tmp_path / "data", 3)
    assert run("--data", data, *QUICK, *more, "--out", course_home / "run") == 0


def test_where_validation_would_take_the_only_picture_of_a_class_one_line_says_what_to_do(
    course_home, tmp_path, capsys
):
    data = one_picture_each(tmp_path / "data", 6)
    code, _, err = run("--data", data, *QUICK, capsys=capsys)
    assert code == 2 and "5 training pictures are too few for 6 classes: add pictures, or type --val-split 0" in err
    assert not list(course_home.rglob("*.pt")) and err.count("\n") == 1
    assert run("--data", data, *QUICK, "--val-split", 0, "--out", course_home / "run") == 0


# ---- ImageNet --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """What torchvision's host would have: a file of the right form with random weights, named by its own hash."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("host")
    state_dict = make_model("resnet18-224", 1000).state_dict()
    # The published file is from before BatchNorm counted its steps.
    state_dict = {name: value for name, value in state_dict.items() if not name.endswith("num_batches_tracked")}
    return publish(state_dict, folder)


def publish(state_dict, folder):
    torch.save(state_dict, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    return (folder / "new.pth").rename(folder / f"resnet18-{digest[:8]}.pth")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of torch.hub, empty; and a function that says which file torchvision's weights are to be."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    class Weights:
        meta, transforms = imagenet.WEIGHTS.meta, imagenet.WEIGHTS.transforms

    def is_published(file):
        Weights.url = file.as_uri()
        monkeypatch.setattr(imagenet, "WEIGHTS", Weights)
        return file

    folder = tmp_path / "torch/hub/checkpoints"
    return folder, is_published


def test_the_weights_are_those_that_torchvision_names():
    assert re.fullmatch(r"https://download\.pytorch\.org/models/resnet18-[0-9a-f]{8}\.pth", imagenet.WEIGHTS.url)


def test_a_file_in_the_cache_is_taken_with_imagenet_s_statistics_and_size(cache, published):
    folder, is_published = cache
    is_published(published)
    folder.mkdir(parents=True)
    shutil.copy(published, folder)
    trained = imagenet.load_imagenet_network()
    weights, theirs = trained.model.state_dict(), torch.load(published, weights_only=True)
    assert all(torch.equal(weights[name], value) for name, value in theirs.items())
    assert (trained.name, trained.image_size, len(trained.classes)) == ("resnet18-224", 224, 1000)
    assert (trained.mean, trained.std) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert not trained.model.training


def test_a_missing_file_is_downloaded_once_and_put_into_place_whole(cache, published, capsys):
    folder, is_published = cache
    is_published(published)
    imagenet.load_imagenet_network()
    assert f"downloading {published.as_uri()} to {folder / published.name}" in capsys.readouterr().out
    assert [p.name for p in folder.iterdir()] == [published.name]
    assert (folder / published.name).read_bytes() == published.read_bytes()
    imagenet.load_imagenet_network()
    assert "downloading" not in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["no such address", "other bytes", "no space", "no folder"])
def test_a_download_that_fails_is_one_line_with_file_address_and_folder_and_leaves_nothing(
    fault, cache, published, tmp_path, course_home, capsys
):
    folder, is_published = cache
    host = shutil.copy(published, tmp_path / published.name)
    file, limits = is_published(host), resource.getrlimit(resource.RLIMIT_FSIZE)
    if fault == "no such address":
        host.unlink()
    elif fault == "other bytes":
        host.write_bytes(b"<html>log in</html>")
    elif fault == "no folder":
        folder.parent.parent.write_text("in the way")
    try:
        if fault == "no space":
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
        code, _, err = run("--data", tmp_path, "--pretrained", "imagenet", capsys=capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 2
    for named in (f"{file.name} cannot be fetched (", f"download {file.as_uri()} ", f"put it into {folder}"):
        assert named in one_line(err)
    assert not folder.exists() or not list(folder.iterdir()), "nothing half-written"


@pytest.mark.parametrize("fault", ["damaged", "of a different network", "no checkpoint"])
def test_a_cache_file_that_is_not_the_published_one_is_one_line(fault, cache, published, tmp_path):
    folder, is_published = cache
    folder.mkdir(parents=True)
    if fault == "damaged":
        content = bytearray(published.read_bytes())
        content[len(content) // 2] ^= 1
        is_published(published)
        (folder / published.name).write_bytes(content)
        says = "is not the file that its name says, or is damaged: delete it and try again"
    elif fault == "of a different network":
        other = publish(make_model("resnet18", 1000).state_dict(), folder)
        is_published(other)
        says = r"does not fit ResNet: conv1\.weight is \(64, 3, 3, 3\) in the file"
    else:
        digest = hashlib.sha256(b"<html>").hexdigest()
        is_published(folder / f"resnet18-{digest[:8]}.pth").write_bytes(b"<html>")
        says = "is no checkpoint but a web page"
    with pytest.raises(UserError, match=says) as error:
        imagenet.load_imagenet_network()
    assert "\n" not in str(error.value)


def test_training_from_imagenet_s_weights_runs_and_the_result_loads_at_its_size(
    cache, published, course_home, pictures, capsys
):
    _, is_published = cache
    is_published(published)
    argv = ["--data", pictures, "--pretrained", "imagenet", "--image-size", 64, "--freeze", "--no-augment"]
    code, out, _ = run(*argv, "--epochs", 1, "--device", "cpu", "--out", course_home / "run", capsys=capsys)
    assert code == 0 and "ImageNet" in out and "model: resnet18-224" in out
    trained = checkpoint.load_trained(course_home / "run/best.pt", [])
    assert (trained.name, trained.image_size, trained.classes) == ("resnet18-224", 64, ["blue", "red"])
    theirs = torch.load(published, weights_only=True)
    assert torch.equal(trained.model.layer4[1].conv2.weight, theirs["layer4.1.conv2.weight"])


# ---- Several processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("children"))
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_from_the_course_s_network_and_resume(kind, server, pictures, tmp_path):
    argv = ["--data", pictures, *QUICK, *KINDS[kind], "--out", tmp_path / "run"]
    children = server.start_together(2, *argv)
    assert [child.wait() for child in children] == [0, 0], [child.err for child in children]
    assert children[0].out.count("start: the course's network") == 1 and not children[1].out
    after, before = checkpoint.load(tmp_path / "run/last.pt")["state_dict"], course_weights()
    same = [torch.equal(after[name], before[name]) for name in after.keys() - HEAD]
    assert all(same) if "--freeze" in argv else not all(same)
    again = server.run("--resume", tmp_path / "run")
    assert again.code == 0 and again.out.startswith("nothing to do")
