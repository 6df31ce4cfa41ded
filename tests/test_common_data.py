"""The data sets and the loader, held against torchvision, against plain loops and against what is on disk."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from common import UserError, data, drawn
from common.data import MemoryLoader, ants_bees, cifar10, folder, in_memory, mean_and_std, random_crop_and_flip
from common.paths import data_dir, home


@pytest.fixture(scope="module")
def pictures():
    """Twenty pictures whose every pixel is the number of the picture; the label is that number, too."""
    images = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 3, 32, 32).contiguous()
    return images, torch.arange(20)


def loader_for(pictures, **how):
    return MemoryLoader(*pictures, batch_size=8, mean=[0.0] * 3, std=[1.0] * 3, **how)


# ---- The stand-ins ---------------------------------------------------------------------------------------------------


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


def test_pictures_are_drawn_once_and_again_after_the_code_changed(course_home, monkeypatch):
    drawn_folders = []
    target = course_home / "data" / "some"

    def draw(fresh):
        drawn_folders.append(fresh)
        (fresh / "picture").write_text(str(len(drawn_folders)))

    for _ in range(2):
        data._draw_once(target, draw)
    assert len(drawn_folders) == 1
    (target / "drawn-by.txt").write_text("older code")
    data._draw_once(target, draw)
    assert (target / "picture").read_text() == "2"
    assert [p.name for p in target.parent.iterdir()] == ["some"], "nothing else is left behind"


def test_drawing_that_fails_leaves_nothing(course_home):
    def draw(fresh):
        (fresh / "half").write_text("")
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match="No space left"):
        data._draw_once(course_home / "data" / "some", draw)
    assert list((course_home / "data").iterdir()) == []


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


# ---- Folders ---------------------------------------------------------------------------------------------------------


def test_val_stands_in_for_a_missing_test_folder(tmp_path):
    for name in "ab":
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "val" / name / "1.png")
    assert len(folder(tmp_path, "test")) == 2
    with pytest.raises(UserError, match="has no folder train/"):
        folder(tmp_path, "train")


def test_in_memory_decodes_what_imagefolder_would_in_its_order(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b", "a"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / f"train/{name}/{i}.png")
    images, labels = in_memory(folder(tmp_path, "train"))
    reference = datasets.ImageFolder(tmp_path / "train")
    assert labels.tolist() == reference.targets == [0, 0, 0, 1, 1, 1]
    for image, (expected, _) in zip(images, reference, strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected))


def test_a_large_picture_is_cut_to_its_middle_square_before_it_shrinks():
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    inner = data.to_uint8(wide)[:, :, 1:-1]  # the outermost columns blend with what was cut off
    assert inner.amax(dim=(1, 2)).tolist() == [0, 0, 255]


def test_pictures_that_cannot_be_read_are_counted_and_the_first_is_named(tmp_path):
    for name in "ab":
        (tmp_path / "train" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "train" / name / "1.png")
        (tmp_path / "train" / name / "2.png").write_text("no picture")
    with pytest.raises(UserError, match=r"train.a.2\.png .*\(2 of 4 pictures"):
        in_memory(folder(tmp_path, "train"))


# ---- The loader ------------------------------------------------------------------------------------------------------


def test_every_picture_comes_once_an_epoch_with_its_own_label(pictures):
    """Catches labels shuffled against images."""
    loader = loader_for(pictures, shuffle=True)
    for epoch in (1, 2):
        loader.set_epoch(epoch)
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert torch.equal((images[:, 0, 0, 0] * 255).round().long(), labels)
        assert sorted(labels.tolist()) == list(range(20))


def test_each_epoch_has_an_order_of_its_own_that_returns_with_its_number(pictures):
    loader = loader_for(pictures, shuffle=True)
    orders = []
    for epoch in (1, 2, 1):
        loader.set_epoch(epoch)
        orders.append(torch.cat([labels for _, labels in loader]).tolist())
    assert orders[0] == orders[2] != orders[1] and orders[0] != list(range(20))


def test_the_last_batch_is_smaller_and_counted(pictures):
    loader = loader_for(pictures)
    assert [len(labels) for _, labels in loader] == [8, 8, 4] and len(loader) == 3


def test_the_pictures_come_normalised_and_with_the_channels_last_in_memory():
    images = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8)
    mean, std = mean_and_std(images)
    ((batch, _),) = MemoryLoader(images, torch.zeros(50), 50, mean, std)
    assert batch.shape == (50, 3, 32, 32) and batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert batch.std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)


def test_bytes_come_out_exactly_as_totensor_makes_them(pictures):
    (batch, _), *_ = loader_for(pictures)
    expected = torch.stack([pil_to_tensor(to_pil_image(image)) for image in pictures[0][:8]]) / 255
    assert torch.equal(batch, expected)


def test_a_pass_can_begin_in_its_middle_and_goes_on_as_the_whole_one(pictures):
    loader = loader_for(pictures, shuffle=True, augment=True, seed=3)
    loader.set_epoch(2)
    whole = list(loader)
    loader.set_epoch(2, first=1)
    rest = list(loader)
    assert len(whole) == 3 and len(rest) == 2 == len(whole) - 1
    for a, b in zip(whole[1:], rest, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_several_processes_share_each_batch_without_gap_or_overlap(processes, pictures, monkeypatch):
    whole = [labels.tolist() for _, labels in loader_for(pictures, shuffle=True)]
    assert [len(labels) for labels in whole] == [8, 8, 4]
    monkeypatch.setattr(data.distributed, "world_size", lambda: processes)
    parts, shares = [[] for _ in whole], [0.0 for _ in whole]
    for rank in range(processes):
        monkeypatch.setattr(data.distributed, "rank", lambda rank=rank: rank)
        loader = loader_for(pictures, shuffle=True)
        for step, (images, labels) in enumerate(loader):
            parts[step] += labels.tolist()
            shares[step] += loader.share
            assert loader.share == len(images) / len(whole[step]) > 0
    assert parts == whole, "the last process of five has no part in the last four, and gets no empty batch"
    assert shares == pytest.approx([1, 1, 1])


def test_mean_and_std_are_those_of_all_pixels():
    images = torch.randint(0, 256, (7, 3, 5, 9), dtype=torch.uint8)
    mean, std = mean_and_std(images)
    assert mean == pytest.approx((images / 255).double().mean(dim=(0, 2, 3)).tolist())
    assert std == pytest.approx((images / 255).double().std(dim=(0, 2, 3), correction=0).tolist())


def test_crop_and_flip_are_what_a_loop_over_pictures_does():
    images = torch.randint(0, 256, (6, 5, 7, 3), dtype=torch.uint8)
    flip = torch.tensor([False, True, False, True, False, True])
    shift = torch.tensor([[2, 2], [2, 2], [0, 4], [4, 0], [1, 3], [3, 1]])
    result = random_crop_and_flip(images, flip, shift, padding=2)
    for image, is_flipped, (row, column), got in zip(images, flip, shift.tolist(), result, strict=True):
        padded = np.pad(image.numpy(), ((2, 2), (2, 2), (0, 0)))
        expected = padded[row : row + 5, column : column + 7]
        assert np.array_equal(got.numpy(), expected[:, ::-1] if is_flipped else expected)
    assert torch.equal(result[0], images[0]), "shift = padding is the picture itself"


def test_augmentation_changes_training_pictures_from_epoch_to_epoch_and_never_without_it():
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    epochs = []
    for augment in (True, False):
        loader = loader_for((images, torch.arange(40)), augment=augment)
        for epoch in (1, 2):
            loader.set_epoch(epoch)
            epochs.append(torch.cat([batch for batch, _ in loader]))
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[2], epochs[3]) and torch.equal((epochs[2] * 255).round().byte(), images)


def test_the_class_names_of_the_drawing_code_are_cifars():
    assert list(drawn.CIFAR_CLASSES) == cifar10(train=False).classes
