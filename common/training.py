"""What changes while a network trains, and therefore stands in a checkpoint."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from common import UserError, checkpoint, distributed


@dataclass
class Tally:
    """Loss and hits over the samples of an epoch so far; of its steps, a checkpoint must know how many are done."""

    steps: int = 0
    loss: float = 0.0  # summed up, not the mean
    correct: int = 0
    count: int = 0
    seconds: float = 0.0
    pending: list[Tensor] = field(default_factory=list)  # still on the device: to read a number makes the CPU wait

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One more batch: its mean loss (), logits (B, C) and labels (B,)."""
        correct = (logits.argmax(dim=1) == labels).sum()
        self.pending.append(torch.stack([loss.detach().float() * len(labels), correct.float()]))
        self.steps += 1
        self.count += len(labels)

    def settle(self) -> int:
        """Read what was added since the last time. Returns the first step whose loss was not finite, or 0."""
        bad, step = 0, self.steps - len(self.pending)
        for loss, correct in torch.stack(self.pending).tolist() if self.pending else []:
            step += 1
            bad = bad or (0 if math.isfinite(loss) else step)
            self.loss += loss
            self.correct += int(correct)
        self.pending = []
        return bad

    def means(self) -> tuple[float, float]:
        """Loss and accuracy (0…1) over all samples, not the mean of the batches' means: the last may be smaller."""
        self.settle()
        loss, correct, count = distributed.add_up([self.loss, self.correct, self.count])
        return loss / count, correct / count


@dataclass
class Training:
    """All that changes while a network trains: what a checkpoint holds, and what --resume puts back."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    about: dict  # the options, the classes, the statistics of the pictures: it does not change, but test.py needs it
    history: list[dict] = field(default_factory=list)  # a row for each finished epoch
    best: dict = field(default_factory=lambda: {"epoch": 0, "accuracy": -math.inf})
    tally: Tally = field(default_factory=Tally)  # of the epoch that is not finished

    def save(self, path: Path, keep_old_as: Path | None = None) -> None:
        """Write everything, in process 0. UserError where a weight is not finite: what lies there stays as it is."""
        loss, correct, count = distributed.add_up([self.tally.loss, self.tally.correct, self.tally.count])
        weights = self.model.state_dict()
        if not all(value.isfinite().all() for value in weights.values()):
            raise UserError(
                f"the weights are no longer finite after epoch {len(self.history)}: start a new run with a smaller --lr"
            )
        if distributed.rank() > 0:
            return
        contents = {"state_dict": weights, "history": self.history, "epoch": len(self.history), "best": self.best}
        contents |= {"optimizer": self.optimizer.state_dict(), "schedule": self.schedule.state_dict()}
        contents["unfinished"] = [self.tally.steps, loss, int(correct), int(count), self.tally.seconds]
        contents["random"] = torch.get_rng_state()  # nothing here draws from it; a network with dropout would
        checkpoint.save(path, self.about | contents, keep_old_as)

    def restore(self, saved: dict, path: Path) -> None:
        """Put everything back where the checkpoint says it was."""
        checkpoint.load_state(self.model, saved["state_dict"], path)
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        torch.set_rng_state(saved["random"])
        self.history, self.best, self.tally = saved["history"], saved["best"], Tally(*saved["unfinished"])
        if distributed.rank() > 0:
            self.tally = Tally(steps=self.tally.steps)  # what was counted so far is counted once
