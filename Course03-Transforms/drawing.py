"""Draws one picture for the notes of Course 03: steps.png, an ant and its numbers after each step of the chain.

Run   python Course03-Transforms/drawing.py
See   outputs/Course03-Transforms/
"""

import contextlib
import io

import matplotlib.pyplot as plt
import torch
from torchvision.transforms import v2

from common.data import ants_bees, in_memory, mean_and_std
from common.paths import output_dir

COLOURS = {"red": "#D55E00", "green": "#009E73", "blue": "#0072B2"}

with contextlib.redirect_stdout(io.StringIO()):  # the lesson has said which pictures these are
    pictures = ants_bees("train")
mean, std = mean_and_std(in_memory(pictures, 48)[0])

picture, _ = pictures[4]
as_bytes = v2.ToImage()(picture)
cut = v2.CenterCrop(48)(v2.Resize(54)(as_bytes))
scaled = v2.ToDtype(torch.float32, scale=True)(cut)
normalized = v2.Normalize(mean, std)(scaled)
steps = [
    ("ToImage", as_bytes, (0, 255), "byte"),
    ("Resize, CenterCrop", cut, (0, 255), "byte"),
    ("ToDtype, scale=True", scaled, (0, 1), "float"),
    ("Normalize", normalized, (-3, 3), "float"),
]

fig, axes = plt.subplots(2, 4, figsize=(9, 4.6), layout="constrained", height_ratios=(1.25, 1))
for column, (name, image, (low, high), kind) in zip(axes.T, steps, strict=True):
    looked_at = image if image.dtype == torch.uint8 else image.clamp(0, 1)
    column[0].imshow(looked_at.permute(1, 2, 0).numpy(), interpolation="nearest")
    column[0].set_title(f"{name}\n{tuple(image.shape)}", fontsize=11)
    height, width = image.shape[1:]
    blank = (max(height, width) - height) / 2 + 0.5  # room above and below a wide picture, so all titles are level
    column[0].set_ylim(height + blank - 1, -blank)
    column[0].axis("off")
    for channel, (colour, code) in zip(image, COLOURS.items(), strict=True):
        counts = torch.histc(channel.float(), bins=40, min=low, max=high)
        edges = torch.linspace(low, high, 41)
        column[1].stairs((counts / counts.sum()).numpy(), edges.numpy(), color=code, linewidth=1.8, label=colour)
    ticks = [0, 128, 255] if kind == "byte" else [low, (low + high) / 2, high]
    column[1].set(xlim=(low, high), ylim=(0, None), yticks=[], xticks=ticks, xlabel=f"number in the tensor ({kind})")
    column[1].tick_params(labelsize=11)
axes[1, 0].set_ylabel("share of pixels", fontsize=11)
axes[1, 0].legend(frameon=False, fontsize=10)
fig.savefig(output_dir("Course03-Transforms") / "steps.png", dpi=110)
