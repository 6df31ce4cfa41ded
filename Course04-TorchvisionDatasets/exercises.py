"""Course 04 · TorchvisionDatasets: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import pickle

import torch
from PIL import Image
from torch.utils.data import Dataset

# %% 1. Place 2500 (predict, 3 min)
# In the file of CIFAR-10, a picture is a row of 3,072 numbers. To which channel, row
# and column does the number at place 2500 belong? Work it out without a computer, and
# write it down as (channel, row, column).
where = ...

# %% 2. The way back from a place (write, 8 min)
# Now for each place, and for pictures of any size: three channels, each with height
# rows and width columns, in the order of section 5. Return (channel, row, column),
# three ints. a // b divides and rounds down; a % b is the remainder.


def where_is(place, height, width):
    return ...


# %% 3. Twelve files, one list (mend, 10 min)
# A large data set has the files data_batch_1, data_batch_2 and so on in folder (a
# Path): in one data set 12 of them, in others more or fewer. Each is a pickle of a
# dictionary with a list of labels. This function should return one list of all labels:
# first those of file 1, then those of file 2, and so on. Its list has a different form
# and a different order. Mend it. path.name is the name of a file: "data_batch_7".


def all_labels(folder):
    labels = []
    for path in sorted(folder.glob("data_batch_*")):
        labels.append(pickle.loads(path.read_bytes())["labels"])
    return labels


# %% 4. Which samples differ? (write, 10 min)
# mine and theirs are data sets of the same length (Course 01). A sample is a pair of a
# PIL picture in the mode RGB and a label, as in section 9. Return a list of the indices
# at which they differ: in the size of the picture, in one of its bytes, or in the
# label.


def differing(mine, theirs):
    return ...


# %% 5. CIFAR-10 without pickles (write, 20 min)
# CIFAR-10 also exists as plain bytes: a file holds one record after the other, and
# nothing else. A record is one byte for the label, and then the bytes of the picture in
# the order of section 5. Write the data set for such a file, for pictures of any size.
# Sample i is a pair. First comes the picture as a tensor of bytes, (3, height, width),
# or what transform makes of it if there is one (each time anew, for it can be random);
# then the label as an int. path is a Path. This is a tensor of all bytes of its file:
#
#     torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


class RecordDataset(Dataset):
    def __init__(self, path, height, width, transform=None):
        self.transform = transform
        self.images = ...

    def __getitem__(self, index):
        return ...

    def __len__(self):
        return ...


# %% Check
from practice import check

check("Course04-TorchvisionDatasets", globals())
