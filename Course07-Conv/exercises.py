"""Course 07 · Conv: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import numpy as np
import torch
from torch.nn import functional as F

# %% 1. By hand (predict, 8 min)
# What does F.conv2d make of this picture with this kernel, with stride=2 and padding=1?
# Write down the rows of the output, such as [[1, 2], [3, 4]].
image = [
    [1, 0, 2, 0, 1, 3],
    [0, 3, 1, 0, 2, 0],
    [2, 0, 0, 1, 0, 1],
    [1, 2, 0, 3, 0, 2],
]
kernel = [
    [0, 1, 0],
    [0, 2, 0],
    [0, 0, 1],
]
output = ...

# %% 2. Move the picture (write, 10 min)
# Return a kernel, a float32 tensor of shape (7, 7), that moves a picture `down` pixels
# down and `right` pixels to the right, if it is used with padding="same". Both are whole
# numbers from -3 to 3; negative ones move up and to the left. Zeros come in at the
# border. One weight is 1, and all others are 0.


def moving_kernel(down, right):
    return ...


# %% 3. From 224 to 112 (write, 12 min)
# Return all settings that make a row of `after` pixels from a row of `before` pixels: a
# list of (kernel_size, stride, padding), in any order. Try kernel sizes from 1 to 7,
# strides from 1 to 4, and paddings from 0 to 3. The kernel must fit into the padded
# row.


def settings(before, after):
    return ...


# %% 4. Edges of a photograph (mend, 10 min)
# (Course 03) picture is a NumPy array of bytes, as Pillow and OpenCV make it:
# (height, width, 3), 0 to 255. The function should make it grey: the mean of the three
# colours, from 0 to 1. It should return the vertical edges: a float32 tensor of shape
# (height, width). The shape is right, and what you would see is noise. Mend it; the
# kernel and the last line are right.


def vertical_edges(picture):
    height, width, channels = picture.shape
    image = torch.from_numpy(picture).reshape(channels, height, width).float()
    grey = image.mean(dim=0)  # (3, height, width) -> (height, width)
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
    return F.conv2d(grey[None, None], kernel[None, None], padding="same")[0, 0]


# %% 5. Stride and padding, by loops (write, 20 min)
# Section 3 slides a kernel over a picture. Go on from there: write it for any stride
# and padding, without F.conv2d or a different convolution of PyTorch. image and kernel
# are float tensors with two axes. Neither needs to be square. stride and padding are
# whole numbers. Return a tensor with two axes. F.pad may help:
# F.pad(image, [left, right, top, bottom]) puts that many zeros around a picture.


def conv(image, kernel, stride=1, padding=0):
    return ...


# %% Check
from practice import check

check("Course07-Conv", globals())
