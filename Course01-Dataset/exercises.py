"""Course 01 · Dataset: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import csv
import random
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, random_split
from torchvision.datasets import ImageFolder

# %% 1. Labels of three samples (predict, 3 min)
# The folder root holds three folders: bees with four .jpg files, cats with two, and
# ants with two .jpg files and a .gif. What does this print?
#
#     few = Subset(ImageFolder(root), [6, 2, 1])
#     print([label for image, label in few])
#
# Write down the list.
labels = ...

# %% 2. Twice as many samples (write, 10 min)
# The samples of dataset are pairs of an image, a tensor (3, H, W), and a label. Write a
# data set with twice as many samples: first all samples of dataset as they are, then
# all of them once more, in the same order, with the same labels, and with each image
# mirrored from left to right (Course 00, section 7). An index that is too large must
# raise IndexError, as dataset itself does, so that a for loop ends.


class Mirrored(Dataset):
    def __init__(self, dataset):
        self.dataset = ...

    def __getitem__(self, index):
        return ...

    def __len__(self):
        return ...


# %% 3. Labels from a table (mend, 10 min)
# table is the path of a CSV file: a text with the line file,label and then lines such
# as 003.png,bee in any order. Some name a picture that is no longer there.
# csv.DictReader makes a dictionary of each line: {"file": "003.png", "label": "bee"}.
# The function returns a pair (file name, label) for each .png file in folder, sorted by
# the name. But most labels are wrong. Mend it.


def read_labels(folder, table):
    names = sorted(path.name for path in folder.glob("*.png"))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(name, row["label"]) for name, row in zip(names, rows, strict=False)]


# %% 4. Files that are broken (write, 10 min)
# A download can stop in the middle, and a text can be called picture.jpg. folder is a
# Path and holds files only. Return a list with the names of those that Pillow cannot
# read, in any order. image.load() reads all pixels of an opened image. Image.open and
# load raise OSError when they cannot read on.


def bad_files(folder):
    return ...


# %% 5. A balanced split (write, 20 min)
# random_split can put most samples of a small class into one part. Divide each class by
# itself. targets is a list of labels, one for each sample. Of a class with n samples,
# round(share * n) go into the validation part, chosen at random, all others into the
# training part. Return two lists of indices, (train, val), each in any order. The seed,
# a whole number, alone fixes the split. Use a generator, as in section 7, so that
# nothing else in the program gets different random numbers. 0 to n - 1 in random order:
#
#     torch.randperm(n, generator=generator)


def balanced_split(targets, share, seed):
    return ...


# %% Check
from practice import check

check("Course01-Dataset", globals())
