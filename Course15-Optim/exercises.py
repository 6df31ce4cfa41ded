"""Course 15 · Optim: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import math

import torch
from torch import nn

# %% 1. Momentum on paper (predict, 5 min)
# The loss is w² / 2, so its gradient is w. Start at w = 4. Where is w after each of
# three steps of SGD with lr=0.5 and momentum=0.5? The speed begins at 0. Write three
# numbers, such as (3, 2.5, 1).
walk = ...

# %% 2. The whole loop (write, 10 min)
# Write the loop for one epoch from memory. batches is a list of (images, labels), and
# loss_fn is called as in section 3. Put the model into training mode first. Make one
# step for each batch. Return the list of the losses of all batches, as Python floats.


def train(model, loss_fn, optimizer, batches):
    return ...


# %% 3. Forgotten parameters (write, 10 min)
# (Course 06) In section 10, the optimizer did not hold the new layer. Find this
# mistake: return a list with the names of all parameters of the model that the
# optimizer does not hold, in the order of model.named_parameters().
#
# optimizer.param_groups is a list of dictionaries, usually only one. In each of them,
# "params" is a list of parameters. Two parameters can have equal numbers and still not
# be the same one: `a is b` is True only for the same one.


def forgotten(model, optimizer):
    return ...


# %% 4. A learning rate (find out, 10 min)
# loss_after trains a small network for 100 steps of SGD, on two rings of points as in
# Course 10, and returns the last loss. Without training the loss is 0.69. Find a
# learning rate for which it ends below 0.1. Try: write print(loss_after(0.001)) at the
# end of this cell, and run this file or this cell.


def loss_after(lr):
    torch.manual_seed(15)
    angles, radii = torch.linspace(0, 6.2, 60), torch.tensor([1.0, 2.0]).repeat(30)
    points = torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1)  # (60, 2)
    labels = (radii > 1.5).long()
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(100):
        optimizer.zero_grad()
        loss = loss_fn(model(points), labels)
        loss.backward()
        optimizer.step()
    return loss.item()


learning_rate = ...


# %% 5. Adam (write, 20 min)
# Section 7 of optimizers.py has Adam as a function, for one tensor. Write it as an
# optimizer for all parameters of a network, without torch.optim. It is used as in
# section 3:
#
#     optimizer = MyAdam(model.parameters(), lr=0.1)
#     optimizer.zero_grad()       then every .grad is None
#     optimizer.step()            moves the parameters themselves: it makes no new ones
#
# betas is (β1, β2), eps is ε of section 7. If the .grad of a parameter is None, the
# parameter stays where it is. After ten steps, every parameter must be where
# torch.optim.Adam leads.
#
# Parameters may be changed under torch.no_grad() only. model.parameters() can be looped
# over only once: keep list(parameters).


class MyAdam:
    def __init__(self, parameters, lr, betas=(0.9, 0.999), eps=1e-8): ...

    def zero_grad(self): ...

    def step(self):
        return ...


# %% Check
from practice import check

check("Course15-Optim", globals())
