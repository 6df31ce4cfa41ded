"""Draws two kinds of pictures for the notes of Course 09: windows, and how far one number sees."""

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from common.paths import output_dir

BLUE, ORANGE, GREEN, SKY, YELLOW, PINK, GREY = (
    "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#999999",
)  # fmt: skip
image = torch.tensor(
    [
        [1.0, 4.0, 2.0, 0.0, 3.0],
        [3.0, 2.0, 6.0, 1.0, 5.0],
        [0.0, 8.0, 1.0, 7.0, 2.0],
        [5.0, 1.0, 3.0, 2.0, 4.0],
        [2.0, 6.0, 0.0, 9.0, 1.0],
    ]
)
# file, layer, and from where to where its windows reach (down and across alike; 5 is the edge of the picture)
panels = [
    ("window_2", nn.MaxPool2d(2), [(0, 2), (2, 4)]),
    ("window_3_stride_2", nn.MaxPool2d(3, stride=2), [(0, 3), (2, 5)]),
    ("ceil_mode", nn.MaxPool2d(3, ceil_mode=True), [(0, 3), (3, 6)]),
    ("adaptive", nn.AdaptiveMaxPool2d(3), [(0, 2), (1, 4), (3, 5)]),
]
four = [BLUE, ORANGE, GREEN, PINK]
nine = [BLUE, SKY, GREEN, ORANGE, GREY, PINK, "#000000", YELLOW, "#7A5195"]

# ---- The windows -----------------------------------------------------------------------------------------------------

results = {}
for name, layer, spans in panels:
    result = results[name] = layer(image[None, None])[0, 0].int().tolist()
    count, end = len(spans), max(spans[-1][1], 5)
    fig, ax = plt.subplots(figsize=(7, 7 * (end + 0.4) / 11), layout="constrained")
    seen = {n for start, stop in spans for n in range(start, min(stop, 5))}
    for i in range(5):
        for j in range(5):
            outside = i not in seen or j not in seen
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor="#EEEEEE" if outside else "white", edgecolor="#CCCCCC"))
            ax.text(
                j + 0.5, i + 0.5, int(image[i, j]), ha="center", va="center", fontsize=20,
                color=GREY if outside else "black",
            )  # fmt: skip
    for i, (top, bottom) in enumerate(spans):
        for j, (left, right) in enumerate(spans):
            colour = (four if count == 2 else nine)[i * count + j]
            inset = 0.07 + 0.06 * (i + j if count == 3 else (i + j) % 2)  # so that no two lines lie on one another
            ax.add_patch(
                FancyBboxPatch(
                    (left + inset, top + inset), right - left - 2 * inset, bottom - top - 2 * inset,
                    boxstyle="round,pad=0,rounding_size=0.15", linewidth=3, edgecolor=colour,
                    facecolor=(*to_rgb(colour), 0.13 if count == 2 else 0.05),
                )
            )  # fmt: skip
            x, y = 7.6 + j, 2.5 - count / 2 + i
            ax.add_patch(Rectangle((x, y), 1, 1, facecolor="white", edgecolor="#CCCCCC"))
            ax.add_patch(Rectangle((x + 0.08, y + 0.08), 0.84, 0.84, facecolor="none", edgecolor=colour, linewidth=3))
            ax.text(x + 0.5, y + 0.5, result[i][j], ha="center", va="center", fontsize=20, weight="bold")
    ax.annotate("", (7.35, 2.5), (6.3, 2.5), arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 2})
    ax.set(xlim=(-0.2, 10.8), ylim=(end + 0.2, -0.2), aspect="equal")
    ax.axis("off")
    fig.savefig(output_dir("Course09-Pool") / f"{name}.png", dpi=110)
    plt.close(fig)

# ---- How far one number sees -----------------------------------------------------------------------------------------

# One row of pixels at the bottom; above it what each layer makes of it. (name, window, stride)
CONV, POOL = ("conv 3", 3, 1), ("pool 2", 2, 2)
fig, axes = plt.subplots(2, 1, figsize=(8.6, 6.2), layout="constrained", height_ratios=[3, 4])
for ax, layers in zip(axes, ([CONV, CONV], [CONV, POOL, CONV]), strict=True):
    count, step = 12, 1  # numbers in the row, and how many pixels lie between two neighbours
    centres = [n + 0.5 for n in range(count)]
    levels = [("pixels", centres)]
    for name, window, stride in layers:
        starts = range(0, len(centres) - window + 1, stride)
        centres = [sum(centres[s : s + window]) / window for s in starts]
        levels.append((name, centres))
    reached = {0}  # from the top down: which numbers of each row does the first one at the top depend on?
    marked = [reached]
    for _, window, stride in reversed(layers):
        reached = {stride * n + k for n in reached for k in range(window)}
        marked.insert(0, reached)
    for height, ((name, centres), reached) in enumerate(zip(levels, marked, strict=True)):
        for n, x in enumerate(centres):
            colour = (BLUE if height == 0 else ORANGE if name == POOL[0] else GREEN) if n in reached else "white"
            ax.add_patch(
                Rectangle((x - 0.42, height - 0.25), 0.84, 0.5, facecolor=colour, edgecolor=GREY, linewidth=1.2)
            )
            if height and n in reached:
                _, window, stride = layers[height - 1]
                for k in range(window):
                    below = levels[height - 1][1][stride * n + k]
                    ax.plot([x, below], [height - 0.25, height - 0.75], color=GREY, linewidth=1.2, zorder=0)
        ax.text(-0.3, height, name, ha="right", va="center", fontsize=14)
    ax.text(
        12.3, 0, f"{len(marked[0])} pixels", ha="left", va="center", fontsize=14, color=BLUE, weight="bold",
    )  # fmt: skip
    ax.text(12.3, len(levels) - 1, "1 number", ha="left", va="center", fontsize=14, color=GREEN, weight="bold")
    ax.set(xlim=(-2, 14.4), ylim=(-0.45, len(levels) - 0.55))
    ax.axis("off")
fig.savefig(output_dir("Course09-Pool") / "field.png", dpi=110)
plt.close(fig)
