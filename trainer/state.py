"""What changes while a network trains, and therefore stands in a checkpoint."""

import hashlib
import inspect
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from common import UserError, checkpoint
from trainer import distributed


@dataclass
class EpochMetrics:
    """Loss and accuracy over the samples of an epoch so far, and how many of its steps are done."""

    steps: int = 0
    loss: float = 0.0  # summed up over samples, not the mean
    correct: int = 0
    count: int = 0  # samples
    seconds: float = 0.0
    pending: list[Tensor] = field(default_factory=list)  # still on the device: to read a number makes the CPU wait

    def update(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One more batch: its mean loss (), logits (B, C) and labels (B,)."""
        correct = (logits.argmax(dim=1) == labels).sum()
        self.pending.append(torch.stack([loss.detach().float() * len(labels), correct.float()]))
        self.steps += 1
        self.count += len(labels)

    def sync(self) -> int:
        """Read what was added since the last time. Returns the first step whose loss was not finite, or 0."""
        bad_step, step = 0, self.steps - len(self.pending)
        for loss, correct in torch.stack(self.pending).tolist() if self.pending else []:
            step += 1
            if not bad_step and not math.isfinite(loss):
                bad_step = step
            self.loss += loss
            self.correct += int(correct)
        self.pending = []
        return bad_step

    def compute(self) -> tuple[float, float]:
        """Loss and accuracy (0…1) over all samples, not the mean of the batches' means: the last may be smaller."""
        self.sync()
        loss, correct, count = distributed.all_reduce_sum([self.loss, self.correct, self.count])
        return loss / count, correct / count

    def start_clock(self) -> None:
        """From here on, read_clock() counts; the seconds from before a stop are added to those."""
        self.started = time.perf_counter() - self.seconds

    def read_clock(self) -> float:
        """The seconds that the epoch took so far."""
        self.seconds = time.perf_counter() - self.started
        return self.seconds


@dataclass
class TrainingState:
    """All that changes while a network trains: what a checkpoint holds, and what --resume puts back."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    metadata: dict  # the options, the classes, the statistics of the pictures: it does not change, but test.py needs it
    history: list[dict] = field(default_factory=list)  # a row for each finished epoch
    best: dict = field(default_factory=lambda: {"epoch": 0, "accuracy": -math.inf})
    metrics: EpochMetrics = field(default_factory=EpochMetrics)  # of the epoch that is not finished

    def save(self, path: Path, keep_old_as: Path | None = None) -> None:
        """Write everything, in rank 0. UserError where a weight is not finite: what lies there stays as it is."""
        metrics = self.metrics
        loss, correct, count = distributed.all_reduce_sum([metrics.loss, metrics.correct, metrics.count])
        weights = self.model.state_dict()
        if not all(value.isfinite().all() for value in weights.values()):
            raise UserError(
                f"the weights are no longer finite after epoch {len(self.history)}: start a new run with a smaller --lr"
            )
        if distributed.rank() > 0:
            return
        state = {
            "state_dict": weights,
            "history": self.history,
            "epoch": len(self.history),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "unfinished": {
                "steps": metrics.steps,
                "loss": loss,
                "correct": int(correct),
                "count": int(count),
                "seconds": metrics.seconds,
            },
            "random": torch.get_rng_state(),  # no network here draws from it; one with dropout would, or from the GPU's
        }
        checkpoint.save(path, self.metadata | state, keep_old_as)

    def restore(self, saved: dict, path: Path, steps_per_epoch: int) -> None:
        """Put everything back where the checkpoint, which load_run() has checked, says it was.

        UserError where the checkpoint does not fit the network, the optimizer or the number of steps.
        """
        checkpoint.load_state(self.model, saved["state_dict"], path)
        unfinished = saved["unfinished"]
        if unfinished["steps"] > steps_per_epoch:
            raise UserError(
                f"{path} cannot be used: its epoch has {unfinished['steps']} steps, and not {steps_per_epoch}"
            )
        self._restore_optimizer(saved["optimizer"], path)
        self._restore_scheduler(saved["scheduler"], saved["epoch"] * steps_per_epoch + unfinished["steps"], path)
        try:
            torch.set_rng_state(saved["random"])
        except (RuntimeError, TypeError):
            raise UserError(f"{path} cannot be used: its 'random' is no state of a random generator") from None
        self.history, self.best = saved["history"], saved["best"]
        self.metrics = EpochMetrics(**unfinished)
        if distributed.rank() > 0:
            self.metrics = EpochMetrics(steps=unfinished["steps"])  # what was counted so far is counted once

    def _restore_optimizer(self, saved: dict, path: Path) -> None:
        """Load the moments of each weight and the learning rates. UserError where they are another optimizer's."""
        fresh = self.optimizer.state_dict()["param_groups"]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        problem = UserError(f"{path} cannot be used: its 'optimizer' is not that of this run")
        if len(saved["param_groups"]) != len(fresh):
            raise problem
        for ours, theirs in zip(fresh, saved["param_groups"], strict=True):
            if not isinstance(theirs, dict) or not all(_alike(theirs.get(key), ours[key]) for key in ours):
                raise problem
        if saved["state"] and saved["state"].keys() != set(range(len(parameters))):
            raise problem
        names = _names_of_moments(self.optimizer) if saved["state"] else set()
        for number, moments in saved["state"].items():
            if not isinstance(moments, dict) or moments.keys() != names:
                raise problem
            for value in moments.values():
                if isinstance(value, Tensor) and value.shape not in (parameters[number].shape, torch.Size()):
                    raise problem
                if not isinstance(value, Tensor | None):
                    raise problem
        self.optimizer.load_state_dict(saved)

    def _restore_scheduler(self, saved: dict, steps: int, path: Path) -> None:
        """Put the scheduler where it was after that many steps; all but its place follows from the options."""
        fresh = self.scheduler.state_dict()
        moving = {key: saved.get(key) for key in ("last_epoch", "_step_count", "_last_lr") if key in fresh}
        if moving["last_epoch"] != steps or not all(_alike(value, fresh[key]) for key, value in moving.items()):
            raise UserError(f"{path} cannot be used: its 'scheduler' is not that of a run after {steps} steps")
        self.scheduler.load_state_dict(fresh | moving)


def _alike(value, like) -> bool:
    """Whether the value is of the same kind: a number for a number, a list of as many numbers for a list."""
    if isinstance(like, list | tuple):
        return isinstance(value, list | tuple) and len(value) == len(like) and all(map(_alike, value, like))
    if isinstance(like, bool | None):
        return isinstance(value, bool | None)
    if isinstance(like, int | float):
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is type(like)


def _names_of_moments(optimizer: torch.optim.Optimizer) -> set[str]:
    """What this optimizer keeps for each weight, such as {"momentum_buffer"}: seen by one step with a single weight."""
    weight = nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    accepted = inspect.signature(type(optimizer)).parameters
    one = type(optimizer)([weight], **{name: value for name, value in optimizer.defaults.items() if name in accepted})
    one.step()
    return set(one.state[weight])


def fingerprint(images: Tensor, labels: Tensor) -> dict:
    """How many pictures, which labels, which pixels: what must be the same when a run goes on."""
    pixels = hashlib.sha256()
    for part in images.split(1000):  # not all at once: contiguous() copies what lies channels last
        pixels.update(part.contiguous().numpy())
    digest = hashlib.sha256(labels.contiguous().numpy())
    return {"number": len(labels), "labels": digest.hexdigest(), "pixels": pixels.hexdigest()}


def require_same_pictures(saved: dict, metadata: dict) -> None:
    """UserError that says what has changed in the data since the run was stopped."""
    for split, before in saved.get("pictures", {}).items():  # checkpoints of the first version of the course have none
        now = metadata["pictures"].get(split, {})
        for what in ("number", "labels", "pixels"):
            if now.get(what) != before.get(what):
                change = (
                    f"{before[what]:,} then, {now[what]:,} now" if what == "number" else "they are not what they were"
                )
                raise UserError(
                    f"the {split} pictures of {metadata['data']} have changed since the run was stopped "
                    f"({what}: {change}): bring them back, or start a new run"
                )
