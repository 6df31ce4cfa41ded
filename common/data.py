"""The data sets of the course: the real one where it is in data/, else a drawn stand-in of the same shape."""

import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor
from torchvision import datasets
from tqdm import tqdm

from common import UserError
from common.download import download
from common.paths import data_dir, shown
from common.pictures import is_picture, read_image, to_uint8
from common.standins import DrawnCIFAR10, drawn_ants_bees


def resolve_data(name: str) -> str:
    """What `--data NAME` means here and now: "cifar10", "drawn" or the absolute path of a folder."""
    if name == "auto":
        return "cifar10" if has_real_cifar10() else "drawn"
    return name if name in ("cifar10", "drawn") else str(Path(name).expanduser().resolve())


def open_data(name: str, split: str, transform: Callable | None = None) -> datasets.CIFAR10 | datasets.ImageFolder:
    """The data set that `--data NAME` means, split "train" or "test".

    name: "drawn"; "cifar10" (downloaded when it is missing); "auto" (the real CIFAR-10 if it is in data/, else
    drawn); or a folder of anybody's pictures, see image_folder(). UserError for what is not there or damaged.
    """
    name = resolve_data(name)
    if name == "drawn":
        return DrawnCIFAR10(split == "train", transform)
    if name != "cifar10":
        return image_folder(Path(name), split, transform)
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


def ants_bees(split: str, transform: Callable | None = None) -> datasets.ImageFolder:
    """Pictures of ants (class 0) and bees (class 1), split "train" or "val", of many sizes; `.root` is their folder.

    The real ones are data/hymenoptera_data/; drawn: 60 + 60 to train on and 40 + 40 to validate with. Like the real
    set, the drawn one holds a GIF in train/ants that is no ant. Says in one line which it is.
    """
    if split not in ("train", "val"):
        raise UserError(f"ants_bees has the splits 'train' and 'val', not {split!r}")
    real = data_dir() / "hymenoptera_data"
    root = real if real.is_dir() else drawn_ants_bees()
    dataset = _image_folder(_split_folder(root, split), transform)  # by torchvision's rules: no GIF
    kind = "real pictures" if root == real else "drawn pictures (the real ones: python -m common.download hymenoptera)"
    print(f"ants_bees {split}: {len(dataset):,} {kind}")
    return dataset


def image_folder(path: Path, split: str, transform: Callable | None = None) -> datasets.ImageFolder:
    """Anybody's pictures: `path/<split>/<class>/*`, as torchvision's ImageFolder; each is read by read_image().

    split is "train", "test" or "val"; where there is no test/, val/ is taken for it. Prints a line that counts by kind
    what is left out; hidden files do not count. UserError, before anything is decoded, for a missing folder, for no or
    only one class, and for a class without pictures.
    """
    path = Path(path).expanduser()
    root = _split_folder(path, split)
    if split == "test" and root.name == "val":
        print(f"{shown(path)} has no test/: its val/ is taken, and called test")
    if split == "train" and (path / "test").is_dir() and (path / "val").is_dir():
        print("val/ is left out: validation pictures are taken from train/")

    left_out = Counter()

    def is_read(file: str) -> bool:
        if _is_hidden(Path(file).relative_to(root)):
            return False
        if not is_picture(file):
            left_out[_kind(file)] += 1
            return False
        return True

    try:
        dataset = _image_folder(root, transform, is_read)
    except UserError as error:
        raise UserError(f"{error} (left out: {_counted(left_out)})" if left_out else str(error)) from None
    outside = [file for file in root.iterdir() if file.is_file() and not _is_hidden(Path(file.name))]
    outside = sum(map(is_picture, outside))
    if left_out or outside:
        parts = [_counted(left_out)] if left_out else []
        parts += [f"{outside:,} in no class folder"] if outside else []
        print(f"{root.name}/: left out {', '.join(parts)}")
    return dataset


def _split_folder(path: Path, split: str) -> Path:
    """The folder with the class folders of a split. UserError where there is none, or not two classes in it."""
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
    return root


def _image_folder(root: Path, transform: Callable | None, is_read: Callable | None = None) -> datasets.ImageFolder:
    """An ImageFolder of the files for which is_read(path) is true. UserError for a class without any."""
    try:
        return datasets.ImageFolder(root, transform, loader=read_image, is_valid_file=is_read)
    except FileNotFoundError as error:
        problem = str(error).splitlines()[0].rstrip(". ")
        raise UserError(f"{root}: {problem}. Add pictures or remove the folder") from None


def _is_hidden(path: Path) -> bool:
    """Whether systems and editors keep such files for themselves: .DS_Store, ._1.jpg, .ipynb_checkpoints/1.jpg …"""
    return path.name in ("Thumbs.db", "desktop.ini") or any(part.startswith(".") for part in path.parts)


def _kind(file: str) -> str:
    """What a file that is left out is counted as: ".heic", "without extension", …"""
    extension = Path(file).suffix.lower()
    return extension if re.fullmatch(r"\.\w{1,9}", extension) else "other" if extension else "without extension"


def _counted(kinds: Counter) -> str:
    """ "4 .heic, 1 .txt": the most frequent kinds first, and the fifth to the last together."""
    in_order = sorted(kinds.items(), key=lambda item: (-item[1], item[0][0] != ".", item[0]))
    parts = [f"{count:,} {kind}" for kind, count in in_order[:4]]
    others = sum(count for _, count in in_order[4:])
    return ", ".join(parts + [f"{others:,} of other kinds"] if others else parts)


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
