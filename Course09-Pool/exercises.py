"""Course 09 · Pool: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. Over the edge (predict, 4 min)
# What does nn.MaxPool2d(2, ceil_mode=True) make of this picture? Write down the rows of
# the output, such as [[1, 2], [3, 4]].
image = [
    [1, -2, 4, 0, -3],
    [3, 0, 2, 5, -1],
    [-4, -1, 6, 2, -2],
]
pooled = ...

# %% 2. Pooled size (write, 10 min)
# Return the height that nn.MaxPool2d(window, stride, ceil_mode=ceil_mode) makes of a
# picture of height `size`, without the layer. stride=None means that no stride was
# given. The window is never larger than the picture. With ceil_mode=True, a window may
# reach over the edge. But it must begin inside the picture: one that sees no pixel is
# not added.


def pooled_size(size, window, stride=None, ceil_mode=False):
    return ...


# %% 3. All picture sizes (mend, 10 min)
# This network takes pictures of 32x32 pixels only. Mend it: pictures of any size from
# 32x32 up must give ten logits, and each pixel must still count. (Course 06) It was
# trained already, so its state_dict must still fit, with the same names and shapes. And
# pictures of 32x32 must get the same logits as before.


class SmallNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.linear = nn.Linear(8 * 16 * 16, 10)

    def forward(self, images):
        x = self.pool(torch.relu(self.conv(images)))
        return self.linear(x.flatten(1))


# %% 4. Receptive field (write, 12 min)
# layers is a list of pairs (window, stride), from the picture to the output. Each pair
# is a convolution or a pool, without padding. Return how many pixels in a row of the
# picture one number of the output sees: 8 for [(3, 1), (2, 2), (3, 1)], as in section
# 9. No stride is larger than its window. Without any layer, a number sees one pixel:
# itself.


def seen(layers):
    return ...


# %% 5. Pooling by hand (write, 20 min)
# Write max pooling and average pooling for images of shape (N, C, H, W), without the
# layers and their functions. window and stride are pairs, rows first: window (2, 3) has
# two rows and three columns. stride=None means that no stride was given. kind is "max"
# or "average". There is no padding and no ceil_mode. The images are floats and may be
# negative. `x.amax(dim=(2, 3))` is the largest number over axes 2 and 3, as
# x.mean(dim=(2, 3)) is the mean.


def pool2d(images, window, stride=None, kind="max"):
    return ...


# %% Check
from practice import check

check("Course09-Pool", globals())
