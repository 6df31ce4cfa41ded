"""The pictures that train.py and test.py draw. They need no screen, and their colours suit the colour-blind."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from common.paths import atomic_write
from trainer.loader import MemoryLoader

BLUE, ORANGE = "#0072B2", "#D55E00"  # from Okabe and Ito, Color Universal Design, 2008


def save_figure(figure: Figure, path: Path) -> None:
    """Save as a PNG, whole or not at all."""
    with atomic_write(path) as beside:
        figure.savefig(beside)


def plot_curves(history: list[dict], test: dict | None = None) -> Figure:
    """Loss and accuracy by epoch, with the test split's numbers at the epoch whose weights were chosen.

    A row of history has "epoch", "loss/train", "accuracy/train" (0…1) and, with validation pictures, "loss/val" and
    "accuracy/val"; test has "epoch", "loss" and "accuracy".
    """
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name, scale in zip(figure.subplots(1, 2), ("loss", "accuracy"), (1, 100), strict=True):
        for split, label, colour in (("train", "training", BLUE), ("val", "validation", ORANGE)):
            if f"{name}/{split}" in history[-1]:
                values = [row[f"{name}/{split}"] * scale for row in history]
                axes.plot(epochs, values, "o-", color=colour, markersize=4, label=label)
        if test:
            axes.plot(test["epoch"], test[name] * scale, "k*", markersize=12, label="test, measured once")
        axes.set(title="accuracy in %" if name == "accuracy" else name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def plot_predictions(
    images: list, probabilities: Tensor, classes: list[str], labels: list[int] | None = None, columns: int = 8
) -> Figure:
    """A page of pictures, each with what the network takes it for and how sure it is; with labels, mistakes in orange.

    images: (H, W, 3) uint8 arrays or PIL pictures; probabilities: (N, num_classes).
    """
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.6 * columns, 2.05 * rows), dpi=90, layout="constrained")
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i >= len(images):
            continue
        sure, guess = probabilities[i].max(dim=0)
        title, colour = f"{classes[guess]} {sure:.0%}", "black"
        if labels is not None:
            colour = BLUE if guess == labels[i] else ORANGE
            title += "" if guess == labels[i] else f"\nnot {classes[labels[i]]}"
        axes.imshow(np.asarray(images[i]))
        axes.set_title(title, fontsize=9, color=colour)
    return figure


@torch.no_grad()
def predictions_page(model: nn.Module, loader: MemoryLoader, classes: list[str]) -> Figure:
    """The first pictures of the loader, 32 at most, with what the model takes them for."""
    model.eval()
    images, labels = next(iter(loader))
    count = min(32, len(labels))
    probabilities = model(images[:count]).float().softmax(dim=1).cpu()
    return plot_predictions(list(loader.images[:count].cpu()), probabilities, classes, labels[:count].tolist())


def plot_confusion(confusion: Tensor, classes: list[str]) -> Figure:
    """The confusion matrix (true class, predicted class), int64 (C, C), each row in per cent of its class."""
    share = 100 * confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    side = 3 + 0.5 * len(classes)
    figure = Figure(figsize=(side, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=100)
    axes.set(xlabel="the network says", ylabel="the picture shows")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    for row, column in np.ndindex(*confusion.shape):
        if confusion[row, column] and len(classes) <= 30:
            ink = "white" if share[row, column] > 55 else "black"
            text = f"{share[row, column]:.0f}" if share[row, column] >= 1 else "<1"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9)
    axes.set_title("each row in % of its pictures", fontsize=10)
    return figure
