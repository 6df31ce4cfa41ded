"""Draws the pictures for the notes of Course 09 that explain windows, and how far one number sees."""

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from common.paths import output_dir

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999"
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


def numbers(ax, table, x, y, seen=None, weight="normal"):
    """A table of numbers, its top left corner at (x, y); rows and columns that no window sees are grey."""
    for i, row in enumerate(table):
        for j, number in enumerate(row):
            dropped = seen is not None and not {i, j} <= seen
            face, colour = ("#EEEEEE", GREY) if dropped else ("white", "black")
            ax.add_patch(Rectangle((x + j, y + i), 1, 1, facecolor=face, edgecolor="#CCCCCC"))
            at = {"x": x + j + 0.5, "y": y + i + 0.5, "ha": "center", "va": "center"}
            ax.text(**at, s=int(number), fontsize=20, color=colour, weight=weight)


def frame(ax, x, y, width, height, colour, tint=0.0):
    """A window with round corners, tinted a little."""
    ax.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.15", linewidth=3, edgecolor=colour,
            facecolor=(*to_rgb(colour), tint),
        )
    )  # fmt: skip


def bar(ax, start, stop, away, colour, across):
    """A thick line from start to stop: above the table (across), or on its left."""
    along, beside = [start + 0.08, stop - 0.08], [away, away]
    ax.plot(*((along, beside) if across else (beside, along)), color=colour, linewidth=6, solid_capstyle="butt")


# ---- The windows -----------------------------------------------------------------------------------------------------

results = {}
for name, layer, spans in panels:
    result = results[name] = layer(image[None, None])[0, 0].int().tolist()
    count, end = len(spans), max(spans[-1][1], 5)
    x, y = 7.6, 2.5 - count / 2  # the top left corner of the result
    nearest = -1.0 if count == 3 else -0.2  # the bars need room
    width, height = 10.8 - nearest, end + 0.2 - nearest
    fig, ax = plt.subplots(figsize=(7, 7 * height / width), layout="constrained")
    numbers(ax, image, 0, 0, seen={n for first, stop in spans for n in range(first, stop)})
    numbers(ax, result, x, y, weight="bold")
    if count == 2:
        inset = 0.14 if spans[0][1] > spans[1][0] else 0.07
        size = spans[0][1] - 2 * inset
        for i, (top, _) in enumerate(spans):
            for j, (left, _) in enumerate(spans):
                colour = four[2 * i + j]
                # Windows that overlap are shifted a little, so that no two lines lie on one another.
                right_by, down_by = (0.05 * (2 * n - 1) if inset > 0.1 else 0 for n in (i, j))
                frame(ax, left + inset + right_by, top + inset + down_by, size, size, colour, tint=0.13)
                frame(ax, x + j + 0.08, y + i + 0.08, 0.84, 0.84, colour)
    else:  # nine windows would hide one another: a bar for each column and each row, and one window
        for n, ((first, stop), colour) in enumerate(zip(spans, four[:3], strict=True)):
            away = -0.3 - 0.3 * (n % 2)  # neighbours overlap
            bar(ax, first, stop, away, colour, across=True)
            bar(ax, x + n, x + n + 1, y - 0.3, colour, across=True)
            bar(ax, first, stop, away, colour, across=False)
            bar(ax, y + n, y + n + 1, x - 0.3, colour, across=False)
        (first, stop), inset = spans[1], 0.07
        frame(ax, first + inset, first + inset, stop - first - 2 * inset, stop - first - 2 * inset, four[1], tint=0.13)
        frame(ax, x + 1.08, y + 1.08, 0.84, 0.84, four[1])
    ax.annotate("", (7.0, 2.5), (end + 0.3, 2.5), arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 2})
    ax.set(xlim=(nearest, 10.8), ylim=(end + 0.2, nearest), aspect="equal")
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
