"""Checkpoints that are never half-written and never run code.

A checkpoint of this course is a dictionary of tensors and plain values, with the keys of FORMAT below and whatever
else the training needs to go on.
"""

import io
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from common import UserError
from common.models import MODELS, make_model
from common.paths import replacing

# What load_trained() needs of a checkpoint of ours; `classes` is a list of names, `mean` and `std` are per channel.
FORMAT = ("model", "state_dict", "classes", "mean", "std")

# Before it, torch.load(weights_only=True) was no protection (CVE-2025-32434 until 2.5.1, CVE-2026-24747 until 2.9.1).
SAFE_TORCH = (2, 10)

MSDOS_FOLDER = 0x10  # in the attributes of a file in a zip archive

# What torch.load() raises for bytes that only look like a pickle.
UNREADABLE = (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
UNREADABLE += (ArithmeticError, MemoryError, struct.error)

# What people hand over by mistake, by the first bytes of the file.
LOOKALIKES = {
    b"<": "a web page (was a download refused?)",
    b"version https://git-lfs": "a Git LFS pointer: type `git lfs pull`",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip archive: unpack it first",
}


def save(path: Path, contents: dict, keep_old_as: Path | None = None) -> None:
    """Write a checkpoint beside `path` and move it into place, so that a crash leaves the old one or the new one.

    The old one is then gone, or renamed to `keep_old_as`. UserError where the disk is full or forbidden.
    """
    _demand_safe_torch()
    buffer = io.BytesIO()  # torch.save() into a file would turn a full disk into a RuntimeError of its own
    torch.save(contents, buffer)
    with replacing(Path(path), keep_old_as) as beside:
        beside.write_bytes(buffer.getbuffer())


def load(path: Path) -> dict:
    """What the checkpoint holds, its tensors on the CPU, wherever they were saved.

    UserError for everything that is no checkpoint, is damaged, or holds more than tensors and plain values.
    torch.load() verifies no checksum (a flipped bit loads silently): the archive's own CRC-32 sums are checked first.
    """
    _demand_safe_torch()
    path = Path(path)
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.pt*"))
        hint = f": name a file in it, such as {path / inside[0]}" if inside else ", and there is no checkpoint in it"
        raise UserError(f"{path} is a folder{hint}")
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}: check the name, or train one first") from None
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path} ({error.strerror})") from error
    if not start:
        raise UserError(f"the checkpoint {path} is empty: take another one")
    for first_bytes, what in LOOKALIKES.items():
        if start.lstrip().startswith(first_bytes):
            raise UserError(f"{path} is no checkpoint but {what}")

    try:
        if start.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                # For torch.load(), an entry with this bit is a folder: it would return whatever lay in that memory.
                if archive.testzip() or any(entry.external_attr & MSDOS_FOLDER for entry in archive.infolist()):
                    raise zipfile.BadZipFile
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, zlib.error):
        raise UserError(f"the checkpoint {path} is damaged or cut short: take another one") from None
    except pickle.UnpicklingError:
        if not start.startswith((b"PK", b"\x80")):  # neither of torch.save()'s two formats: a text, most likely
            raise UserError(f"{path} is no checkpoint that torch.save() wrote: take another file") from None
        raise UserError(
            f"{path} holds more than tensors and plain values (a whole pickled model?), which could run code: "
            "save the model's state_dict() instead"
        ) from None
    except UNREADABLE:
        raise UserError(f"{path} is no checkpoint that torch.save() wrote: take another file") from None
    if not isinstance(contents, dict):
        raise UserError(f"{path} holds a {type(contents).__name__}, no state_dict and no checkpoint of this course")
    return contents


def _demand_safe_torch() -> None:
    """UserError where this PyTorch's weights_only=True has known holes."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        needed = ".".join(map(str, SAFE_TORCH))
        raise UserError(
            f"PyTorch {torch.__version__} can be made to run code by a prepared checkpoint: "
            f"install {needed} or newer, with pip install -r requirements.txt"
        )


@dataclass
class Trained:
    """A trained model and what it needs to be used as it was trained."""

    model: nn.Module  # on the CPU, in eval mode
    name: str  # one of MODELS
    classes: list[str]
    mean: list[float]  # per channel, of pictures in 0…1
    std: list[float]
    data: str | None  # what it was trained on, as --data would name it; None where the file does not say


def load_trained(path: Path, classes: list[str]) -> Trained:
    """The trained model in a checkpoint of this course, or in somebody else's file with a bare state_dict.

    A bare state_dict names no classes and no normalisation. It gets `classes` where their number fits, and pictures in
    0…1, as in the video courses. Its network is found by comparing names and shapes, whatever prefix all names share
    (`module.` of DataParallel, `_orig_mod.` of torch.compile, `model1.` of somebody's class).
    """
    contents = load(path)
    if all(key in contents for key in FORMAT):
        model = make_model(contents["model"], len(contents["classes"]))
        load_state(model, contents["state_dict"], path)
        name, classes, mean, std = (contents[key] for key in ("model", "classes", "mean", "std"))
        return Trained(model.eval(), name, classes, mean, std, contents.get("data"))

    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(contents.get(key), dict):
            contents = contents[key]
    linear = [value for value in contents.values() if isinstance(value, Tensor) and value.ndim == 2]
    if not linear or not all(isinstance(value, Tensor) for value in contents.values()):
        raise UserError(f"{path} is no checkpoint of this course and no state_dict: its keys are {_few(contents)}")
    num_classes = len(linear[-1])  # one row of the last linear weight for each class
    name, model = _find_model(contents, num_classes, path)
    if num_classes != len(classes):
        classes = [f"class {i}" for i in range(num_classes)]
    return Trained(model.eval(), name, classes, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], data=None)


def load_state(model: nn.Module, state_dict: dict, path: Path) -> None:
    """Load every tensor, or raise a UserError that names the first one that does not fit or is not finite."""
    if problem := _first_misfit(state_dict, model.state_dict()):
        raise UserError(f"{path} does not fit {type(model).__name__}: {problem}. Was it trained with another --model?")
    for name, value in state_dict.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path} is worthless: {name} holds NaN or infinite numbers. Take an earlier checkpoint")
    model.load_state_dict(state_dict)


def _find_model(state_dict: dict, num_classes: int, path: Path) -> tuple[str, nn.Module]:
    """The network of MODELS whose names and shapes these are, loaded; UserError naming what came nearest."""
    theirs, _ = _without_shared_prefix(state_dict)
    misfits = {}
    for name in MODELS:
        model = make_model(name, num_classes)
        ours, prefix = _without_shared_prefix(model.state_dict())
        if not _first_misfit(theirs, ours):
            load_state(model, {prefix + key: value for key, value in theirs.items()}, path)
            return name, model
        misfits[name] = len(theirs.keys() & ours.keys()), _first_misfit(theirs, ours)
    nearest = max(misfits, key=lambda name: misfits[name][0])
    raise UserError(f"{path} fits no network of this course; nearest is {nearest}, where {misfits[nearest][1]}")


def _first_misfit(theirs: dict, ours: dict) -> str | None:
    """In words: the first name or shape that differs between two state_dicts, or None."""
    for name, value in ours.items():
        if name not in theirs:
            return f"{name} is missing from the file"
        if theirs[name].shape != value.shape:
            return f"{name} is {tuple(theirs[name].shape)} in the file and {tuple(value.shape)} in the network"
    return next((f"{name} is not in the network" for name in theirs if name not in ours), None)


def _without_shared_prefix(state_dict: dict) -> tuple[dict, str]:
    """The state_dict without the dotted prefix that all its names share, and that prefix with its dot."""
    parts = [name.split(".")[:-1] for name in state_dict]
    shared = 0
    while all(len(p) > shared and p[shared] == parts[0][shared] for p in parts):
        shared += 1
    prefix = "".join(part + "." for part in parts[0][:shared])
    return {name.removeprefix(prefix): value for name, value in state_dict.items()}, prefix


def _few(names) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "") or "none"
