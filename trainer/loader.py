"""Batches of pictures that are already in memory: what DataLoader does, a whole batch at a time."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor


class MemoryLoader:
    """Batches of pictures that are already in memory, prepared a whole batch at a time: what DataLoader does, faster.

    images: uint8 (N, 3, H, W); labels: int64 (N,); both on the device that computes. Yields float32 images
    (B, 3, H, W), normalised, in channels_last memory, and labels (B,). The last batch may be smaller.

    shuffle and augment (random flip, random crop after padding by an eighth of the size) draw from the seed and the
    epoch alone, so that epoch 7 of a resumed run is epoch 7 of the run that was never stopped: call set_epoch() before
    each.

    Where world_size processes train together, the one of that rank gets its part of every batch. Parts without a
    picture, of a last batch smaller than world_size, are left out.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int,
        mean: list[float],
        std: list[float],
        *,
        shuffle: bool = False,
        augment: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.images = images.permute(0, 2, 3, 1).contiguous()  # (N, 3, H, W) -> (N, H, W, 3)
        self.padding = images.shape[-1] // 8  # 4 pixels at 32x32, as the papers on CIFAR-10 have it
        self.labels, self.batch_size = labels, batch_size
        self.mean = torch.tensor(mean, device=images.device)
        self.std = torch.tensor(std, device=images.device)
        self.shuffle, self.augment, self.seed = shuffle, augment, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.first = 0, 0

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Choose the order and the augmentation of the next pass, and with which batch it begins."""
        self.epoch, self.first = epoch, first

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def share(self, batch: int) -> float:
        """How much of the batch of that number, counted from 0, this process gets: 0…1, and 1 where it is alone."""
        size = min(self.batch_size, len(self.labels) - batch * self.batch_size)
        return len(torch.arange(size).tensor_split(self.world_size)[self.rank]) / size

    def draw(self) -> tuple[Tensor, Tensor, Tensor]:
        """The order of this epoch (N,), which pictures are mirrored (N,), and how far each is shifted (N, 2).

        All random numbers of the epoch cross to the device at once: no batch has to wait for the CPU.
        """
        count, device = len(self.labels), self.labels.device
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        flips = torch.rand(count, generator=generator) < 0.5
        shifts = torch.randint(0, 2 * self.padding + 1, (count, 2), generator=generator)
        return order.to(device), flips.to(device), shifts.to(device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = zip(*(drawn.split(self.batch_size) for drawn in self.draw()), strict=True)
        for batch in itertools.islice(batches, self.first, None):
            index, flip, shift = (t.tensor_split(self.world_size)[self.rank] for t in batch)
            if len(index) == 0:
                continue
            yield self.prepare(index, flip, shift), self.labels[index]

    def prepare(self, index: Tensor, flip: Tensor, shift: Tensor) -> Tensor:
        """The pictures of these numbers (B,), as the network takes them: float32 (B, 3, H, W), channels last."""
        images = self.images[index]  # (B, H, W, 3)
        if self.augment:
            images = random_crop_and_flip(images, flip, shift, self.padding)
        images = (images / 255 - self.mean) / self.std
        return images.permute(0, 3, 1, 2)  # (B, 3, H, W), still with the channels last


def random_crop_and_flip(images: Tensor, flip: Tensor, shift: Tensor, padding: int) -> Tensor:
    """Pad all four sides with black, cut the same size out again at row and column `shift`, mirror where `flip` is set.

    images (B, H, W, C); flip bool (B,); shift int64 (B, 2) in 0…2*padding. shift = padding cuts out the picture itself.
    """
    batch, height, width, _ = images.shape
    padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding))
    rows = torch.arange(height, device=images.device) + shift[:, :1]  # (B, H)
    columns = torch.arange(width, device=images.device) + shift[:, 1:]  # (B, W)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    picture = torch.arange(batch, device=images.device)[:, None, None]
    return padded[picture, rows[:, :, None], columns[:, None, :]]  # one look-up for the whole batch
