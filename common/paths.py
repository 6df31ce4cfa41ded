"""Where things lie, found from this file's own place and never from the current directory.

Everything that the course makes hangs under one root: the repository, or the folder that the environment variable
COURSE_HOME names (the tests use that).

    data/                     downloaded and drawn pictures
    logs/<lesson>/            TensorBoard runs
    checkpoints/<lesson>/     trained weights
    outputs/<lesson>/         pictures that a script drew
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import UserError

REPOSITORY = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The root of everything that the course writes: $COURSE_HOME where it is set, else the repository."""
    return Path(os.environ.get("COURSE_HOME") or REPOSITORY).expanduser().resolve()


def data_dir() -> Path:
    """The folder of all data sets. It may not exist yet: who writes there makes it."""
    return home() / "data"


def log_dir(lesson: str) -> Path:
    """Where a lesson logs for TensorBoard: logs/<lesson>. SummaryWriter makes it."""
    return home() / "logs" / lesson


def fresh_log_dir(lesson: str) -> Path:
    """log_dir(lesson), emptied: TensorBoard would take two runs in one folder for a single one (Course 02)."""
    shutil.rmtree(log_dir(lesson), ignore_errors=True)
    return log_dir(lesson)


def checkpoint_dir(lesson: str) -> Path:
    """Where a lesson keeps trained weights: checkpoints/<lesson>, made here, for torch.save() makes no folder."""
    return make_folder(home() / "checkpoints" / lesson)


def output_dir(lesson: str) -> Path:
    """Where a lesson saves the pictures that it drew: outputs/<lesson>, made here, for savefig() makes no folder."""
    return make_folder(home() / "outputs" / lesson)


def make_folder(folder: Path) -> Path:
    """The folder, made with its parents where it is missing. UserError where that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {folder} ({error.strerror}): "
            "choose another place, or set COURSE_HOME to a folder that you may write to"
        ) from error
    return folder


def shown(path: Path) -> str:
    """A path as a person would type it here: relative where it lies below the current directory, else absolute."""
    path = Path(path).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def atomic_write(path: Path, keep_old_as: Path | None = None) -> Iterator[Path]:
    """A temporary path beside `path`; what was written there takes its place at the end, all at once.

    Whatever happens in between, an older file at `path` stays whole; in the end it is gone, or renamed to
    `keep_old_as`. UserError where the disk refuses.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())  # first on the disk, then under its name: a power cut leaves the old or the new
        if keep_old_as and path.exists():
            path.replace(keep_old_as)
        beside.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): free some space or choose another place") from error
    finally:
        beside.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that programs left in the folder when they were killed while they wrote."""
    for leftover in folder.glob(".*.*.*"):
        if re.fullmatch(r"\..+\.\d+\.\w+", leftover.name):  # as atomic_write() names them
            leftover.unlink(missing_ok=True)
