"""Course 00 · Tensors: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch

# %% 1. Which shape? (predict, 3 min)
# images has the shape (64, 3, 32, 48). What is the shape of
#
#     images[8, :, 4:30, ::2].permute(1, 2, 0).unsqueeze(0)
#
# Work it out on paper, step by step, and write it down, such as (1, 2, 3).
shape = ...

# %% 2. Middle squares (write, 10 min)
# pictures is a tensor of bytes: N colour pictures, in the shape (N, H, W, 3). Cut a
# square of size * size pixels out of the middle of each: it begins in row
# (H - size) // 2 and in column (W - size) // 2. Return the squares as PyTorch needs
# them: in the shape (N, 3, size, size), as float32, and from 0 to 1.


def middle_squares(pictures, size):
    return ...


# %% 3. A strict loss (write, 8 min)
# Return the mean of the squared differences of two tensors, as a tensor of shape ().
# Somebody will call backward() on it. If the shapes of the two are not the same,
# compute nothing (section 11 shows why). Stop with a ValueError, in a line such as
#
#     raise ValueError("what is wrong")


def mse(answers, targets):
    return ...


# %% 4. Downhill (mend, 10 min)
# x walks down the curve f, as in section 10. It begins at start, a float; steps is the
# number of its steps. The function returns where x arrives, as a float. But this x does
# not walk downhill. Two things are wrong. Mend them.


def walk(f, start, rate, steps):
    x = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        f(x).backward()
        with torch.no_grad():
            x += rate * x.grad
    return x.item()


# %% 5. Fit a line (write, 20 min)
# The smallest network: its answers are weight * inputs + bias. Both numbers start at 0.
# Train them: in each step, the loss is the mean of the squared differences between the
# answers and the targets. backward() leaves one slope in weight.grad and one in
# bias.grad, and each number takes a step against its own slope. Return the pair
# (weight, bias) after all steps, as floats or as tensors. inputs is a column, (N, 1).
# targets is a row, (N,).


def fit_line(inputs, targets, rate, steps):
    return ...


# %% Check
from practice import check

check("Course00-Tensors", globals())
