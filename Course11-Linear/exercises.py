"""Course 11 · Linear: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. Three shapes (predict, 3 min)
# images has the shape (16, 3, 24, 32). Which shapes come out of these three lines?
#
#     nn.Linear(32, 5)(images)
#     nn.Linear(24 * 32, 5)(images.flatten(2))
#     nn.Linear(3 * 24 * 32, 5)(nn.Flatten()(images))
#
# Write a list of three shapes, such as [(1, 2), (3, 4, 5), (6,)].
shapes = ...

# %% 2. Back from a place (write, 10 min)
# (Course 00) A picture of shape (channels, height, width) is flattened. This counts
# along a row, then row after row, then channel after channel. Go the way back: where in
# the picture was the number that stands at `place` now? Places count from 0. Return
# three ints: (channel, row, column).


def where(place, height, width):
    return ...


# %% 3. A classifier swallows the batch (mend, 10 min)
# This function makes a linear classifier for pictures of the same size as those in
# `images`, (N, C, H, W). It has the fault of section 10. Mend it: the network must give
# num_classes scores for each picture, in batches of any size.


def linear_classifier(images, num_classes):
    numbers = torch.flatten(images)
    return nn.Sequential(nn.Flatten(start_dim=0), nn.Linear(len(numbers), num_classes))


# %% 4. The nearest mean (write, 15 min)
# The mean m of all pictures of a class is a template, too, and needs no training. A new
# picture x belongs to the class whose m is nearest, where the squares of all
# differences have the smallest sum. For each class this sum is
#
#     sum of x * x  -  2 * (sum of m * x)  +  sum of m * m
#
# The first part is the same for all classes. So the class is the one with the largest
#
#     (sum of m * x)  -  (sum of m * m) / 2
#
# That is a linear layer: weights times x, plus a bias. Return this nn.Linear. It takes
# rows of C * H * W numbers and gives num_classes scores. images is (N, C, H, W), labels
# is (N,), and each class from 0 to num_classes - 1 occurs in it.
#
# (Course 10) You set its numbers with `with torch.no_grad(): layer.weight.copy_(...)`,
# and those of layer.bias alike.


def nearest_mean(images, labels, num_classes):
    return ...


# %% 5. A convolution as a linear layer (write, 20 min)
# (Course 08) In section 8 of this lesson a linear layer becomes a convolution. Do the
# opposite: return the nn.Linear that does with flattened pictures what conv does with
# pictures (C, height, width). as_linear(conv, height, width)(images.flatten(1)) must
# equal conv(images).flatten(1), for each stride and padding. conv has a bias. You may
# call it.
#
# One way: give conv pictures in which a single number is 1 and all others are 0. What
# do they tell you about the weight of the linear layer?


def as_linear(conv, height, width):
    return ...


# %% Check
from practice import check

check("Course11-Linear", globals())
