"""Draws one picture for the notes of Course 04: bytes.png, how a line of 3,072 bytes becomes a picture.

Run   python Course04-TorchvisionDatasets/drawing.py
See   outputs/Course04-TorchvisionDatasets/
"""

import contextlib
import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import ConnectionPatch, Rectangle

from common.data import cifar10
from common.paths import output_dir

COLOURS = {"red": "#D55E00", "green": "#009E73", "blue": "#0072B2"}
MARK = "#E69F00"

with contextlib.redirect_stdout(io.StringIO()):  # the lesson has said which pictures these are
    pictures = cifar10(train=True)
picture = pictures.data[pictures.targets.index(1)]  # (32, 32, 3): an automobile
row = picture.transpose(2, 0, 1).reshape(-1)  # (3072,): as it stands in the file


def tinted(numbers, channel):
    """Numbers (H, W) as a picture (H, W, 3) that has this one channel only."""
    shown = np.zeros((*numbers.shape, 3), np.uint8)
    shown[..., channel] = numbers
    return shown


def arrow(start, end, colour="#999999", width=2.0):
    """An arrow from (axes, x, y) to (axes, x, y)."""
    (a, *here), (b, *there) = start, end
    patch = ConnectionPatch(here, there, a.transData, b.transData, arrowstyle="-|>", color=colour, linewidth=width)
    patch.set_mutation_scale(16)
    fig.add_artist(patch)


fig = plt.figure(figsize=(8.6, 5.6))
strip = fig.add_axes((0.03, 0.80, 0.94, 0.09))
planes = [fig.add_axes((left, 0.40, 0.17, 0.261)) for left in (0.095, 0.415, 0.735)]
stack = fig.add_axes((0.24, 0.01, 0.26, 0.30))
result = fig.add_axes((0.66, 0.03, 0.17, 0.261))

for channel, (name, colour) in enumerate(COLOURS.items()):
    start = 1024 * channel
    part = row[start : start + 1024][None]  # (1, 1024)
    strip.imshow(tinted(part, channel), extent=(start, start + 1024, 0, 1), aspect="auto", interpolation="nearest")
    strip.text(start + 512, 1.25, f"{name}: 1,024 bytes", color=colour, ha="center", fontsize=12)
    plane = planes[channel]
    plane.imshow(tinted(picture[:, :, channel], channel), extent=(0, 32, 32, 0), interpolation="nearest")
    plane.set(xticks=[], yticks=[])
    plane.set_xlabel("32 columns", fontsize=11)
    plane.set_ylabel("32 rows", fontsize=11)
    arrow((strip, start + 512, -0.1), (plane, 16, -1), colour)
    shift = 7 * channel
    stack.imshow(
        tinted(picture[:, :, channel], channel),
        extent=(shift, shift + 32, shift + 32, shift),
        interpolation="nearest",
        zorder=3 - channel,
    )
    stack.add_patch(Rectangle((shift, shift), 32, 32, fill=False, edgecolor="white", linewidth=1.5, zorder=3 - channel))
strip.add_patch(Rectangle((0, 0), 32, 1, fill=False, edgecolor=MARK, linewidth=3, clip_on=False, zorder=5))
planes[0].add_patch(Rectangle((0, 0), 32, 1, fill=False, edgecolor=MARK, linewidth=3, clip_on=False, zorder=5))
strip.set(xlim=(0, 3072), ylim=(0, 1), yticks=[], xticks=[])
fig.text(0.03, 0.955, "one row of the file: 3,072 bytes (marked: the first 32)", fontsize=12)
fig.text(0.255, 0.72, "view(3, 32, 32)", fontsize=12, family="monospace")
stack.set(xlim=(-1, 47), ylim=(47, -1))
stack.axis("off")
fig.text(0.03, 0.16, "the three planes,\nstacked", fontsize=12, va="center")
result.imshow(picture, interpolation="nearest")
result.set(xticks=[], yticks=[])
fig.text(0.85, 0.16, "each pixel:\nred, green, blue", fontsize=11, va="center")
arrow((stack, 48, 23), (result, -2, 16))
fig.savefig(output_dir("Course04-TorchvisionDatasets") / "bytes.png", dpi=100)
