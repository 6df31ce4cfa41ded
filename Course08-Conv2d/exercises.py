"""Course 08 · Conv2d: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. The shape that comes out (predict, 3 min)
# images has the shape (64, 3, 32, 32). What is the shape of conv(images) for
#
#     conv = nn.Conv2d(3, 6, kernel_size=3, stride=2)
#
# Work it out on paper and write it down, such as (1, 2, 3, 4).
shape = ...

# %% 2. The size formula, with dilation (write, 10 min)
# A kernel with dilation d leaves d - 1 pixels out between its weights. Give the height
# that comes out of nn.Conv2d, as an int. No layer is needed for it.


def output_size(size, kernel_size, stride=1, padding=0, dilation=1):
    return ...


# %% 3. How many numbers are learned? (write, 10 min)
# How many parameters has nn.Conv2d with these arguments? Return an int. kernel_size is
# one number: kernels are square. With groups=2, the channels are split into two halves:
# each kernel sees only the input channels of its own half. With more groups, it sees a
# smaller share of them.


def count_parameters(in_channels, out_channels, kernel_size, groups=1, bias=True):
    return ...


# %% 4. Six maps in a row (mend, 10 min)
# This function puts the maps of each image side by side: (N, C, H, W) -> (N, H, C * W).
# The shape is right and the picture is not, as in section 8. Mend it.


def side_by_side(feature_maps):
    batch, channels, height, width = feature_maps.shape
    return feature_maps.reshape(batch, height, channels * width)


# %% 5. One number anywhere (write, 20 min)
# Compute the number that conv(images) has at image n, channel k, row and column: with the
# weights and the bias of conv, its stride and its padding (zeros around the image), but
# without calling the layer, F.conv2d or a different convolution of PyTorch. stride and
# padding are pairs, such as conv.stride == (2, 2). Return a tensor with one number, of
# shape ().


def one_number(images, conv, n, k, row, column):
    return ...


# %% Check
from practice import check

check("Course08-Conv2d", globals())
