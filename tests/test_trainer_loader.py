"""The loader: each picture once an epoch, with its label, exactly prepared, and shared among processes without gaps."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

from common.data import mean_and_std
from trainer.loader import MemoryLoader, random_crop_and_flip


@pytest.fixture(scope="module")
def pictures():
    """Twenty pictures whose every pixel is the number of the picture; the label is that number, too."""
    images = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 3, 32, 32).contiguous()
    return images, torch.arange(20)


def loader_for(pictures, **kwargs):
    return MemoryLoader(*pictures, batch_size=8, mean=[0.0] * 3, std=[1.0] * 3, **kwargs)


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
def test_several_processes_share_each_batch_without_gap_or_overlap(processes, pictures):
    whole = [labels.tolist() for _, labels in loader_for(pictures, shuffle=True)]
    assert [len(labels) for labels in whole] == [8, 8, 4]
    parts, shares = [[] for _ in whole], [0.0 for _ in whole]
    for rank in range(processes):
        loader = loader_for(pictures, shuffle=True, rank=rank, world_size=processes)
        for step, (images, labels) in enumerate(loader):
            parts[step] += labels.tolist()
            shares[step] += loader.share(step)
            assert loader.share(step) == len(images) / len(whole[step]) > 0
    assert parts == whole, "the last process of five has no part in the last four, and gets no empty batch"
    assert shares == pytest.approx([1, 1, 1])


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
