"""Course 20 · ModelTest: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

from common.pictures import read_image, to_uint8

# %% 1. Read a confusion matrix (predict, 5 min)
# Each row is a true class, each column an answer, as in section 4:
#
#            cat  dog  frog
#     cat     40    8     2
#     dog     12   16     2
#     frog     0    0    20
#
# Write three numbers from 0 to 1, with two decimals, such as (0.12, 0.34, 0.56):
#
# - the accuracy over all pictures,
# - the share of the dogs that the network recognised,
# - the share of real cats among the pictures for which it answered "cat".
read = ...

# %% 2. The accuracy of each class (mend, 10 min)
# labels and guesses are int64 tensors (N,). Return a tensor (num_classes,): the share
# of the pictures of each class that the network recognised, and nan (torch.nan) for a
# class without a picture. Two things are wrong with this function. Compare it with a
# few pictures that you count by hand, and mend it.


def class_accuracy(labels, guesses, num_classes):
    confusion = torch.zeros(num_classes, num_classes)
    confusion[labels, guesses] += 1
    return confusion.diagonal() / confusion.sum(dim=0)


# %% 3. Among the first k (write, 10 min)
# test.py names the three most likely classes. For the share of pictures whose true
# class is among the k most likely ones, people say top-k accuracy. logits is (N,
# num_classes), labels (N,). Return a Python number, 0…1. Like --top, k may be larger
# than the number of classes: then every picture counts as right.


def top_k_accuracy(logits, labels, k):
    return ...


# %% 4. Ask twice (write, 12 min)
# A ship and its mirror image (left and right exchanged; Course 03) are both ships. So
# some people let the network answer twice: for each picture, and for its mirror image.
# They take the mean of the two probabilities. Return these means, (N, num_classes).
# images is (N, 3, H, W). The model may come in train mode, and has BatchNorm and
# dropout. No graph is kept, and images stays as it is.


def predict_twice(model, images):
    return ...


# %% 5. A photograph goes in (write, 12 min)
# Prepare a photograph as test.py does: read_image(path) opens it as a person sees it,
# to_uint8(picture) makes the middle square of 32×32 pixels, uint8 (3, 32, 32). Then
# make 0…1 of it, subtract the mean and divide by the standard deviation. mean and std
# are lists of three numbers, one for each channel, such as stand in a checkpoint.
# Return a float32 batch of one picture, (1, 3, 32, 32).


def photograph(path, mean, std):
    return ...


# %% 6. Is it as sure as it should be? (write, 20 min)
# Section 1 warns of the shares. Here is how far off they are. The confidence of an
# answer is its largest probability. If a network is 90 % sure of 100 answers, about 90
# of them should be right.
#
# Divide 0…1 into `bins` equal intervals. Put each answer into the interval of its
# confidence; exactly 1 belongs to the last one. In each interval, take the mean
# confidence and the accuracy: how far are they apart? Return the mean of these
# distances over all answers, as a Python number: an interval counts as much as it has
# answers, an empty one not at all. probabilities is (N, num_classes), labels (N,).


def calibration_error(probabilities, labels, bins=10):
    return ...


# %% Check
from practice import check

check("Course20-ModelTest", globals())
