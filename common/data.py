"""The data sets of the course: the real one where it is in data/, else a drawn stand-in of the same shape."""

import hashlib
import itertools
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor
from torchvision import datasets
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from common import UserError, distributed, drawn
from common.download import download
from common.paths import data_dir, make_folder, shown

# Formats that Pillow decodes by itself: EPS and its like start other programs.
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


def resolve_data(name: str) -> str:
    """What `--data NAME` means here and now: "cifar10", "drawn" or the absolute path of a folder."""
    if name == "auto":
        return "cifar10" if has_real_cifar10() else "drawn"
    return name if name in ("cifar10", "drawn") else str(Path(name).expanduser().resolve())


def open_data(name: str, split: str, transform: Callable | None = None) -> datasets.CIFAR10 | datasets.ImageFolder:
    """The data set that `--data NAME` means, split "train" or "test".

    name: "drawn"; "cifar10" (downloaded when it is missing); "auto" (the real CIFAR-10 if it is in data/, else
    drawn); or a folder of anybody's pictures, see folder(). UserError for what is not there or damaged.
    """
    name = resolve_data(name)
    if name == "drawn":
        return DrawnCIFAR10(split == "train", transform)
    if name != "cifar10":
        return folder(Path(name), split, transform)
    if not has_real_cifar10():
        download("cifar10")
    try:
        return datasets.CIFAR10(data_dir(), split == "train", transform)
    except RuntimeError as error:
        damaged = data_dir() / datasets.CIFAR10.base_folder
        raise UserError(f"{damaged} is damaged: delete it, then type python -m common.download cifar10") from error


def cifar10(train: bool, transform: Callable | None = None) -> datasets.CIFAR10:
    """CIFAR-10, or drawn CIFAR with `.data`, `.targets`, `.classes`, `.class_to_idx` and files like the real one's.

    One item is (PIL picture 32x32 or what transform makes of it, class index 0…9). Real: 50,000 pictures to train on
    and 10,000 to test with; drawn: 10,000 and 2,000. Says in one line which it is.
    """
    split = "train" if train else "test"
    dataset = open_data("auto", split, transform)
    drawn_ones = "drawn pictures (the real ones: python -m common.download cifar10)"
    print(f"cifar10 {split}: {len(dataset):,} {drawn_ones if isinstance(dataset, DrawnCIFAR10) else 'real pictures'}")
    return dataset


def has_real_cifar10() -> bool:
    """Whether the real CIFAR-10 is in data/."""
    return (data_dir() / datasets.CIFAR10.base_folder).is_dir()


class DrawnCIFAR10(datasets.CIFAR10):
    """Drawn pictures in CIFAR-10's own file format, read by torchvision's own code."""

    base_folder = "drawn-cifar10"
    train_list = [[f"data_batch_{i}", None] for i in range(1, 6)]  # [file name, no published checksum]
    test_list = [["test_batch", None]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}

    def __init__(self, train: bool, transform: Callable | None = None):
        _draw_once(data_dir() / self.base_folder, self.draw)
        super().__init__(data_dir(), train, transform)

    @classmethod
    def draw(cls, folder: Path) -> None:
        """Write five train batches of 2,000 pictures, a test batch of 2,000 and the names, as pickles."""
        for seed, (name, _) in enumerate(cls.train_list + cls.test_list):
            labels = torch.arange(10).repeat(200)[torch.randperm(2000, generator=torch.Generator().manual_seed(seed))]
            images = drawn.draw_cifar(labels, seed)  # (2000, 3, 32, 32)
            batch = {
                "batch_label": f"drawn {name}",
                "labels": labels.tolist(),
                "data": images.flatten(1).numpy(),  # (2000, 3072): all red, then all green, then all blue
                "filenames": [f"{drawn.CIFAR_CLASSES[label]}_{i:04}.png" for i, label in enumerate(labels.tolist())],
            }
            (folder / name).write_bytes(pickle.dumps(batch))
        meta = {"label_names": list(drawn.CIFAR_CLASSES), "num_cases_per_batch": 2000, "num_vis": 3072}
        (folder / cls.meta["filename"]).write_bytes(pickle.dumps(meta))


def ants_bees(split: str, transform: Callable | None = None) -> datasets.ImageFolder:
    """Pictures of ants (class 0) and bees (class 1), split "train" or "val", of many sizes; `.root` is their folder.

    The real ones are data/hymenoptera_data/; drawn: 60 + 60 to train on and 40 + 40 to validate with. Like the real
    set, the drawn one holds a GIF in train/ants that is no ant. Says in one line which it is.
    """
    if split not in ("train", "val"):
        raise UserError(f"ants_bees has the splits 'train' and 'val', not {split!r}")
    real = data_dir() / "hymenoptera_data"
    root = real if real.is_dir() else _draw_once(data_dir() / "drawn-hymenoptera", _draw_ants_bees)
    dataset = folder(root, split, transform)
    kind = "real pictures" if root == real else "drawn pictures (the real ones: python -m common.download hymenoptera)"
    print(f"ants_bees {split}: {len(dataset):,} {kind}")
    return dataset


def _draw_ants_bees(folder: Path) -> None:
    sizes = [(144, 192), (192, 144), (160, 160), (120, 180)]  # height, width
    for split, count in (("train", 60), ("val", 40)):
        for label, name in enumerate(drawn.INSECT_CLASSES):
            (folder / split / name).mkdir(parents=True)
            for which, (height, width) in enumerate(sizes):
                seed = 1000 * (split == "val") + 10 * label + which
                labels = torch.full((count // len(sizes),), label)
                for i, image in enumerate(drawn.draw_insects(labels, seed, height, width)):
                    path = folder / split / name / f"{name[:-1]}_{i * len(sizes) + which:03}.jpg"
                    F.to_pil_image(image).save(path, quality=90)
    stray = Image.new("L", (120, 90), 255)
    ImageDraw.Draw(stray).text((14, 38), "image not found", fill=0)
    stray.save(folder / "train" / "ants" / "imageNotFound.gif")


def _draw_once(folder: Path, draw: Callable[[Path], None]) -> Path:
    """The folder that draw(folder) fills, drawn the first time and after each change of the drawing code.

    It is filled beside and then moved into place: nobody ever sees half of it.
    """
    fingerprint = hashlib.sha256(Path(drawn.__file__).read_bytes() + Path(__file__).read_bytes()).hexdigest()
    stamp = folder / "drawn-by.txt"
    if stamp.is_file() and stamp.read_text() == fingerprint:
        return folder
    make_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
            fresh = Path(beside) / "fresh"
            fresh.mkdir()
            draw(fresh)
            (fresh / stamp.name).write_text(fingerprint)
            if folder.exists():
                folder.rename(Path(beside) / "old")
            fresh.rename(folder)
    except OSError as error:
        if not stamp.is_file():  # else another process was faster, and its pictures are the same
            raise UserError(f"cannot draw pictures into {folder} ({error.strerror})") from error
    return folder


def folder(path: Path, split: str, transform: Callable | None = None) -> datasets.ImageFolder:
    """Anybody's pictures: `path/<split>/<class>/*`, as torchvision's ImageFolder; each is read by read_image().

    split is "train", "test" or "val"; where there is no test/, val/ is taken for it. UserError, before anything is
    decoded, for a missing folder, for no or only one class, and for a class without pictures.
    """
    path = Path(path).expanduser()
    layout = "expected train/<class>/* and test/<class>/* in it"
    if not path.is_dir():
        raise UserError(f"there is no data folder {path}: {layout}")
    root = path / split
    if split == "test" and not root.is_dir():
        root = path / "val"
    if not root.is_dir():
        raise UserError(f"{path} has no folder {split}/: {layout}")
    classes = [entry for entry in root.iterdir() if entry.is_dir()]
    if len(classes) < 2:
        raise UserError(f"{root} holds {len(classes)} class folders, and at least 2 are needed: {layout}")
    try:
        return datasets.ImageFolder(root, transform, loader=read_image)
    except FileNotFoundError as error:
        problem = str(error).splitlines()[0].rstrip(". ")
        raise UserError(f"{root}: {problem}. Add pictures or remove the folder") from None


def read_image(path: str | Path) -> Image.Image:
    """Any picture from the world as a person sees it: RGB, turned upright, transparency over white, first frame.

    Grey with 16 bits is scaled to 8, not clipped. UserError, naming the file, for what is no picture, is damaged, or
    claims more pixels than Pillow decodes (179 million).
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a picture")
    if not path.exists():
        raise UserError(f"there is no picture {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of what Pillow refuses
            with Image.open(path, formats=PICTURE_FORMATS) as image:
                ImageOps.exif_transpose(image, in_place=True)
                if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip at 255
                    image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
                if image.has_transparency_data:
                    image = image.convert("RGBA")
                    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
                image.load()
                return image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty, not a picture") from None
        if isinstance(error, Image.UnidentifiedImageError):
            raise UserError(f"{path} is no picture in a known format ({', '.join(PICTURE_FORMATS)})") from None
        if isinstance(error, Image.DecompressionBombError):
            raise UserError(f"{path} is too large to be decoded here ({error})") from None
        raise UserError(f"{path} is damaged or cannot be read ({error})") from None


def to_uint8(image: Image.Image, size: int = 32) -> Tensor:
    """The middle square of a PIL picture, scaled to (3, size, size), uint8: the one way in, training and test alike."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    return F.pil_to_tensor(image)


def in_memory(dataset: datasets.CIFAR10 | datasets.ImageFolder, size: int = 32) -> tuple[Tensor, Tensor]:
    """The whole data set, decoded once: images uint8 (N, 3, size, size) and labels int64 (N,).

    The data set must have no transform. UserError that names the first picture that cannot be read, and counts them.
    """
    labels = torch.tensor(dataset.targets)
    if isinstance(dataset, datasets.CIFAR10):
        return torch.from_numpy(dataset.data).permute(0, 3, 1, 2), labels

    images = torch.empty(len(dataset), 3, size, size, dtype=torch.uint8)
    problems = []

    def read(i: int) -> None:
        try:
            images[i] = to_uint8(read_image(dataset.samples[i][0]), size)
        except UserError as error:
            problems.append(str(error))

    with ThreadPoolExecutor() as threads:  # Pillow decodes outside Python's lock
        jobs = threads.map(read, range(len(dataset)))
        for _ in tqdm(jobs, f"reading {shown(dataset.root)}", total=len(dataset), leave=False, disable=None):
            pass
    if problems:
        raise UserError(f"{min(problems)} ({len(problems)} of {len(dataset)} pictures: mend or remove them)")
    return images, labels


def stratified(labels: Tensor, count: int, seed: int) -> Tensor:
    """Indices, ascending, of `count` random samples in which every class has its share. labels (N,) -> (count,)."""
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    # The k-th sample of a class of n gets the rank (k + 0.5) / n: in order of rank, the classes take turns.
    rank = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        own = shuffled[labels[shuffled] == label]
        rank[own] = (torch.arange(len(own), dtype=torch.float64) + 0.5) / len(own)
    return rank.argsort(stable=True)[:count].sort().values


def mean_and_std(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels of uint8 images (N, 3, H, W), for pictures in 0…1."""
    # A histogram is exact and needs no float copy of the whole set.
    values = torch.arange(256, dtype=torch.float64) / 255
    mean, std = [], []
    for channel in images.unbind(1):
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean.append(float((share * values).sum()))
        std.append(max(float((share * (values - mean[-1]) ** 2).sum().sqrt()), 1e-3))  # one flat colour: no 1/0
    return mean, std


class MemoryLoader:
    """Batches of pictures that are already in memory, prepared a whole batch at a time: what DataLoader does, faster.

    images: uint8 (N, 3, H, W); labels: int64 (N,); both on the device that computes. Yields float32 images
    (B, 3, H, W), normalised, in channels_last memory, and labels (B,). The last batch may be smaller.

    shuffle and augment (random flip, random crop after `PADDING` pixels of padding) draw from the seed and the epoch
    alone, so that epoch 7 of a resumed run is epoch 7 of the run that was never stopped: call set_epoch() before each.

    Where several processes train together, each gets its part of every batch, and `share` says how much of the batch
    yielded last that is (0…1). Parts without a picture, of a last batch smaller than the processes are many, are
    left out.
    """

    PADDING = 4

    def __init__(self, images, labels, batch_size, mean, std, *, shuffle=False, augment=False, seed=0):
        self.images = images.permute(0, 2, 3, 1).contiguous()  # (N, 3, H, W) -> (N, H, W, 3)
        self.labels, self.batch_size = labels, batch_size
        self.mean = torch.tensor(mean, device=images.device)
        self.std = torch.tensor(std, device=images.device)
        self.shuffle, self.augment, self.seed = shuffle, augment, seed
        self.epoch, self.first, self.share = 0, 0, 1.0

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Choose the order and the augmentation of the next pass, and with which batch it begins."""
        self.epoch, self.first = epoch, first

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        count, device = len(self.labels), self.labels.device
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(count, generator=generator) if self.shuffle else torch.arange(count)
        flips = torch.rand(count, generator=generator) < 0.5
        shifts = torch.randint(0, 2 * self.PADDING + 1, (count, 2), generator=generator)
        # All random numbers of the epoch cross to the device at once: no batch has to wait for the CPU.
        batches = zip(*(t.to(device).split(self.batch_size) for t in (order, flips, shifts)), strict=True)
        for batch in itertools.islice(batches, self.first, None):
            index, flip, shift = (t.tensor_split(distributed.world_size())[distributed.rank()] for t in batch)
            self.share = len(index) / len(batch[0])
            if self.share == 0:
                continue
            images = self.images[index]  # (B, H, W, 3)
            if self.augment:
                images = random_crop_and_flip(images, flip, shift, self.PADDING)
            images = (images / 255 - self.mean) / self.std
            yield images.permute(0, 3, 1, 2), self.labels[index]  # (B, 3, H, W), still with the channels last


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
