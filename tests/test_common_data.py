"""The data sets, held against torchvision and against what is on disk."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from common import UserError, drawn
from common.data import ants_bees, cifar10, image_folder, in_memory, mean_and_std
from common.paths import data_dir, home
from common.pictures import PICTURE_EXTENSIONS, PICTURE_FORMATS, read_image


def test_drawn_cifar_looks_like_the_real_one_to_code(capsys):
    train, test = cifar10(train=True), cifar10(train=False)
    assert "10,000 drawn pictures (the real ones: python -m common.download cifar10)" in capsys.readouterr().out
    assert train.data.shape == (10_000, 32, 32, 3) and train.data.dtype == np.uint8
    assert test.data.shape == (2_000, 32, 32, 3)
    assert train.classes == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    assert train.class_to_idx["cat"] == 3
    assert np.bincount(train.targets).tolist() == [1000] * 10 and np.bincount(test.targets).tolist() == [200] * 10
    image, label = test[0]
    assert isinstance(image, Image.Image) and image.size == (32, 32) and label == test.targets[0]


def test_drawn_cifar_lies_on_disk_in_cifars_own_format():
    dataset = cifar10(train=True)
    batch = pickle.loads((data_dir() / "drawn-cifar10" / "data_batch_2").read_bytes())
    assert batch["data"].shape == (2000, 3072) and batch["data"].dtype == np.uint8
    red, green, blue = batch["data"][7].reshape(3, 32, 32)
    assert np.array_equal(np.stack([red, green, blue], axis=-1), dataset.data[2000 + 7])
    assert batch["labels"][7] == dataset.targets[2007]


def test_no_test_picture_is_a_training_picture():
    train = {image.tobytes() for image in cifar10(train=True).data}
    assert len(train) == 10_000
    assert not train & {image.tobytes() for image in cifar10(train=False).data}


def test_a_damaged_real_cifar_is_named(course_home):
    (course_home / "data" / "cifar-10-batches-py").mkdir(parents=True)
    with pytest.raises(UserError, match="is damaged: delete it"):
        cifar10(train=True)


def test_drawn_ants_and_bees_have_the_folders_of_the_real_ones(capsys):
    train, val = ants_bees("train"), ants_bees("val")
    assert "120 drawn pictures" in capsys.readouterr().out
    assert train.classes == ["ants", "bees"] and np.bincount(train.targets).tolist() == [60, 60]
    assert np.bincount(val.targets).tolist() == [40, 40]
    assert len({Image.open(path).size for path, _ in train.samples}) > 2, "photographs have many sizes"
    assert (home() / "data/drawn-hymenoptera/train/ants/imageNotFound.gif").exists()
    assert not any(path.endswith(".gif") for path, _ in train.samples)
    with pytest.raises(UserError, match="'train' and 'val'"):
        ants_bees("test")


def test_val_stands_in_for_a_missing_test_folder(tmp_path):
    for name in "ab":
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "val" / name / "1.png")
    assert len(image_folder(tmp_path, "test")) == 2
    with pytest.raises(UserError, match="has no folder train/"):
        image_folder(tmp_path, "train")


def folder_of(root, *names):
    """A data folder with one real picture per class in train/ and test/, and besides it what `names` says."""
    for split in ("train", "test"):
        for name in "ab":
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (9, 9)).save(root / split / name / "0.png")
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no picture in a format that is read")
    return root


def test_files_that_are_not_read_are_counted_by_kind_in_one_line(tmp_path, capsys):
    heic = [f"train/a/{i}.heic" for i in range(3)] + ["train/b/IMG.HEIC"]
    folder_of(tmp_path, *heic, "train/b/labels.txt", "train/b/README", "test/a/movie.mp4")
    assert len(image_folder(tmp_path, "train")) == 2
    assert capsys.readouterr().out == "train/: left out 4 .heic, 1 .txt, 1 without extension\n"
    assert len(image_folder(tmp_path, "test")) == 2
    assert capsys.readouterr().out == "test/: left out 1 .mp4\n"


def test_of_many_kinds_the_rare_ones_are_counted_together(tmp_path, capsys):
    names = [f"train/a/{i}.{'abcdefg'[kind]}" for kind in range(7) for i in range(7 - kind)]
    image_folder(folder_of(tmp_path, *names, "train/a/x.much_too_long"), "train")
    assert capsys.readouterr().out == "train/: left out 7 .a, 6 .b, 5 .c, 4 .d, 7 of other kinds\n"


def test_nothing_is_printed_of_a_folder_of_pictures_and_of_hidden_files(tmp_path, capsys):
    hidden = ["train/a/.DS_Store", "train/a/Thumbs.db", "train/b/desktop.ini", "train/b/._0.png", "train/.gitkeep"]
    folder_of(tmp_path, *hidden)
    (tmp_path / "train/a/.ipynb_checkpoints").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "train/a/.ipynb_checkpoints/0-checkpoint.png")
    assert in_memory(image_folder(tmp_path, "train"))[1].tolist() == [0, 1], "each picture once"
    assert capsys.readouterr().out == ""


def test_pictures_beside_the_class_folders_are_said(tmp_path, capsys):
    folder_of(tmp_path, "train/classes.txt", "train/a/1.heic")
    for name in ("lost.jpg", "lost"):
        Image.new("RGB", (9, 9)).save(tmp_path / "train" / name, "JPEG")
    assert len(image_folder(tmp_path, "train")) == 2
    assert capsys.readouterr().out == "train/: left out 1 .heic, 2 in no class folder\n"


def test_what_was_left_out_of_a_class_without_pictures_is_named(tmp_path):
    folder_of(tmp_path, "train/phone/1.heic", "train/phone/2.heic")
    with pytest.raises(UserError, match=r"for the classes phone\. Add .* \(left out: 2 \.heic\)$"):
        image_folder(tmp_path, "train")


def test_every_picture_that_read_image_reads_is_in_the_data_set_whatever_its_name(tmp_path, capsys):
    """What test.py can read, train.py reads too: by Pillow's own list of names, in capitals, or with a strange one."""
    folder_of(tmp_path)
    known = [name for name, kind in Image.registered_extensions().items() if kind in PICTURE_FORMATS and name != ".pfm"]
    assert set(known) | {".pfm"} == PICTURE_EXTENSIONS and {".jfif", ".jpe", ".tif", ".webp", ".gif"} <= set(known)
    image, count = Image.new("RGB", (9, 9), "red"), 0
    for name in known:
        for shown_as in (name, name.upper(), f"{name}.1", name.replace(".", "_")):
            image.save(tmp_path / "train/a" / f"x{count}{shown_as}", Image.registered_extensions()[name])
            count += 1
    dataset = image_folder(tmp_path, "train")
    assert len(dataset) == 2 + count and capsys.readouterr().out == ""
    for path, label in dataset.samples:
        assert label == 1 or path.endswith("/0.png") or np.asarray(read_image(path))[4, 4, 0] > 250, path
    in_memory(dataset)


def test_a_text_that_begins_like_a_picture_is_left_out_and_does_no_harm(tmp_path, capsys):
    folder_of(tmp_path)
    for i, start in enumerate((b"BM", b"P5 x", b"Python", b"GIF8", b"II*\0", b"RIFF", b"\xff\xd8\xff", b"\x89PNG")):
        (tmp_path / f"train/a/{i}.txt").write_bytes(start + b" and so on")
    assert len(image_folder(tmp_path, "train")) == 2
    assert capsys.readouterr().out == "train/: left out 8 .txt\n"


def test_val_that_is_taken_for_test_and_val_that_is_left_out_are_said(tmp_path, capsys):
    folder_of(tmp_path)
    (tmp_path / "test").rename(tmp_path / "val")
    assert Path(image_folder(tmp_path, "test").root) == tmp_path / "val"
    assert capsys.readouterr().out == f"{tmp_path} has no test/: its val/ is taken, and called test\n"
    image_folder(tmp_path, "train"), image_folder(tmp_path, "val")
    assert capsys.readouterr().out == ""
    (tmp_path / "test").mkdir()
    image_folder(tmp_path, "train")
    assert capsys.readouterr().out == "val/ is left out: validation pictures are taken from train/\n"


def test_in_memory_decodes_what_imagefolder_would_in_its_order(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b", "a"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / f"train/{name}/{i}.png")
    images, labels = in_memory(image_folder(tmp_path, "train"))
    reference = datasets.ImageFolder(tmp_path / "train")
    assert labels.tolist() == reference.targets == [0, 0, 0, 1, 1, 1]
    for image, (expected, _) in zip(images, reference, strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected))


def test_pictures_that_cannot_be_read_are_counted_and_the_first_is_named(tmp_path):
    for name in "ab":
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "train" / name / "1.png")
        (tmp_path / "train" / name / "2.PNG").write_text("no picture")
    with pytest.raises(UserError, match=r"train.a.2\.PNG .*\(2 of 4 pictures"):
        in_memory(image_folder(tmp_path, "train"))


def test_mean_and_std_are_those_of_all_pixels():
    images = torch.randint(0, 256, (7, 3, 5, 9), dtype=torch.uint8)
    mean, std = mean_and_std(images)
    assert mean == pytest.approx((images / 255).double().mean(dim=(0, 2, 3)).tolist())
    assert std == pytest.approx((images / 255).double().std(dim=(0, 2, 3), correction=0).tolist())


def test_the_class_names_of_the_drawing_code_are_cifars():
    assert list(drawn.CIFAR_CLASSES) == cifar10(train=False).classes
