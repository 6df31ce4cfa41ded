"""Course 05 · DataLoader: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import math

import torch
from torch.utils.data import DataLoader

# %% 1. Counting batches (predict, 4 min)
# CIFAR-10 has 50,000 training pictures. They come in batches of 128. Work out three
# numbers:
#
# - how many batches an epoch has,
# - how many pictures are in the last batch of an epoch,
# - how many batches ten epochs have with drop_last=True.
#
# Write them down in this order, such as (1, 2, 3).
counts = ...

# %% 2. The size of each batch (write, 8 min)
# `count` samples come in batches of `batch_size`. Return the sizes of all batches of an
# epoch, in order, as a list: batch_sizes(10, 4) is [4, 4, 2]. With drop_last=True a
# last batch that is smaller is left out. No loader is needed.


def batch_sizes(count, batch_size, drop_last=False):
    return ...


# %% 3. The mean of each colour (mend, 10 min)
# (Course 03) Normalising needs the mean of each channel over all pixels of all
# pictures. They come from a loader, because they do not fit into memory together. Each
# is (3, H, W), and all have one size. The function returns a tensor of shape (3,). It
# is almost right, and no error appears. Mend it.


def channel_means(loader):
    means = []
    for images, _ in loader:  # (N, 3, H, W); the labels are not needed
        means.append(images.mean(dim=(0, 2, 3)))
    return torch.stack(means).mean(dim=0)


# %% 4. Batches of one size (write, 15 min)
# sizes[i] is the size of picture i, such as (144, 192) for height and width. Only
# pictures of one size can be stacked. Return a batch sampler for them: a list of lists
# of indices, such as [[0, 9], [1, 2, 3], [5]].
#
# - All pictures of a batch have the same height and the same width.
# - Each picture is in one batch. No batch has more than batch_size pictures.
# - There are as few batches as possible. Their order is up to you.


def same_size_batches(sizes, batch_size):
    return ...


# %% 5. A loader of your own (write, 20 min)
# Write what DataLoader(dataset, batch_size, shuffle=True, generator=generator) does,
# without DataLoader. Each sample of dataset is a pair of a picture and a label.
#
# - len(loader) is the number of batches. Python calls __len__ for it (Course 01).
# - `for images, labels in loader:` calls __iter__. In it, `yield images, labels` hands
#   out one batch. When the loop asks for the next one, Python goes on behind that line.
# - images are stacked, labels are a tensor of int64. The last batch may be smaller.
# - Each epoch has a new random order. All random numbers come from the generator:
#   torch.randperm(5, generator=generator) is 0, 1, 2, 3, 4 in a random order.
# - dataset itself stays as it is. A sample is fetched when its batch needs it, and anew
#   in each epoch.


class MyLoader:
    def __init__(self, dataset, batch_size, generator):
        self.dataset = dataset
        self.batch_size = batch_size
        self.generator = generator

    def __len__(self):
        return ...

    def __iter__(self):
        yield ...


# %% Check
from practice import check

check("Course05-DataLoader", globals())
