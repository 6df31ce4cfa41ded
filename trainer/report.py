"""What train.py prints while it goes on."""

from torch import nn

from common.models import count_parameters
from common.paths import shown
from trainer.commands import quoted
from trainer.runs import Run
from trainer.state import TrainingState


def describe_model(model: nn.Module, name: str) -> str:
    """The network by its name in MODELS, and how many numbers training may change."""
    trained, count = count_parameters(model), sum(p.numel() for p in model.parameters())
    return f"{name} ({count:,} parameters" + (")" if trained == count else f", {trained:,} of them trained)")


def print_resumed(run: Run, state: TrainingState, options: dict) -> None:
    """Where the run goes on."""
    steps = f" and {state.metrics.steps} steps" if state.metrics.steps else ""
    print(f"resuming {shown(run.folder)} after epoch {run.saved['epoch']} of {options['epochs']}{steps}")
    logdir = run.saved["options"].get("logdir")
    if logdir and not options["logdir"]:
        print(f"it was logged to {logdir}: to go on there, add {quoted('--logdir', logdir)}")


def describe(row: dict, epochs: int, is_best: bool) -> str:
    """One epoch in one line, which fits 80 columns up to 99 epochs of 999 s."""
    line = f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}"
    for split in ("train", "val"):
        if f"loss/{split}" in row:
            line += f"  {split} loss {row[f'loss/{split}']:.3f} acc {row[f'accuracy/{split}']:6.2%}"
    seconds = row["seconds"]
    line += f"  {seconds:.1f} s" if seconds < 9.95 else f"  {seconds:.0f} s"
    return line + "  best" if is_best else line
