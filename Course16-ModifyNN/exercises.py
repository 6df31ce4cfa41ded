"""Course 16 · ModifyNN: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. How many numbers learn? (predict, 5 min)
# Three networks for 7 classes. How many parameters of each will learn?
#
# - VGG16: all is frozen, then classifier[6] is replaced by a layer from 4096 to 7.
# - ResNet-20: all is frozen, then fc is replaced by a layer from 64 to 7.
# - ResNet-20: fc is replaced by a layer from 64 to 7, then all is frozen.
#
# Write three numbers, such as (1, 2, 3).
learning = ...

# %% 2. A new head (write, 12 min)
# Freeze the whole network, and give it a new last layer with num_classes outputs, which
# learns. Return the network. It has its last nn.Linear in one of two places:
#
# - in model.fc, as a ResNet has it,
# - at the end of the nn.Sequential model.classifier, as a VGG has it.
#
# The new layer takes the place of the old one. Ask the old one for its in_features.


def new_head(model, num_classes):
    return ...


# %% 3. The backbone that moved (mend, 10 min)
# model.backbone is frozen: no parameter of it needs a gradient. model.head learns, and
# has dropout. One pass over the batches (pairs of images and labels) trains the head.
# But the backbone has BatchNorm, and gives other features afterwards (section 11). Mend
# the function: no parameter and no buffer of the backbone moves, and the head still
# learns as it should, with its dropout (Course 06).


def train_pass(model, batches, loss_fn, optimizer):
    model.train()
    for images, labels in batches:
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# %% 4. Two speeds (write, 12 min)
# When everything learns, the new head needs large steps and the pretrained rest small
# ones. An optimizer takes a list of groups for this (Course 15):
#
#     torch.optim.SGD([{"params": [...], "lr": 0.1}, {"params": [...], "lr": 0.001}])
#
# Return such a list for a model with its head in model.fc: first the group of the head,
# which learns with `lr`, then the group of all others, with a hundredth of it. Frozen
# parameters are in no group, and every other one is in exactly one.


def two_speeds(model, lr):
    return ...


# %% 5. A head in a moment (write, 20 min)
# You are given a trained backbone, (N, 3, H, W) -> (N, F), and a new head,
# nn.Linear(F, number of classes). You have a few pictures of a new task with their
# labels. Train the head, and say what is on new pictures:
#
# - The backbone keeps every number that it has, its running means included. It may come
#   in train mode, it has BatchNorm, and nobody has frozen it.
# - It is slow: each picture, of both kinds, goes through it exactly once (section 7).
# - The head makes 40 steps of Adam with lr=0.03, each on the features of all pictures,
#   with the cross-entropy loss.
#
# Return the guessed class of each new picture, an int64 tensor of shape
# (number of new pictures,).


def learn_quickly(backbone, head, images, labels, new_images):
    return ...


# %% Check
from practice import check

check("Course16-ModifyNN", globals())
