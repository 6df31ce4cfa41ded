"""Draws three pictures for the notes of Course 13, into outputs/Course13-LossFunc."""

import math

import matplotlib.pyplot as plt
import torch
from torch import nn

from common.paths import output_dir

folder = output_dir("Course13-LossFunc")
blue, orange, green = "#0072B2", "#D55E00", "#009E73"

# The losses of one error, and of one answer for five targets
offsets = torch.linspace(-3, 3, 301)
zero = torch.zeros_like(offsets)
targets = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
constants = torch.linspace(0, 40, 401)
difference = constants[:, None] - targets  # (401, 1) - (5,) -> (401, 5)
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
axes[0].plot(offsets, nn.L1Loss(reduction="none")(offsets, zero), color=blue, label="L1")
axes[0].plot(offsets, nn.MSELoss(reduction="none")(offsets, zero), "--", color=orange, label="MSE")
axes[0].plot(offsets, nn.HuberLoss(reduction="none")(offsets, zero), ":", color=green, linewidth=2.5, label="Huber")
axes[0].set(title="the loss of one error", xlabel="error (output - target)", ylim=(-0.2, 5))
means = (("L1", difference.abs().mean(dim=1), blue, "-"), ("MSE", (difference**2).mean(dim=1), orange, "--"))
for name, mean, colour, style in means:
    axes[1].plot(constants, mean / mean.min(), style, color=colour, label=name)
    axes[1].plot(constants[mean.argmin()], 1, "o", color=colour, markersize=9)
    axes[1].annotate(f"{constants[mean.argmin()]:.0f}", (constants[mean.argmin()], 1.05), ha="center", color=colour)
axes[1].set(title="one answer for 1, 2, 3, 4 and 100", xlabel="answer", ylabel="mean loss / lowest mean loss")
for ax in axes:
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
fig.savefig(folder / "errors.png", dpi=110)

# Cross-entropy against the probability of the right class
p_right = torch.linspace(0.004, 1, 400)
marks = [  # probability, loss, text, where the text stands
    (math.exp(-5.01), 5.01, "sure and wrong: 5.01", (0.13, 4.9)),
    (1 / 10, math.log(10), "no idea, ten classes: 2.30", (0.22, 2.6)),
    (1 / 3, math.log(3), "no idea, three classes: 1.10", (0.44, 1.5)),
    (math.exp(-0.01), 0.01, "sure and right: 0.01", (0.68, 0.6)),
]
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(p_right, -p_right.log(), color=blue)
for p, loss, text, place in marks:
    ax.plot(p, loss, "o", color=orange, markersize=8)
    ax.annotate(text, (p, loss), place, fontsize=12, va="center", arrowprops={"arrowstyle": "-", "color": "#999999"})
ax.set_title(r"cross-entropy: $-\ln p$", fontsize=13)
ax.set_xlabel("probability $p$ that the network gives to the right class", fontsize=12)
ax.set_ylabel("loss", fontsize=12)
ax.grid(alpha=0.3)
fig.savefig(folder / "cross_entropy.png", dpi=110)

# Softmax once and twice
gap = torch.linspace(-8, 12, 201)  # how far the right logit is above nine others, which are 0
logits = torch.cat([gap[:, None], torch.zeros(201, 9)], dim=1)  # (201, 10)
right = torch.zeros(201, dtype=torch.long)
each_loss = nn.CrossEntropyLoss(reduction="none")
fig, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.plot(gap, each_loss(logits, right), color=blue, label="softmax once")
ax.plot(gap, each_loss(torch.softmax(logits, dim=1), right), "--", color=orange, label="softmax twice")  # on purpose
ax.annotate("never below 1.46", (10, 1.46), (7, 2.2), fontsize=12, color=orange)
ax.annotate("flat: almost no gradient", (-6, 2.4), (-8.4, 1.8), fontsize=12, color=orange)
ax.set_xlabel("logit of the right class (the nine others are 0)", fontsize=12)
ax.set_ylabel("loss", fontsize=12)
ax.set_ylim(-0.3, 6)
ax.grid(alpha=0.3)
ax.legend(frameon=False, fontsize=12)
fig.savefig(folder / "softmax_twice.png", dpi=110)
