"""Course 18: draws how an epoch goes round. No part of the lesson, and nothing here has to be understood for it.

Run   python Course18-ModelTrainProcess/drawing.py
See   outputs/Course18-ModelTrainProcess/epoch.png
"""

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from common.paths import output_dir

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#555555"
WIDTH, LINE = 5.6, 0.6  # of a half; the height of a line of code
LEARN = [
    "logits = model(images)",
    "loss = loss_fn(logits, labels)",
    "optimizer.zero_grad()",
    "loss.backward()",
    "optimizer.step()",
]
MEASURE = ["logits = model(images)", "loss_sum += …", "correct += …"]


def box(axes, left, bottom, width, height, colour, **style):
    shape = "round,pad=0,rounding_size=0.15"
    axes.add_patch(FancyBboxPatch((left, bottom), width, height, boxstyle=shape, ec=colour, **style))


def arrow(axes, start, end, colour, bend=0.0):
    """An arrow between two points, (x, y) each."""
    style = {"arrowstyle": "-|>", "mutation_scale": 16, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    axes.add_patch(FancyArrowPatch(start, end, color=colour, connectionstyle=f"arc3,rad={bend}", **style))


figure = Figure(figsize=(9, 4.6), dpi=110)
axes = figure.add_axes((0, 0, 1, 1))
axes.set(xlim=(-0.2, 12.4), ylim=(-1.35, 5.7))
axes.axis("off")
for left, colour, title, before, lines, each in [
    (0.0, BLUE, "first half: learn", "model.train()", LEARN, "again for each training batch"),
    (6.6, ORANGE, "second half: measure", "model.eval(), torch.no_grad()", MEASURE, "again for each test batch"),
]:
    box(axes, left, 0, WIDTH, 5, colour, fc="none", lw=2)
    axes.text(left + WIDTH / 2, 5.3, title, ha="center", va="center", fontsize=15, weight="bold", color=colour)
    axes.text(left + 0.35, 4.6, before, va="center", family="monospace", fontsize=12)
    height = LINE * len(lines) + 0.15
    box(axes, left + 0.15, 4.2 - height, WIDTH - 0.3, height, colour, fc=colour + "18", lw=0)
    for i, line in enumerate(lines):
        axes.text(left + 0.35, 4.2 - LINE * (i + 0.62), line, va="center", family="monospace", fontsize=12)
    arrow(axes, (left + WIDTH - 0.4, 4.25 - height), (left + WIDTH - 0.4, 4.05), colour)
    axes.text(left + WIDTH - 0.25, 3.9 - height, each, ha="right", va="center", fontsize=12, color=colour)

arrow(axes, (WIDTH + 0.1, 2.7), (6.5, 2.7), GREY)
arrow(axes, (9.4, -0.1), (2.8, -0.1), GREY, bend=-0.16)
axes.text(6.1, -1.05, "print, log, save the weights; then the next epoch", ha="center", fontsize=12, color=GREY)
figure.savefig(output_dir("Course18-ModelTrainProcess") / "epoch.png")
