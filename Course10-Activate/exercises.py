"""Course 10 · Activate: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. Two bends (predict, 6 min)
# bend(x) is 2 * relu(x + 1) - 3 * relu(x - 1). What are its values at x = -2, x = 0 and
# x = 3? And (Course 00) what are its slopes there? Write down six numbers: the three
# values, then the three slopes, such as (1, 2, 3, 4, 5, 6).
values_then_slopes = ...

# %% 2. Stable softmax (write, 12 min)
# Write softmax along axis `dim`, without PyTorch's own. logits is a float tensor with
# one axis or more. The formula of section 8 fails for large logits: exp(1000) is
# infinite, and infinite / infinite is not a number, nan. But only differences count:
# subtract something before exp. `x.amax(dim=dim, keepdim=True)` is the largest number
# along dim. The axis stays, with length 1.


def softmax(logits, dim):
    return ...


# %% 3. Merged layers (write, 12 min)
# first and second are two nn.Linear, without an activation between them. Both have a
# bias. Return one new nn.Linear that gives the same as second(first(x)) for each x, as
# in section 5. The two layers stay as they are. Two things help: nn.Linear(3, 2).weight
# has the shape (2, 3). And to write numbers into a layer, use
# `with torch.no_grad(): layer.weight.copy_(numbers)`.


def merge(first, second):
    return ...


# %% 4. The rings (mend, 10 min)
# The network should tell the two rings of section 3 apart: (N, 2) goes in, (N, 1) comes
# out, above zero for class 1 and below zero for class 0. There is an activation in it.
# But after training, it is wrong for many of the points. Mend it. The judge trains it
# as section 3 does, for 100 steps. Then at least 95% of the points must be right.


def build():
    return nn.Sequential(
        nn.Linear(2, 16),
        nn.Linear(16, 16),
        nn.Linear(16, 1),
        nn.ReLU(),
    )


# %% 5. Through given points (write, 20 min)
# Training is not the only way to find weights. Write them yourself: a network that
# draws any line of straight pieces. xs and ys are lists of two or more floats, and xs
# rises. Return
#
#     nn.Sequential(nn.Linear(1, n), nn.ReLU(), nn.Linear(n, 1))
#
# that gives ys[i] at xs[i], for x of shape (N, 1), and goes straight from each point to
# the next. Left of the first point and right of the last one, it may do as it likes.
#
# The idea: hidden number i is relu(x - xs[i]). It is 0 up to xs[i], and then it rises.
# So the slope can change at each point. How much must it change there? The second layer
# says how much of each hidden number is taken, and its bias says where the line begins.


def line_through(xs, ys):
    return ...


# %% Check
from practice import check

check("Course10-Activate", globals())
