"""Checkpoints that are never half-written, never run code, and hold what they must hold.

A checkpoint of this course is a dictionary of tensors and plain values. SCHEMA says what stands under each key and
what its value must be; no other module knows the keys and the file names.
"""

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from common import UserError
from common.models import IMAGE_SIZES, MODELS, ONLY_32, make_model
from common.paths import atomic_write

# The files in a run's folder: where the training stands, where it stood before, and the weights of the best epoch.
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"

# Before it, torch.load(weights_only=True) was no protection (CVE-2025-32434 until 2.5.1, CVE-2026-24747 until 2.9.1).
SAFE_TORCH = (2, 10)

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

MSDOS_FOLDER = 0x10  # in the attributes of a file in a zip archive
MAX_BYTES = 256 * 2**20  # of a file: twice what ResNet-18 needs with the two moments of AdamW
MAX_VALUES = 1_000_000  # numbers, texts and tensors in one checkpoint; ours have some hundreds
MAX_CLASSES = 10_000

# What torch.load() raises for bytes that only look like a pickle.
UNREADABLE = (RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
UNREADABLE += (ArithmeticError, MemoryError, struct.error)


# ---- What stands in a checkpoint -------------------------------------------------------------------------------------


def is_text(value) -> bool:
    return isinstance(value, str)


def is_tensor(value) -> bool:
    return isinstance(value, Tensor)


def is_number(least: float = -math.inf, most: float = math.inf, kind=(int, float)) -> Callable:
    """A check for numbers from least to most. NaN is none; neither is True, which Python counts as 1."""
    return lambda value: isinstance(value, kind) and not isinstance(value, bool) and least <= value <= most


def is_dict_of(check: Callable) -> Callable:
    """A check for dictionaries with texts as keys and with values that all pass."""
    return lambda value: isinstance(value, dict) and all(is_text(k) and check(v) for k, v in value.items())


def is_list_of(check: Callable, least: int = 0, most: float = math.inf) -> Callable:
    """A check for lists of least to most items that all pass."""
    return lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(check, value))


def has(**checks: Callable) -> Callable:
    """A check for dictionaries with exactly these keys."""
    return lambda value: (
        isinstance(value, dict) and value.keys() == checks.keys() and all(checks[key](value[key]) for key in checks)
    )


def is_history(value) -> bool:
    """A row of numbers for each finished epoch, named as in TensorBoard: {"epoch": 1, "loss/train": 1.9, …}."""
    return is_list_of(is_dict_of(is_number()))(value) and [row.get("epoch") for row in value] == [
        *range(1, len(value) + 1)
    ]


is_count = is_number(0, 2**53, int)
is_share = is_number(0, 1)
is_loss = is_number(-1e300, 1e300)

SCHEMA = {  # key -> (the check of its value, and in words what the value must be)
    "model": (lambda value: is_text(value) and value in MODELS, f"one of {', '.join(MODELS)}"),
    "state_dict": (is_dict_of(is_tensor), "a dictionary of names and tensors"),
    "classes": (is_list_of(is_text, 2, MAX_CLASSES), f"a list of 2 to {MAX_CLASSES:,} names"),
    "mean": (is_list_of(is_share, 3, 3), "a list of three numbers from 0 to 1"),
    "std": (is_list_of(is_number(1e-6, 1), 3, 3), "a list of three numbers above 0 and up to 1"),
    "data": (lambda value: value is None or is_text(value), "what --data takes"),
    "image_size": (is_number(8, 1024, int), "a whole number of pixels from 8 to 1024"),
    "options": (is_dict_of(lambda value: isinstance(value, str | int | float | None)), "a dictionary of options"),
    "history": (is_history, "a list with a row of numbers for each epoch"),
    "epoch": (is_count, "a whole number"),
    "best": (has(epoch=is_count, accuracy=is_number(most=1)), "an epoch and an accuracy"),
    "optimizer": (has(state=dict.__instancecheck__, param_groups=list.__instancecheck__), "an optimizer's state_dict"),
    "scheduler": (is_dict_of(lambda value: True), "a scheduler's state_dict"),
    "unfinished": (
        has(steps=is_count, loss=is_loss, correct=is_count, count=is_count, seconds=is_number(0, 1e9)),
        "steps, loss, correct, count and seconds of the epoch that is not finished",
    ),
    "random": (is_tensor, "the state of a random number generator"),
    "pictures": (is_dict_of(is_dict_of(lambda value: isinstance(value, str | int))), "fingerprints of the pictures"),
    "test": (has(epoch=is_count, loss=is_loss, accuracy=is_share), "an epoch, a loss and an accuracy"),
}
TRAINED_KEYS = ("model", "state_dict", "classes", "mean", "std")  # what test.py needs
OPTIONS_AS_BEFORE = {  # of runs from before there were these options
    "pretrained": None,
    "freeze": False,
    "image_size": 32,
    "deterministic": False,
}
RESUME_KEYS = ("optimizer", "scheduler", "options", "history", "epoch", "best", "unfinished", "random")


def check(contents: dict, path: Path) -> None:
    """UserError that names the file and the first key of SCHEMA whose value is not what it must be."""
    for key, (is_right, words) in SCHEMA.items():
        if key in contents and not is_right(contents[key]):
            raise UserError(f"{path} cannot be used: its {key!r} is not {words}. Take another checkpoint")


def _as_of_today(contents: dict) -> dict:
    """A checkpoint of an earlier version of this course, with the names that SCHEMA has and all options of today."""
    contents = dict(contents)
    if isinstance(contents.get("options"), dict):
        contents["options"] = OPTIONS_AS_BEFORE | contents["options"]
    if "schedule" not in contents:
        return contents
    contents["scheduler"] = contents.pop("schedule")
    if isinstance(contents.get("unfinished"), list):
        names = ("steps", "loss", "correct", "count", "seconds")
        contents["unfinished"] = dict(zip(names, contents["unfinished"], strict=False))
    if is_list_of(is_dict_of(is_number()))(contents.get("history")):
        contents["history"] = [{_tag(name): value for name, value in row.items()} for row in contents["history"]]
    return contents


def _tag(name: str) -> str:
    split, _, measure = name.partition("_")  # "train_loss" -> "loss/train"
    return f"{measure}/{split}" if measure else name


# ---- Writing and reading ---------------------------------------------------------------------------------------------


def save(path: Path, contents: dict, keep_old_as: Path | None = None) -> None:
    """Write a checkpoint beside `path` and move it into place, so that a crash leaves the old one or the new one.

    The old one is then gone, or renamed to `keep_old_as`. UserError where the disk is full or forbidden.
    """
    _demand_safe_torch()
    buffer = io.BytesIO()  # torch.save() into a file would turn a full disk into a RuntimeError of its own
    torch.save(contents, buffer)
    with atomic_write(Path(path), keep_old_as) as beside:
        beside.write_bytes(buffer.getbuffer())


def load(path: Path) -> dict:
    """What the file holds, its tensors on the CPU, wherever they were saved.

    UserError for everything that is no checkpoint, is damaged, or holds more than tensors and plain values.
    torch.load() verifies no checksum (a flipped bit loads silently): the archive's own CRC-32 sums are checked first.
    No more memory is taken than the file has bytes, whatever the sizes are that it claims.
    """
    _demand_safe_torch()
    path = Path(path)
    start = _first_bytes(path)
    is_archive = start.startswith(b"PK")
    try:
        sizes = _check_archive(path) if is_archive else None
        # Mapped, not read: a tensor that claims more than is there cannot be made, and nothing is copied yet.
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
        contents = _own_copy(contents, path, sizes)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError):
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


def _first_bytes(path: Path) -> bytes:
    """The first 64 bytes of the file. UserError for what cannot be a checkpoint at all."""
    if path.is_dir():
        inside = sorted(p.name for p in path.glob("*.pt*"))
        hint = f": name a file in it, such as {path / inside[0]}" if inside else ", and there is no checkpoint in it"
        raise UserError(f"{path} is a folder{hint}")
    try:
        size = path.stat().st_size
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
    if size > MAX_BYTES:
        largest = f"networks of this course need at most {MAX_BYTES >> 20} MB"
        raise UserError(f"the checkpoint {path} has {size >> 20:,} MB: {largest}. Take another one")
    return start


def _check_archive(path: Path) -> Counter:
    """How many stored tensors there are of each size in bytes. BadZipFile where the archive is damaged.

    UserError where it is compressed: torch.save() compresses nothing, and such an entry unpacks to any size.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UserError(f"{path} is compressed, as torch.save() never does it: take the file that it wrote")
        # For torch.load(), an entry with this bit is a folder: it would return whatever lay in that memory.
        if any(entry.external_attr & MSDOS_FOLDER for entry in entries):
            raise zipfile.BadZipFile
        if sum(entry.file_size for entry in entries) > path.stat().st_size or archive.testzip():
            raise zipfile.BadZipFile
        return Counter(entry.file_size for entry in entries if "/data/" in entry.filename)


def _own_copy(contents, path: Path, sizes: Counter | None):
    """The contents, with each tensor copied to memory of its own. UserError where they are no plain tensors and values.

    sizes: of the tensors that are stored in the archive, see _check_archive(). A tensor must be one of them, whole.
    """
    seen, num_values, num_bytes = set(), 0, 0

    def copy(value):
        nonlocal num_values, num_bytes
        num_values += 1
        if num_values > MAX_VALUES:  # lists that hold the same list many times, which holds …
            raise UserError(f"{path} holds more than {MAX_VALUES:,} values: no checkpoint of this course does")
        if isinstance(value, Tensor):
            is_plain = type(value) in (Tensor, nn.Parameter) and value.layout == torch.strided and not value.is_nested
            if not is_plain or value.device.type != "cpu":
                raise UserError(f"{path} holds tensors without plain numbers (sparse or meta, say): take another file")
            storage = value.untyped_storage()
            if sizes is not None and storage.nbytes() and storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                sizes[storage.nbytes()] -= 1
                if sizes[storage.nbytes()] < 0:
                    raise UserError(f"{path} holds a tensor that claims more numbers than are there: it is damaged")
            num_bytes += value.numel() * value.element_size()
            if num_bytes > MAX_BYTES:  # one number, said to stand in a billion places
                raise UserError(f"{path} unpacks to more than {MAX_BYTES >> 20} MB: no network of this course needs it")
            return value.detach().clone()
        if isinstance(value, dict):
            return {copy(k): copy(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(copy, value)) if type(value) in (list, tuple) else tuple(map(copy, value))
        return value

    return copy(contents)


def _demand_safe_torch() -> None:
    """UserError where this PyTorch's weights_only=True has known holes."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < SAFE_TORCH:
        needed = ".".join(map(str, SAFE_TORCH))
        raise UserError(
            f"PyTorch {torch.__version__} can be made to run code by a prepared checkpoint: "
            f"install {needed} or newer, with pip install -r requirements.txt"
        )


# ---- To go on with, or to use ----------------------------------------------------------------------------------------


def load_run(path: Path) -> dict:
    """A checkpoint that a training can go on from, checked. UserError where it is none, or where a value is wrong."""
    contents = _as_of_today(load(path))
    if not contents.keys() >= {*TRAINED_KEYS, *RESUME_KEYS}:
        raise UserError(f"{path} holds weights but no training to go on with: take a run's {LAST}")
    check(contents, path)
    if not contents["best"]["epoch"] <= contents["epoch"] == len(contents["history"]):
        raise UserError(f"{path} cannot be used: its 'history' is not that of {contents['epoch']} epochs")
    return contents


@dataclass
class Trained:
    """A trained model and what it needs to be used as it was trained."""

    model: nn.Module  # on the CPU, in eval mode
    name: str  # one of MODELS
    classes: list[str]
    mean: list[float]  # per channel, of pictures in 0…1
    std: list[float]
    data: str | None  # what it was trained on, as --data would name it; None where the file does not say
    image_size: int = 32  # height and width of the pictures that it takes


def load_trained(path: Path, classes: list[str]) -> Trained:
    """The trained model in a checkpoint of this course, or in somebody else's file with a bare state_dict.

    A bare state_dict names no classes and no normalisation. It gets `classes` where their number fits, and pictures in
    0…1, as in the video courses. Its network is found by comparing names and shapes, whatever prefix all names share
    (`module.` of DataParallel, `_orig_mod.` of torch.compile, `model1.` of somebody's class).
    """
    contents = load(path)
    if all(key in contents for key in TRAINED_KEYS):
        contents = _as_of_today(contents)
        check(contents, path)
        name, classes, mean, std = (contents[key] for key in ("model", "classes", "mean", "std"))
        model = _fitted(name, len(classes), contents["state_dict"], path)
        size = contents.get("image_size", 32)  # there is none in checkpoints that are older than --image-size
        least, _, most = IMAGE_SIZES.get(name, ONLY_32)
        if not least <= size <= most:
            raise UserError(
                f"{path} cannot be used: {name} takes no pictures of {size}x{size}. Take another checkpoint"
            )
        return Trained(model.eval(), name, classes, mean, std, contents.get("data"), size)

    for key in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(contents.get(key), dict):
            contents = contents[key]
    linear = [value for value in contents.values() if is_tensor(value) and value.ndim == 2]
    if not linear or not is_dict_of(is_tensor)(contents):
        raise UserError(f"{path} is no checkpoint of this course and no state_dict: its keys are {_few(contents)}")
    num_classes = len(linear[-1])  # one row of the last linear weight for each class
    if not 2 <= num_classes <= MAX_CLASSES:
        raise UserError(f"{path} fits no network of this course: its last linear layer has {num_classes:,} outputs")
    name, model = _find_model(contents, num_classes, path)
    if num_classes != len(classes):
        classes = [f"class {i}" for i in range(num_classes)]
    _, size, _ = IMAGE_SIZES.get(name, ONLY_32)
    return Trained(model.eval(), name, classes, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], data=None, image_size=size)


def load_state(model: nn.Module, state_dict: dict, path: Path) -> None:
    """Load every tensor, or raise a UserError that names the first one that does not fit or holds no usable numbers."""
    if problem := _first_misfit(state_dict, model.state_dict()):
        raise UserError(f"{path} does not fit {type(model).__name__}: {problem}. Was it trained with another --model?")
    for name, value in state_dict.items():
        if not torch.isfinite(value).all():
            raise UserError(f"{path} is worthless: {name} holds NaN or infinite numbers. Take an earlier checkpoint")
        if name.endswith("running_var") and (value < 0).any():
            raise UserError(f"{path} is worthless: {name} holds negative variances. Take an earlier checkpoint")
    model.load_state_dict(state_dict)


def _fitted(name: str, num_classes: int, state_dict: dict, path: Path) -> nn.Module:
    """A network of MODELS with these weights. Whether they fit is seen before memory is taken for it."""
    with torch.device("meta"):
        shapes = make_model(name, num_classes)
    if _first_misfit(state_dict, shapes.state_dict()):
        load_state(shapes, state_dict, path)  # says what does not fit
    model = make_model(name, num_classes)
    load_state(model, state_dict, path)
    return model


def _find_model(state_dict: dict, num_classes: int, path: Path) -> tuple[str, nn.Module]:
    """The network of MODELS whose names and shapes these are, loaded; UserError naming what came nearest."""
    theirs, _ = _without_shared_prefix(state_dict)
    misfits = {}
    for name in MODELS:
        with torch.device("meta"):
            ours, prefix = _without_shared_prefix(make_model(name, num_classes).state_dict())
        problem = _first_misfit(theirs, ours)
        if not problem:
            return name, _fitted(name, num_classes, {prefix + key: value for key, value in theirs.items()}, path)
        misfits[name] = len(theirs.keys() & ours.keys()), problem
    nearest = max(misfits, key=lambda name: misfits[name][0])
    raise UserError(f"{path} fits no network of this course; nearest is {nearest}, where {misfits[nearest][1]}")


def _first_misfit(theirs: dict, ours: dict) -> str | None:
    """In words: the first name, shape or kind of number that differs between two state_dicts, or None."""
    for name, value in ours.items():
        if name not in theirs:
            return f"{name} is missing from the file"
        if theirs[name].shape != value.shape:
            return f"{name} is {tuple(theirs[name].shape)} in the file and {tuple(value.shape)} in the network"
        if theirs[name].is_floating_point() != value.is_floating_point():
            return f"{name} is {theirs[name].dtype} in the file and {value.dtype} in the network"
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
