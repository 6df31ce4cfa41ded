"""What the checkpoints of a run say of it: what it was trained on, whether to its end, and how good it became."""

import math
from dataclasses import dataclass
from pathlib import Path

from common import checkpoint
from common.checkpoint import BEST, LAST, is_number
from common.paths import shown
from trainer.options import PRETRAINED_MODELS


@dataclass
class Record:
    """A training in numbers."""

    data: str | None  # what it was trained on, as --data would name it
    pictures: int | None  # that it was trained on; None where the file does not say
    accuracy: float | None  # 0…1, of its best epoch; None where nothing was measured
    measured_on: str  # "2,000 test pictures"; the validation pictures, where it is not finished
    limit: int | None = None  # of a quick trial: fewer pictures than there were
    is_finished: bool = True
    pretrained: str | None = None  # "course" or "imagenet", where it started from weights that were trained before

    def __str__(self):
        """One line for a person: trained on what, and how good."""
        kind = {"drawn": "drawn pictures", "cifar10": "photographs of CIFAR-10"}.get(self.data, "pictures")
        if kind == "pictures" and self.data and self.data.isprintable() and Path(self.data).is_absolute():
            kind = f"pictures of {shown(Path(self.data))}"
        count = f"{self.pictures:,} " if self.pictures else ""
        how_good = f"; {self.accuracy:.2%} right on {self.measured_on}" if self.accuracy is not None else ""
        start = f" (--pretrained {self.pretrained})" if self.pretrained else ""
        return f"trained on {count}{kind}{start}{how_good}"


def read_record(path: Path) -> Record:
    """The record in a checkpoint of train.py; beside a run's best.pt, its last.pt knows more. UserError for others."""
    last = path.with_name(LAST)
    has_last = path.name == BEST and last.exists()  # somebody may have kept the best one alone
    saved = checkpoint.load_run(last if has_last else path)
    there = {split: _whole(about.get("number")) for split, about in saved.get("pictures", {}).items()}
    options = saved["options"]
    limit, val_split, pretrained = _whole(options.get("limit")), options.get("val_split"), options.get("pretrained")
    is_trial = bool(limit) and not (there.get("training") and there["training"] <= limit)
    used = limit if is_trial else there.get("training")
    held_out = round(val_split * used) if used and is_number(0, 0.9)(val_split) else 0
    if "test" in saved:
        accuracy, count, split = saved["test"]["accuracy"], there.get("test"), "test"
    else:
        accuracy, count, split = saved["best"]["accuracy"], held_out, "validation"
    return Record(
        saved.get("data"),
        used - held_out if used else None,
        accuracy if math.isfinite(accuracy) else None,  # without validation pictures, there is none before the end
        f"{count:,} {split} pictures" if count else f"the {split} pictures",
        limit if is_trial else None,
        is_finished="test" in saved or not has_last,
        pretrained=pretrained if pretrained in PRETRAINED_MODELS else None,
    )


def _whole(value) -> int | None:
    """The value, if it is a whole number above 0."""
    return value if is_number(1, 2**53, int)(value) else None
