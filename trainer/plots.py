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

    images: square, (H, H, 3) uint8 arrays or PIL pictures; probabilities: (N, num_classes).
    """
    columns = min(columns, len(images))
    tall = 1.86 if labels is None else 2.04  # of a picture with its line or two, in inches
    width, height = 1.6 * columns, tall * -(-len(images) // columns)
    names = [name if len(name) <= 16 else f"{name[:15]}…" for name in classes]  # no wider than a picture
    figure = Figure(figsize=(width, height), dpi=90)
    axes = figure.add_axes((0, 0, 1, 1))  # one for all pictures: an axes for each takes four times as long
    for i, (image, shares) in enumerate(zip(images, probabilities, strict=True)):
        x, y = 1.6 * (i % columns), tall * (i // columns + 1)  # of the lower left corner
        sure, guess = shares.max(dim=0)
        title, colour = f"{names[guess]} {sure:.0%}", "black"
        if labels is not None:
            colour = BLUE if guess == labels[i] else ORANGE
            title += "" if guess == labels[i] else f"\nnot {names[labels[i]]}"
        axes.imshow(np.asarray(image), extent=(x + 0.05, x + 1.55, y - 0.07, y - 1.57), aspect="auto")
        axes.text(x + 0.8, y - 1.62, title, ha="center", va="bottom", fontsize=9, color=colour, parse_math=False)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
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
