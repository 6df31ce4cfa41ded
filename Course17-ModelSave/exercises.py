"""Course 17 · ModelSave: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. What it holds (predict, 5 min)
# You save the state_dict of this network:
#
#     nn.Sequential(
#         nn.Linear(20, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5),
#         nn.Linear(8, 3, bias=False),
#     )
#
# How many entries of it are parameters, how many are buffers, and how many bytes do the
# numbers of all entries take? Write three numbers, such as (1, 2, 3).
held = ...

# %% 2. Ready to use (write, 10 min)
# make_model() makes a network with random numbers; path is a file that holds a
# state_dict for it. Return the network with the numbers of the file, such that
#
# - it gives the same answer to the same input each time,
# - a file that was saved on a GPU loads on a machine without one,
# - no code runs that stands in the file, and a file that does not fit raises an error.


def ready_to_use(make_model, path):
    return ...


# %% 3. Only the prefix (mend, 8 min)
# nn.DataParallel, which copies a network to several GPUs, puts `module.` before
# every name in a state_dict. This function removes it, so that the names fit the
# network again. But some networks have a part of their own that is called `module` or
# `submodule`. Mend the function: a name that begins with `module.` loses these seven
# characters, once; all else stays as it is. It returns a new dictionary and leaves the
# given one unchanged.


def without_prefix(state_dict):
    return {name.replace("module.", ""): value for name, value in state_dict.items()}


# %% 4. Load what fits (write, 15 min)
# A network was trained for 3 classes, and yours has 7 (Course 16): most of its numbers
# fit, the last layer's do not. strict=False does not help with shapes. Load into
# `model` every entry of `weights` (a state_dict) that has a name and a shape of model's
# own. Nobody must be left to guess what happened, so return two lists of names:
#
# - the entries of weights that were not loaded,
# - the entries of model's state_dict that did not come from weights.
#
# Their order does not matter.


def load_what_fits(model, weights):
    return ...


# %% 5. Stop and resume (write, 20 min)
# A training that is stopped, resumed later, and loses nothing. You are given
#
# - new_training(): sets the seed, as in section 8; returns a new model and its
#   optimizer,
# - train(model, optimizer, steps): trains so many steps, in the mode in which the model
#   is; the model has dropout.
#
# Write train_to: if there is no file at `path` (a pathlib.Path), begin; otherwise
# resume. Train until `steps` steps are done in all, those before the stop included.
# Then write all that a resumed training needs into one file, at `path`, and return the
# model. train_to(8, …) and later, in a new process, train_to(20, …) must give bit for
# bit the model that train_to(20, …) gives at once. The optimizer has a memory (Course
# 15). And no code in the file may run (section 6).


def train_to(steps, path, new_training, train):
    return ...


# %% Check
from practice import check

check("Course17-ModelSave", globals())
