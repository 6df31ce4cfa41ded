"""The folders of training runs: checkpoints/<lesson>/run-001, run-002 …, each for one run and one process at a time.

- last.pt: where the training stands; previous.pt: where it stood one checkpoint earlier
- best.pt: the weights of the best epoch
- .lock: held by the process that trains in this folder; the system lets go of it however that process ends
"""

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from torch.utils.tensorboard import SummaryWriter

from common import UserError, checkpoint
from common.paths import checkpoint_dir, log_dir, make_folder, remove_leftovers

LAST, PREVIOUS = "last.pt", "previous.pt"
NEEDED_TO_GO_ON = {"optimizer", "schedule", "options", "history", "unfinished", "random"}


def claim_folder(lesson: str, out: str | None, locks: ExitStack) -> Path:
    """A folder for this run alone: `out`, or the next free run-NNN, locked until `locks` is closed.

    UserError where `out` holds a run, or where nothing may be written.
    """
    if out:
        folder = make_folder(Path(out).expanduser().resolve())
        locks.enter_context(_lock(folder))
        if _checkpoints(folder):
            raise UserError(f"{folder} holds a run: add --resume to go on with it, or choose another --out")
        return folder
    for n in itertools.count(1):
        folder = checkpoint_dir(lesson) / f"run-{n:03}"
        if folder.exists() or log_folder(lesson, folder, None).exists():
            continue
        try:
            folder.mkdir()  # fails where another run was faster, so no two runs ever share one
        except FileExistsError:
            continue
        locks.enter_context(_lock(folder))
        return folder


def find_run(lesson: str, which: str | None, locks: ExitStack) -> tuple[dict, Path]:
    """The checkpoint to go on from and its run's folder, locked until `locks` is closed.

    `which` names a folder or a file; where it is empty, it is the newest run that is not finished and that no other
    process is training, or else the newest of all. UserError where there is nothing to go on from.
    """
    if which:
        path = Path(which).expanduser().resolve()
        folder = path if path.is_dir() else path.parent
        if path.exists():
            locks.enter_context(_lock(folder))
        return load_newest(path), folder

    folders = [folder for folder in checkpoint_dir(lesson).iterdir() if _checkpoints(folder)]
    folders.sort(key=lambda folder: max(path.stat().st_mtime for path in _checkpoints(folder)), reverse=True)
    newest = None
    for folder in folders:  # opened one by one: older runs, damaged ones too, do not matter to a newer one
        try:
            locks.enter_context(_lock(folder))
        except UserError:
            continue  # somebody is training there
        found = load_newest(folder), folder
        if "test" not in found[0]:
            return found
        newest = newest or found
    if newest is None:
        idle = " that is not being trained right now" if folders else ""
        raise UserError(f"there is no run in {checkpoint_dir(lesson)}{idle} to resume: leave --resume out to start one")
    return newest


def load_newest(path: Path) -> dict:
    """The last checkpoint in a run's folder, or the one before it where the last is damaged; or that very file."""
    paths = [path / LAST, path / PREVIOUS] if path.is_dir() else [path]
    problem = None
    for path in paths:
        try:
            saved = checkpoint.load(path)
        except UserError as error:
            problem = problem or error
            continue
        if not saved.keys() >= NEEDED_TO_GO_ON:
            raise UserError(f"{path} holds weights but no training to go on with: take a run's {LAST}")
        if problem:
            print(f"warning: {problem}\nwarning: going on from the checkpoint before it, {path.name}", file=sys.stderr)
        return saved
    raise problem


def log_folder(lesson: str, folder: Path, logdir: str | None) -> Path:
    """Where TensorBoard's files of the run in `folder` lie."""
    if logdir:
        return Path(logdir).expanduser().resolve()
    return log_dir(lesson) / folder.name if folder.parent == checkpoint_dir(lesson) else folder / "logs"


@contextmanager
def log_writer(folder: Path, first_epoch: int) -> Iterator[SummaryWriter]:
    """TensorBoard's writer; what a stopped run logged from first_epoch on counts no longer."""
    this_second = f"events.out.tfevents.{int(time.time()):010}"
    if any(path.name.startswith(this_second) for path in make_folder(folder).iterdir()):
        time.sleep(1)  # TensorBoard reads the files in the order of their names, and these begin with the second
    # What the disk refuses to its thread, its next flush() raises. The thread prints a traceback of its own besides.
    before = threading.excepthook
    threading.excepthook = lambda args: None if issubclass(args.exc_type, OSError) else before(args)
    try:
        with SummaryWriter(folder, purge_step=first_epoch) as writer:
            yield writer
    finally:
        threading.excepthook = before


def _checkpoints(folder: Path) -> list[Path]:
    return [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Keep a run's folder for this process, and tidy it up. UserError where another process has it."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is training in {folder}: wait for it, or choose another folder") from None
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): choose another place") from error
    try:
        remove_leftovers(folder)
        yield
    finally:
        lock.release()
