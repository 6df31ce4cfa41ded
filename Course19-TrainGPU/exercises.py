"""Course 19 · TrainGPU: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import copy
import itertools
import math

import torch
from torch import nn

# %% 1. A quick try in numbers (predict, 5 min)
# You type
#
#     python Course19-TrainGPU/train.py --data drawn --limit 500 --epochs 4
#
# and leave all other options as they are: a tenth of the training pictures is held out,
# and a step has 64 pictures. (With --help instead, train.py says which pictures --limit
# is about.) Write four numbers, such as (1, 2, 3, 4):
#
# - the pictures that the network learns from,
# - the validation pictures,
# - the test pictures,
# - the steps of the whole run (Course 05: how many batches has an epoch?).
numbers = ...

# %% 2. The same epoch again (mend, 10 min)
# A DataLoader with sampler=EpochSampler(...) takes the pictures in the order that this
# class gives: the numbers 0 to count - 1, shuffled. When a run resumes in the middle of
# epoch 7, it needs the order of epoch 7 again. This class gives a different order each
# time. Mend it, such that
#
# - the order depends on the seed and on the number of the epoch alone,
# - every pair of them has an order of its own, in a run of several thousand epochs, too
#   (seed 1, epoch 2 and seed 2, epoch 1 differ),
# - nobody else's random numbers change when an order is made or used,
# - after set_epoch(7, first=128), the first 128 numbers of epoch 7 are left out, and
#   len() says how many are left.


class EpochSampler:
    def __init__(self, count, seed):
        self.count, self.seed = count, seed
        self.epoch, self.first = 0, 0

    def set_epoch(self, epoch, first=0):
        self.epoch, self.first = epoch, first

    def __len__(self):
        return self.count

    def __iter__(self):
        return iter(torch.randperm(self.count).tolist())


# %% 3. When to stop (write, 12 min)
# train.py keeps the best epoch and trains to the end. Early stopping ends the training
# when nothing improves for a while. Write the class that train.py could use. After each
# epoch it would call step(accuracy, model) with the validation accuracy.
#
# - step returns True if the last `patience` epochs, one after the other, brought no
#   accuracy that is better than the best one before them. Otherwise it returns False.
#   An equal accuracy is not better.
# - best_weights is the state_dict of the best epoch so far, and None before the first
#   one. It must stay what it was while the model learns on.
# - step changes nothing in the model.


class EarlyStopping:
    def __init__(self, patience):
        self.patience = patience
        self.best_weights = None

    def step(self, accuracy, model):
        return ...


# %% 4. A network of your own (write, 15 min)
# train.py makes its network with make_model(name, num_classes) from the dictionary
# MODELS in common/models.py. After MODELS["tiny"] = TinyNet, the name "tiny" works,
# too. Write TinyNet, for pictures (N, 3, 32, 32), as you like, but
#
# - TinyNet(num_classes) gives logits (N, num_classes), for every N,
# - it has at most 20,000 parameters, and each of them has a use,
# - a second TinyNet that loads its state_dict gives the same answers,
# - in eval mode, an answer does not depend on the other pictures of the batch,
# - it learns: Adam with lr=0.01 must bring it to know 32 pictures, each of them almost
#   of a single colour, in 100 steps.


class TinyNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = ...

    def forward(self, images):
        return ...


# %% 5. The range test (write, 20 min)
# Which learning rate? A range test tries many of them in one short run: one step with
# each rate, from the smallest to the largest. The loss falls as long as the rate is
# good, and explodes when it is too large. A good rate is several times smaller than
# that.
#
# `batches` is a list of pairs (images, labels). For each rate of `rates`, take the next
# batch; after the last one comes the first one again. Note its loss as a Python number.
# Then make one step of plain SGD (no momentum) with this rate on this batch, in train
# mode. But stop the test at once, without a step, if the loss is not finite. Do the
# same if it is more than 4 times the smallest loss so far (this one included).
#
# Return the list of losses; the one that ended the test is its last. The model may come
# with gradients of an earlier batch. In the end, every parameter and buffer must be
# what it was before the test. loss_fn(logits, labels) gives the loss of a batch.


def range_test(model, batches, loss_fn, rates):
    return ...


# %% Check
from practice import check

check("Course19-TrainGPU", globals())
