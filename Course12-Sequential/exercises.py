"""Course 12 · Sequential: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. Larger pictures (predict, 5 min)
# The pictures are now (3, 48, 64): 48 rows and 64 columns. The layers in front of
# Flatten stay as they are. How many numbers does the first linear layer take
#
#     in the course CNN (section 2)
#     in LeNet (section 6)
#
# Write both, such as (100, 200).
in_features = ...

# %% 2. Two halves (write, 10 min)
# Many programs use a network in two parts. `network` is a Sequential in which one layer
# is an nn.Flatten. Return two Sequentials: the layers before Flatten, and all layers
# from Flatten on. They share the layers of network, and network itself stays as it is.
# The same layer, such as a ReLU, may stand in it several times.


def split_at_flatten(network):
    return ...


# %% 3. Three branches (mend, 10 min)
# Three convolutions, with kernels of 1, 3 and 5 pixels, look at the same pictures.
# Their maps become the channels of one output: (N, in_channels, H, W) -> (N, 3 * width,
# H, W). The class has two faults. One gives an error. The other gives none, but
# training would never change the convolutions. Mend both.


class Branches(nn.Module):
    def __init__(self, in_channels, width):
        super().__init__()
        self.branches = []
        for k in (1, 3, 5):
            self.branches.append(nn.Conv2d(in_channels, width, kernel_size=k, padding=k // 2))
        self.norm = nn.BatchNorm2d(3 * width)

    def forward(self, images):
        maps = [branch(images) for branch in self.branches]
        return self.norm(torch.cat(maps))


# %% 4. Layers that do nothing (write, 15 min)
# (Course 06) A layer stands in __init__ and is forgotten in forward. It is counted and
# saved, and it never learns. Find it: return a list with the names of all parameters
# that have no part in model(batch), in the order of model.named_parameters().
#
# After model(batch).sum().backward(), the .grad of such a parameter is None. But before
# your function is called, there may be old gradients in the model. Clear them first.
# When your function returns, every .grad must be None.


def unused(model, batch):
    return ...


# %% 5. A network from a list (write, 20 min)
# Networks are often written as a list. The course CNN is
#
#     plan = [32, "pool", 32, "pool", 64, "pool"]
#
# A number is a convolution 5x5 with so many output channels, padding=2 and bias=False,
# then BatchNorm, then ReLU. "pool" is nn.MaxPool2d(2). The first convolution gets three
# channels. Behind the list come Flatten, a linear layer to 64 numbers, a ReLU and a
# linear layer to num_classes. Any list must work, and any size of the pictures.
#
# Return the network. build(plan, 10, 32, 32) with the plan above has 145,706
# parameters.


def build(plan, num_classes, height, width):
    return ...


# %% Check
from practice import check

check("Course12-Sequential", globals())
