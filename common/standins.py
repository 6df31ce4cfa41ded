"""The drawn stand-ins, as files like those of the real data sets: drawn once, and again when they are not as drawn."""

import hashlib
import inspect
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torchvision import datasets
from torchvision.transforms.v2 import functional as F

from common import UserError, drawn
from common.paths import data_dir, make_folder, shown

STAMP = "drawn-by.txt"  # beside the pictures: a fingerprint of the code that drew them, and a checksum of each file


class DrawnCIFAR10(datasets.CIFAR10):
    """Drawn pictures in CIFAR-10's own file format, read by torchvision's own code."""

    base_folder = "drawn-cifar10"
    train_list = [[f"data_batch_{i}", None] for i in range(1, 6)]  # [file name, no published checksum]
    test_list = [["test_batch", None]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}

    def __init__(self, train: bool, transform: Callable | None = None):
        draw_once(data_dir() / self.base_folder, self.draw)
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


def drawn_ants_bees() -> Path:
    """The folder of drawn ants and bees, train/ and val/, drawn the first time."""
    return draw_once(data_dir() / "drawn-hymenoptera", _draw_ants_bees)


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


def draw_once(folder: Path, draw: Callable[[Path], None]) -> Path:
    """The folder that draw(folder) fills: drawn the first time, after a change of what draws, and when it was damaged.

    It is filled beside and then moved into place: nobody ever sees half of it. UserError where that is not possible.
    """
    code = inspect.getsource(drawn) + inspect.getsource(draw)
    fingerprint = hashlib.sha256(code.encode()).hexdigest()
    if _is_as_drawn(folder, fingerprint):
        return folder
    make_folder(folder.parent)
    if sys.stderr.isatty():  # to a person, not into a file or a notebook
        print(f"drawing pictures into {shown(folder)}, once: some seconds", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
            fresh = Path(beside) / "fresh"
            fresh.mkdir()
            draw(fresh)
            (fresh / STAMP).write_text("\n".join([fingerprint, *_checksums(fresh)]), encoding="utf-8")
            if folder.exists():
                folder.rename(Path(beside) / "old")
            fresh.rename(folder)
    except OSError as error:
        if not _is_as_drawn(folder, fingerprint):  # else another process was faster, and its pictures are the same
            raise UserError(f"cannot draw pictures into {folder} ({error.strerror})") from error
    return folder


def _is_as_drawn(folder: Path, fingerprint: str) -> bool:
    """Whether today's code drew the pictures in the folder, and no file has changed since: pickles are opened next."""
    try:
        stamp = (folder / STAMP).read_text(encoding="utf-8").split("\n")
        return stamp == [fingerprint, *_checksums(folder)]
    except (OSError, UnicodeDecodeError):
        return False


def _checksums(folder: Path) -> list[str]:
    """One line for each file below the folder: its SHA-256 and its name. The stamp itself is left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != STAMP)
    return [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}" for path in files]
