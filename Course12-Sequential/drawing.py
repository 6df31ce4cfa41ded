"""Draws the course CNN as blocks, for the notes of Course 12: outputs/Course12-Sequential/network.png

Height and slant of a block are the height and width of its feature maps; its length is the number of channels.
"""

import matplotlib.pyplot as plt

from common.paths import output_dir

blue, orange, green, pink = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
blocks = [  # the layer, channels, height and width, colour
    ("picture", 3, 32, "#999999"),
    ("conv1", 32, 32, blue),
    ("pool1", 32, 16, orange),
    ("conv2", 32, 16, blue),
    ("pool2", 32, 8, orange),
    ("conv3", 64, 8, blue),
    ("pool3", 64, 4, orange),
]
vectors = [("flatten", 1024, 30, pink), ("linear1", 64, 14, green), ("linear2", 10, 6, green)]
thick, slant = 0.34, 0.3  # one channel; how far to the right, and up, one column of the picture goes

fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
x, middle = 0.0, 20.0
for name, channels, size, colour in blocks:
    wide, shift = channels * thick, size * slant
    low, high = middle - size * 0.62, middle + size * 0.62 - shift
    front = [(x, low), (x + wide, low), (x + wide, high), (x, high)]
    top = [(x, high), (x + wide, high), (x + wide + shift, high + shift), (x + shift, high + shift)]
    side = [(x + wide, low), (x + wide + shift, low + shift), (x + wide + shift, high + shift), (x + wide, high)]
    for face, strength in ((front, 0.55), (top, 0.3), (side, 0.8)):
        ax.add_patch(plt.Polygon(face, facecolor=colour, alpha=strength, edgecolor="black", linewidth=0.8))
    centre = x + (wide + shift) / 2
    ax.text(centre, -3.2, name, ha="center", fontsize=12, color=colour if name != "picture" else "black")
    ax.text(centre, -6.8, f"{channels}×{size}×{size}", ha="center", fontsize=11)
    x += max(wide + shift, 11) + 5.5
for name, count, height, colour in vectors:
    ax.add_patch(plt.Rectangle((x + 3, middle - height / 2), 2, height, facecolor=colour, edgecolor="black", alpha=0.7))
    ax.text(x + 4, -3.2, name, ha="center", fontsize=12, color=colour)
    ax.text(x + 4, -6.8, str(count), ha="center", fontsize=11)
    x += 15
ax.text(45, 36, "length = channels, height and depth = rows and columns", fontsize=12)
ax.set(xlim=(-3, x - 2), ylim=(-9, 42))
ax.set_aspect("equal")
ax.axis("off")
fig.savefig(output_dir("Course12-Sequential") / "network.png", dpi=110)
