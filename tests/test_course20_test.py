"""Course 20: what it says of a picture must be what the network says, for whatever kind of file the picture is in."""

import json

import numpy as np
import pytest
import torch
from lessons import load_module, run_lesson, script_of
from PIL import Image
from safetensors import safe_open
from torch import nn

from common import checkpoint, pretrained
from common.data import open_data
from common.drawn import CIFAR_CLASSES
from common.models import make_model
from common.paths import home
from common.pictures import read_image, to_uint8
from common.pretrained import COURSE_NETWORK, load_course_network

program = load_module(script_of("Course20-ModelTest"))
CLASSES = list(CIFAR_CLASSES)
home_of_tests = home()


@pytest.fixture(scope="session")
def trained():
    """The checkpoint of the default run."""
    run_lesson("Course20-ModelTest")
    return home() / "checkpoints/Course19-TrainGPU/run-001/best.pt"


@pytest.fixture(scope="session")
def drawn_test():
    return open_data("drawn", "test")


@pytest.fixture
def picture(drawn_test, tmp_path, monkeypatch, course_home):
    """One drawn test picture, 32x32, for a test that runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return drawn_test[0][0]


def run(capsys, *argv):
    code = program.main([str(a) for a in argv])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def save_random(path, name="cnn", num_classes=10, rename=lambda key: key):
    """A checkpoint such as others write: a bare state_dict of random weights."""
    torch.manual_seed(4)
    model = make_model(name, num_classes)
    torch.save({rename(key): value for key, value in model.state_dict().items()}, path)
    return model.eval()


# ---- Measuring -------------------------------------------------------------------------------------------------------


def test_the_printed_accuracy_is_correct_over_total_counted_one_by_one(trained):
    contents = checkpoint.load(trained)
    model = make_model("cnn", 10)
    model.load_state_dict(contents["state_dict"])
    model.eval()
    dataset, right = open_data("drawn", "test"), torch.zeros(10, dtype=torch.int64)
    mean, std = (torch.tensor(contents[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        for start in range(0, len(dataset), 100):
            pixels = torch.tensor(dataset.data[start : start + 100]).permute(0, 3, 1, 2) / 255
            guesses = model((pixels - mean) / std).argmax(dim=1)
            labels = torch.tensor(dataset.targets[start : start + 100])
            right += labels[guesses == labels].bincount(minlength=10)
    printed = run_lesson("Course20-ModelTest").printed
    total = f"({right.sum():,} of 2,000 test pictures of drawn)"
    assert total in printed
    printed = printed.split(total)[1]  # the course's network was measured before it
    for name, count in zip(dataset.classes, right.tolist(), strict=True):
        assert f"({count} of 200)" in next(line for line in printed.splitlines() if line.strip().startswith(name))


def test_train_and_test_agree_on_the_accuracy(trained):
    accuracy = checkpoint.load(trained.with_name("last.pt"))["test"]["accuracy"]
    assert f"accuracy {accuracy:.2%} " in run_lesson("Course20-ModelTest").printed


def test_the_confusion_matrix_counts_true_rows_and_guessed_columns():
    labels, guesses = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 0, 2, 2])
    assert program.count_confusion(labels, guesses, 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_the_networks_of_other_classes_are_not_measured_on_these(tmp_path, capsys):
    save_random(tmp_path / "three.pt", num_classes=3)
    code, _, err = run(capsys, "--checkpoint", tmp_path / "three.pt", "--data", "drawn")
    assert code == 2 and "the network knows class 0, class 1, class 2" in err and err.count("\n") == 1


# ---- Pictures from the world -----------------------------------------------------------------------------------------


def variants(image, folder):
    """The same picture in nine kinds of file."""
    small, rgb = image.resize((64, 64), Image.Resampling.NEAREST), image.convert("RGB")
    big = rgb.resize((64, 64), Image.Resampling.NEAREST)
    big.save(folder / "rgb.png")
    big.convert("RGBA").save(folder / "rgba.png")
    big.convert("L").save(folder / "grey.png")
    big.quantize(64).save(folder / "palette.png")
    grey = np.asarray(big.convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(folder / "sixteen.png")
    big.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    turned = big.transpose(Image.Transpose.ROTATE_90)  # what the camera stores …
    exif = turned.getexif()
    exif[0x0112] = 6  # … and its note: turn this clockwise before you show it
    turned.save(folder / "phone.jpg", quality=95, exif=exif)
    frames = [big, Image.new("RGB", big.size, "red")]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    small.convert("1").save(folder / "one_bit.png")
    return sorted(folder.iterdir())


def test_every_kind_of_picture_is_classified(trained, picture, tmp_path, capsys):
    paths = variants(picture, tmp_path)
    code, out, err = run(capsys, "--checkpoint", trained, *paths)
    assert code == 0 and err == ""
    assert all(sum(line.startswith(str(path)) for line in out.splitlines()) == 1 for path in paths)


@pytest.mark.parametrize(
    ("name", "as_grey", "allowed"),
    [("rgba.png", False, 0), ("palette.png", False, 12), ("cmyk.jpg", False, 8), ("phone.jpg", False, 8)]
    + [("moving.gif", False, 12), ("grey.png", True, 0), ("sixteen.png", True, 1)],
)
def test_every_kind_of_picture_looks_like_the_original(name, as_grey, allowed, picture, tmp_path):
    """16 bits clipped to white, a picture on its side or the last frame would be far off. Mean difference of 0…255."""
    variants(picture, tmp_path)
    expected = Image.open(tmp_path / "rgb.png").convert("L" if as_grey else "RGB").convert("RGB")
    difference = np.asarray(read_image(tmp_path / name), float) - np.asarray(expected, float)
    assert np.abs(difference).mean() <= allowed


def test_what_is_transparent_shows_white_and_not_its_hidden_colour(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "ghost.png")
    assert np.asarray(read_image(tmp_path / "ghost.png")).min() == 255


def test_a_picture_alone_is_prepared_as_the_test_split_is(trained, picture, drawn_test, tmp_path, capsys):
    """Catches a test-time transform that differs from training: the same pixels must give the same probabilities."""
    picture.save(tmp_path / "first.png")
    contents = checkpoint.load(trained)
    model = make_model("cnn", 10)
    model.load_state_dict(contents["state_dict"])
    mean, std = (torch.tensor(contents[key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = torch.tensor(drawn_test.data[0]).permute(2, 0, 1) / 255
    with torch.no_grad():
        expected = model.eval()(((pixels - mean) / std)[None]).softmax(dim=1)[0]
    _, out, _ = run(capsys, "--checkpoint", trained, "first.png", "--top", "10")
    line = next(line for line in out.splitlines() if line.startswith("first.png"))
    for name, probability in zip(drawn_test.classes, expected.tolist(), strict=True):
        assert any(f"{name} {probability + d:.1%}" in line for d in (-5e-4, 0, 5e-4)), (name, probability, line)


def test_top_names_that_many_classes_in_falling_order(trained, picture, tmp_path, capsys):
    picture.save(tmp_path / "a.png")
    _, out, _ = run(capsys, "--checkpoint", trained, "a.png", "--top", "4")
    words = next(line for line in out.splitlines() if line.startswith("a.png")).replace("%", "").split()[1:]
    assert len(words) == 8 and set(words[::2]) <= set(CLASSES)
    shares = [float(word) for word in words[1::2]]
    assert shares == sorted(shares, reverse=True)


def test_files_that_are_no_picture_get_a_line_each_and_the_others_are_classified(trained, picture, tmp_path, capsys):
    picture.save(tmp_path / "good.png")
    picture.resize((200, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    (tmp_path / "folder").mkdir()
    (tmp_path / "print.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    bad = ["text.jpg", "empty.png", "cut.jpg", "folder", "missing.png", "print.eps"]
    code, out, err = run(capsys, "--checkpoint", trained, *bad, "good.png")
    assert code == 2
    lines = err.splitlines()
    assert len(lines) == len(bad) and all(name in line for name, line in zip(bad, lines, strict=True))
    for says, line in zip(
        ("no picture", "empty", "damaged", "is a folder", "there is no", "no picture"), lines, strict=True
    ):
        assert says in line
    assert any(line.startswith("good.png") for line in out.splitlines())


def test_a_picture_that_claims_to_be_gigantic_is_refused_before_it_is_decoded(tmp_path, capsys, trained):
    header = Image.new("1", (8, 8))
    header.save(tmp_path / "bomb.bmp")
    data = bytearray((tmp_path / "bomb.bmp").read_bytes())
    data[18:26] = (30_000).to_bytes(4, "little") * 2
    (tmp_path / "bomb.bmp").write_bytes(data)
    code, _, err = run(capsys, "--checkpoint", trained, tmp_path / "bomb.bmp")
    assert code == 2 and "bomb.bmp" in err and err.count("\n") == 1


# ---- Checkpoints of others -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module.", "model1.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("name", ["cnn", "cnn-classic", "lenet"])
def test_a_bare_state_dict_loads_whatever_prefix_its_names_share(name, prefix, tmp_path):
    model = save_random(tmp_path / "theirs.pt", name, rename=lambda key: prefix + key)
    loaded = checkpoint.load_trained(tmp_path / "theirs.pt", CLASSES)
    images = torch.rand(2, 3, 32, 32)
    assert loaded.name == name and loaded.classes == CLASSES
    assert torch.equal(loaded.model(images), model(images))


def test_the_classic_networks_names_are_those_of_the_videos(tmp_path):
    """A Sequential saved as `model1`, as video courses build it, is recognised."""
    layers = [nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(2), nn.Conv2d(32, 32, 5, padding=2), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(32, 64, 5, padding=2), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 64), nn.Linear(64, 10)]
    theirs = nn.Sequential(*layers)
    torch.save({"model1." + key: value for key, value in theirs.state_dict().items()}, tmp_path / "theirs.pth")
    loaded = checkpoint.load_trained(tmp_path / "theirs.pth", CLASSES)
    images = torch.rand(2, 3, 32, 32)
    assert loaded.name == "cnn-classic" and torch.equal(loaded.model(images), theirs(images))


def test_without_a_checkpoint_it_takes_the_newest_best_and_says_which(trained):
    assert "checkpoint: checkpoints/Course19-TrainGPU/run-001/best.pt (cnn, 10 classes)" in (
        run_lesson("Course20-ModelTest").printed
    )


def test_it_says_what_the_network_was_trained_on_and_how_good_it_was(trained):
    accuracy = checkpoint.load(trained.with_name("last.pt"))["test"]["accuracy"]
    line = f"trained on 9,000 drawn pictures; {accuracy:.2%} right on 2,000 test pictures"
    assert line in run_lesson("Course20-ModelTest").printed


# ---- The course's own network ----------------------------------------------------------------------------------------


@pytest.fixture
def untrained_home(course_home, drawn_test):
    """A home with the drawn pictures of the tests, and with nothing trained."""
    (course_home / "data").symlink_to(home_of_tests / "data", target_is_directory=True)
    return course_home


def save_checkpoint(path, name="lenet", classes=CLASSES, **more):
    """A checkpoint as train.py writes it, of random weights, that can be used but not resumed."""
    torch.manual_seed(4)
    about = {"classes": list(classes), "mean": [0.5] * 3, "std": [0.25] * 3, "data": "drawn"}
    model = make_model(name, len(classes))
    checkpoint.save(path, {"model": name, "state_dict": model.state_dict()} | about | more)
    return path


PHOTOGRAPHS = "it has seen no photographs, and gets most of them wrong: --checkpoint course\n"


def test_with_nothing_trained_the_courses_network_answers_and_says_so(picture, tmp_path, capsys):
    picture.save(tmp_path / "a.png")
    code, out, _ = run(capsys, "a.png")
    course = load_course_network()
    assert code == 0 and "checkpoint: course (resnet20, 10 classes)\nnothing is trained yet: " in out
    how_good = f"{course.accuracy:.2%} right on {course.test_pictures:,} test pictures"
    assert f"trained on {course.pictures:,} photographs of CIFAR-10; {how_good}\n" in out
    assert PHOTOGRAPHS not in out and "a.png" in out


def test_the_courses_network_answers_what_its_file_says(picture, tmp_path, capsys):
    """Worked out from the file: weights in half precision, pictures with its own mean and standard deviation."""
    picture.save(tmp_path / "a.png")
    with safe_open(COURSE_NETWORK, "pt") as file:
        said = json.loads(file.metadata()["course"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- the file is no dict
    model = make_model("resnet20", 10).eval()
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    mean, std = (torch.tensor(said[key]).view(3, 1, 1) for key in ("mean", "std"))
    pixels = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) / 255
    with torch.no_grad():
        expected = model(((pixels - mean) / std)[None]).softmax(dim=1)[0]
    _, out, _ = run(capsys, "--checkpoint", "course", "a.png", "--top", "1")
    line = next(line for line in out.splitlines() if line.startswith("a.png"))
    best = expected.argmax()
    assert any(f"{said['classes'][best]} {expected[best] + d:.1%}" in line for d in (-5e-4, 0, 5e-4)), (line, expected)


def test_a_trained_network_goes_before_the_courses_unless_that_is_asked_for(picture, tmp_path, course_home, capsys):
    picture.save(tmp_path / "a.png")
    folder = course_home / "checkpoints/Course19-TrainGPU/mine"
    folder.mkdir(parents=True)
    save_checkpoint(folder / "best.pt")
    _, out, _ = run(capsys, "a.png")
    assert "checkpoint: checkpoints/Course19-TrainGPU/mine/best.pt (lenet, 10 classes)" in out
    _, out, _ = run(capsys, "--checkpoint", "course", "a.png")
    assert "checkpoint: course (resnet20, 10 classes)\ntrained on " in out, "nothing more to say: it was asked for"
    (tmp_path / "course").write_bytes((folder / "best.pt").read_bytes())
    _, out, _ = run(capsys, "--checkpoint", "./course", "a.png")
    assert "checkpoint: course (lenet, 10 classes)" in out, "a file of that name can still be named"


def test_a_network_that_knows_drawn_pictures_alone_says_what_that_means_for_photographs(
    picture, tmp_path, untrained_home, capsys
):
    save_checkpoint(tmp_path / "drawn.pt")
    save_checkpoint(tmp_path / "real.pt", data="cifar10")
    picture.save(tmp_path / "a.png")
    for split in ("train", "test"):
        for name in CLASSES:
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            picture.save(tmp_path / "photos" / split / name / "0.png")
    for checkpoint_file, argv, is_said in [
        ("drawn.pt", ["a.png"], True),
        ("real.pt", ["a.png"], False),
        ("drawn.pt", [], False),
        ("drawn.pt", ["--data", tmp_path / "photos"], True),
        ("real.pt", ["--data", tmp_path / "photos"], False),
        ("real.pt", ["--data", "drawn"], False),
    ]:
        code, out, _ = run(capsys, "--checkpoint", checkpoint_file, *argv)
        assert code == 0 and (PHOTOGRAPHS in out) == is_said, (checkpoint_file, argv)


def test_without_its_photographs_the_courses_network_is_measured_on_drawn_ones_and_says_so(untrained_home, capsys):
    code, out, _ = run(capsys)
    assert code == 0 and "of 2,000 test pictures of drawn)" in out
    assert "the photographs to measure it on are not in data/: these are drawn, new to it\n" in out
    _, out, _ = run(capsys, "--checkpoint", "course", "--data", "drawn")
    assert "are not in data/" not in out, "it was asked for"


@pytest.mark.parametrize("harm", ["a single bit", "cut short", "another network", "missing"])
def test_a_damaged_course_network_gives_no_wrong_answer_but_one_line(harm, picture, tmp_path, monkeypatch, capsys):
    picture.save(tmp_path / "a.png")
    content = bytearray(COURSE_NETWORK.read_bytes())
    if harm == "a single bit":
        content[len(content) // 2] ^= 1
    elif harm == "another network":
        content = bytearray((save_checkpoint(tmp_path / "other.pt")).read_bytes())
    damaged = tmp_path / "weights.safetensors"
    if harm != "missing":
        damaged.write_bytes(content[:-1] if harm == "cut short" else content)
    monkeypatch.setattr(pretrained, "COURSE_NETWORK", damaged)
    code, out, err = run(capsys, "--checkpoint", "course", "a.png")
    assert code == 2 and "weights.safetensors" in err and err.count("\n") == 1 and "a.png" not in out


def test_pictures_of_other_classes_are_not_measured_with_the_courses_network(untrained_home, pictures, capsys):
    code, out, err = run(capsys, "--checkpoint", "course", "--data", pictures)
    assert code == 2 and "the network knows airplane, automobile" in err and "are blue, red" in err
    assert err.count("\n") == 1 and "accuracy" not in out


def test_beside_files_that_are_no_pictures_the_courses_network_classifies_the_others(picture, tmp_path, capsys):
    picture.save(tmp_path / "good.png")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    code, out, err = run(capsys, "phone.heic", "good.png")
    assert code == 2 and "phone.heic is no picture in a known format" in err and err.count("\n") == 1
    assert any(line.startswith("good.png   ") for line in out.splitlines())


def test_a_data_folder_without_pictures_gets_one_line(untrained_home, tmp_path, capsys):
    for name in CLASSES:
        (tmp_path / "nothing/test" / name).mkdir(parents=True)
    code, _, err = run(capsys, "--data", tmp_path / "nothing")
    assert code == 2 and "Found no valid file for the classes airplane, automobile" in err and err.count("\n") == 1


# ---- Pictures of other sizes -----------------------------------------------------------------------------------------


def test_a_network_for_larger_pictures_gets_them_in_its_own_size(picture, tmp_path, monkeypatch, capsys):
    save_checkpoint(tmp_path / "large.pt", "resnet20", image_size=48)
    photo = picture.resize((120, 90))
    photo.save(tmp_path / "photo.png")
    seen = []
    predict = program.predict
    monkeypatch.setattr(
        program, "predict", lambda trained, images, device: seen.append(images) or predict(trained, images, device)
    )
    code, _, _ = run(capsys, "--checkpoint", "large.pt", "photo.png")
    assert code == 0 and torch.equal(seen[0], to_uint8(read_image(tmp_path / "photo.png"), 48)[None])
    for name in CLASSES:
        (tmp_path / "photos/test" / name).mkdir(parents=True)
        photo.save(tmp_path / "photos/test" / name / "0.png")
    assert run(capsys, "--checkpoint", "large.pt", "--data", tmp_path / "photos")[0] == 0
    assert seen[1].shape == (10, 3, 48, 48)


def test_a_network_for_larger_pictures_is_not_measured_on_small_ones(untrained_home, tmp_path, capsys):
    save_checkpoint(tmp_path / "large.pt", "resnet20", image_size=48)
    code, out, err = run(capsys, "--checkpoint", tmp_path / "large.pt", "--data", "drawn")
    assert code == 2 and "are 32x32, and the network takes 48x48: name a --data FOLDER" in err
    assert err.count("\n") == 1 and "accuracy" not in out
