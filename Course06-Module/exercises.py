"""Course 06 · Module: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. What can change? (predict, 5 min)
# How many numbers can training change in Puzzle()? Count them on paper, then write down
# the number.


class Puzzle(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.shift = torch.zeros(4)
        self.dropout = nn.Dropout(0.5)
        self.more = [nn.Linear(4, 4), nn.Linear(4, 4)]
        self.last = nn.Linear(4, 3)


count = ...

# %% 2. Your own Linear (write, 12 min)
# Write nn.Linear without nn.Linear. MyLinear(3, 2) takes a batch x of shape (N, 3) and
# returns (N, 2). As in nn.Linear, its two parameters are called weight, of shape
# (2, 3), and bias, of shape (2,). The weights begin as random numbers (torch.randn),
# the bias as you like.
#
# `a @ b` is the matrix product: each row of a times each column of b, added up.
# `weight.T` is weight with rows and columns exchanged. The layer computes
# `x @ weight.T + bias`.


class MyLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        ...

    def forward(self, x):
        return ...


# %% 3. Accuracy of a loader (mend, 10 min)
# (Course 05) The share of right answers over all pictures that a loader gives, as a
# Python float. The function is almost right, and no error appears. Mend it.


def accuracy(model, loader):
    model.eval()
    shares = []
    with torch.no_grad():
        for images, labels in loader:
            answers = model(images).argmax(dim=1)
            shares.append((answers == labels).float().mean().item())
    return sum(shares) / len(shares)


# %% 4. Predict cleanly (write, 10 min)
# Return the logits of the images: model(images), in evaluation mode, and without
# recording gradients. Afterwards, all is as it was before: a model that was in training
# mode is in training mode again, and one that was in evaluation mode stays there.
# `model.train(True)` is model.train(), and `model.train(False)` is model.eval().


def predict(model, images):
    return ...


# %% 5. Layers from a list (write, 20 min)
# Mlp([3072, 64, 32, 10]) flattens pictures to 3,072 numbers and makes 64, then 32, then
# 10 numbers of them, with a nn.Linear for each step. A ReLU follows each of these
# layers but the last: logits may be negative. The list has two widths or more. All
# layers must be registered, in their order, and widths itself stays as it is. (MLP is
# short for multilayer perceptron, the usual name of such a network.)


class Mlp(nn.Module):
    def __init__(self, widths):
        super().__init__()
        ...

    def forward(self, images):
        return ...


# %% Check
from practice import check

check("Course06-Module", globals())
