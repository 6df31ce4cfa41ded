"""The data sets, held against torchvision and against what is on disk."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from common import UserError, drawn
from common.data import ants_bees, cifar10, image_folder, in_memory, mean_and_std
from common.paths import data_dir, home


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
        (tmp_path / "train" / name / "2.png").write_text("no picture")
    with pytest.raises(UserError, match=r"train.a.2\.png .*\(2 of 4 pictures"):
        in_memory(image_folder(tmp_path, "train"))


def test_mean_and_std_are_those_of_all_pixels():
    images = torch.randint(0, 256, (7, 3, 5, 9), dtype=torch.uint8)
    mean, std = mean_and_std(images)
    assert mean == pytest.approx((images / 255).double().mean(dim=(0, 2, 3)).tolist())
    assert std == pytest.approx((images / 255).double().std(dim=(0, 2, 3), correction=0).tolist())


def test_the_class_names_of_the_drawing_code_are_cifars():
    assert list(drawn.CIFAR_CLASSES) == cifar10(train=False).classes
