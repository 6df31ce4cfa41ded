"""The folders of training runs: checkpoints/<lesson>/run-001, run-002 …, each for one run and one process at a time.

Beside the files that common.checkpoint names there is `.lock`: held by the process that trains in this folder; the
system lets go of it however that process ends.
"""

import itertools
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from torch.utils.tensorboard import SummaryWriter

from common import UserError, checkpoint
from common.checkpoint import BEST, LAST, PREVIOUS
from common.paths import checkpoint_dir, log_dir, make_folder, remove_leftovers
from common.pictures import read_image
from trainer import commands, distributed
from trainer.records import read_record
from trainer.state import TrainingState


class Run:
    """One run: its folder, locked while it trains, its checkpoints, and its log. Made by open_run()."""

    def __init__(self, lesson: str, stack: ExitStack):
        self.lesson, self._stack = lesson, stack
        self.folder: Path | None = None  # before begin(): only that of a run that is resumed
        self.saved: dict | None = None  # the checkpoint that it goes on from; None for a new run
        self.logdir: str | None = None  # where the user wants the log, if not in its usual place
        self.log_folder: Path | None = None
        self.writer: SummaryWriter | None = None  # in rank 0 alone

    def begin(self, state: TrainingState, out: str | None, logdir: str | None) -> None:
        """Claim a folder, where the run is new, open the log, and write the first checkpoint.

        A full or forbidden disk is found here, before the training. UserError then, and a new run leaves no trace.
        """
        if self.saved is None:
            self.folder = distributed.broadcast_from_rank0(create_run_dir, self.lesson, out, self._stack)
        self.logdir, self.log_folder = logdir, _log_folder(self.lesson, self.folder, logdir)
        if distributed.rank() == 0:
            if self.saved is None:
                self._stack.enter_context(_nothing_left_of_a_false_start(self.folder, self.log_folder))
            writer = log_writer(self.log_folder, first_epoch=len(state.history) + 1)
            self.writer = self._stack.enter_context(writer)
        distributed.barrier()  # the others end here, where rank 0 could not open the log
        if self.saved is None:
            self.save_last(state)

    def save_last(self, state: TrainingState) -> None:
        """Write where the training stands; the checkpoint before it stays, as previous.pt."""
        state.save(self.folder / LAST, keep_old_as=self.folder / PREVIOUS)

    def save_best(self, state: TrainingState) -> None:
        """Write the weights that were the best so far."""
        state.save(self.best)

    @property
    def best(self) -> Path:
        """The file with the weights of the best epoch."""
        return self.folder / BEST

    @property
    def resume_command(self) -> str:
        """What to type to go on with this run."""
        logdir = ["--logdir", Path(self.logdir).expanduser()] if self.logdir else []
        return commands.train_again("--resume", self.folder, *logdir)

    @property
    def tensorboard_command(self) -> str:
        """What to type to see this run beside others: all that is logged, where it lies in its usual place."""
        folder = self.log_folder.parent
        return commands.python(
            "-m", "tensorboard.main", "--logdir", folder.parent if folder == log_dir(self.lesson) else folder
        )

    @property
    def test_command(self) -> str:
        """What to type to use its best weights: they are named where test.py would take others."""
        named = [] if newest_best(self.lesson)[0] == self.best else ["--checkpoint", self.best]
        return commands.python(commands.TEST, *named)

    def log(self, row: dict) -> None:
        """One epoch's numbers for TensorBoard, under their own names; step = epoch."""
        if self.writer:
            for name, value in row.items():
                if name != "epoch":
                    self.writer.add_scalar(name, value, row["epoch"])
            self.writer.flush()  # before the checkpoint that says this epoch is done

    def log_picture(self, name: str, path: Path, epoch: int) -> None:
        """A picture that has been saved already, for TensorBoard: to draw it again would take as long."""
        if self.writer:
            self.writer.add_image(name, np.asarray(read_image(path)), epoch, dataformats="HWC")

    def load_best(self) -> dict:
        """The checkpoint of the best epoch, in all processes."""
        return distributed.broadcast_from_rank0(checkpoint.load_run, self.best)

    def save_test(self, test: dict) -> None:
        """Note in the last checkpoint what the test pictures said: with that, the run is finished."""
        finished = checkpoint.load_run(self.folder / LAST) | {"test": test}
        checkpoint.save(self.folder / LAST, finished, keep_old_as=self.folder / PREVIOUS)


@contextmanager
def open_run(lesson: str, resume: bool, which: str | None) -> Iterator[Run]:
    """A run, to be begun with Run.begin(): a new one, or with `resume` one that goes on, as find_resumable_run() says.

    Its folder stays locked and its log open until the end of this context.
    """
    with ExitStack() as stack:
        run = Run(lesson, stack)
        if resume:
            run.saved, run.folder = distributed.broadcast_from_rank0(find_resumable_run, lesson, which, stack)
        yield run


def create_run_dir(lesson: str, out: str | None, locks: ExitStack) -> Path:
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
        if folder.exists() or _log_folder(lesson, folder, None).exists():
            continue
        try:
            folder.mkdir()  # fails where another run was faster, so no two runs ever share one
        except FileExistsError:
            continue
        locks.enter_context(_lock(folder))
        return folder


def find_resumable_run(lesson: str, which: str | None, locks: ExitStack) -> tuple[dict, Path]:
    """The checkpoint to go on from and its run's folder, locked until `locks` is closed.

    `which` names a folder or a file; where it is empty, it is the newest run that is not finished and that no other
    process is training, or else the newest of all. UserError where there is nothing to go on from.
    """
    if which:
        path = Path(which).expanduser().resolve()
        folder = path if path.is_dir() else path.parent
        if path.exists():
            locks.enter_context(_lock(folder))
        saved = load_newest(path)
        if saved["best"]["epoch"] and not (folder / BEST).exists():
            raise UserError(
                f"{folder} has no {BEST}, the weights of the best epoch so far: put it there, or start a new run"
            )
        return saved, folder

    folders = [folder for folder in checkpoint_dir(lesson).iterdir() if _checkpoints(folder)]
    folders.sort(key=lambda folder: max(path.stat().st_mtime for path in _checkpoints(folder)), reverse=True)
    newest = None
    for folder in folders:  # opened one by one: older runs, damaged ones too, do not matter to a newer one
        try:
            locks.enter_context(_lock(folder))
        except UserError:
            continue  # another process is training there
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
    if not path.is_dir():
        return checkpoint.load_run(path)
    try:
        return checkpoint.load_run(path / LAST)
    except UserError as problem:
        try:
            saved = checkpoint.load_run(path / PREVIOUS)
        except UserError:
            raise problem from None
        print(f"warning: {problem}\nwarning: going on from the checkpoint before it, {PREVIOUS}", file=sys.stderr)
        return saved


def newest_best(lesson: str) -> tuple[Path | None, str]:
    """The best.pt that test.py takes unasked, None where there is none; and what there is to say of that choice, or "".

    It is that of the newest finished run on all pictures. Where there is none, it is that of the newest unfinished one;
    where there is none either, that of the newest quick trial, a run with --limit.
    """
    found = []  # (how little it counts, why, best.pt), from the newest run to the oldest
    for best in sorted(checkpoint_dir(lesson).glob(f"*/{BEST}"), key=_last_written, reverse=True):
        found.append((*_standing(best), best))
        if found[-1][0] == 0:
            break  # what is older does not matter
    if not found:
        return None, ""
    rank, why, best = min(found, key=lambda run: run[0])  # the first one of that rank: the newest
    notes = [f"{best.parent.name} is {why}"] if rank else []
    _, why, newest = found[0]
    if newest != best:
        take_it = commands.quoted("--checkpoint", newest)
        notes.append(f"{newest.parent.name} is newer, but {why}. To take it, add\n{take_it}")
    return best, "\n".join(notes)


def _last_written(best: Path) -> float:
    """When the run of this best.pt was worked on for the last time."""
    return max(path.stat().st_mtime for path in (best, *_checkpoints(best.parent)))


def _standing(best: Path) -> tuple[int, str]:
    """How little a run counts, and why: (0, "") for a finished one on all pictures."""
    try:
        record = read_record(best)
    except UserError:
        return 1, "damaged"
    if record.limit:
        return 2, f"a quick trial (--limit {record.limit})"
    return (0, "") if record.is_finished else (1, "not finished")


def _log_folder(lesson: str, folder: Path, logdir: str | None) -> Path:
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


@contextmanager
def _nothing_left_of_a_false_start(folder: Path, logs: Path) -> Iterator[None]:
    """Remove a new run's folders where the run ended before it had written its first checkpoint."""
    logs_were_there = logs.exists()
    try:
        yield
    finally:
        if not _checkpoints(folder):
            if not logs_were_there:
                shutil.rmtree(logs, ignore_errors=True)
            if folder.parent == checkpoint_dir(folder.parent.name):  # run-NNN; what --out named may have been there
                shutil.rmtree(folder, ignore_errors=True)


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
