"""Course 02 · TensorBoard: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import shutil

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid


def read(run):
    """All that was logged for a run (a Path), as in the lesson's cell 1."""
    everything = {"scalars": 0, "images": 0}
    return EventAccumulator(str(run), size_guidance=everything).Reload()


# %% 1. A grid's shape (predict, 3 min)
# batch has the shape (10, 3, 20, 30): ten pictures. What is the shape of
#
#     make_grid(batch, nrow=4, padding=3)
#
# Places without a picture stay black. Write the shape down, such as (1, 2, 3).
shape = ...

# %% 2. Pixels below 0 (write, 5 min)
# picture is a tensor (3, H, W) of floats from -1 to 1: -1 stands for black, 1 for
# white. Log it under the tag "ants/first" at this step, so that it looks right. run is
# the folder of the run, a Path: make the writer, and close it at the end. What the
# function returns does not matter.


def log_picture(run, picture, step):
    return ...


# %% 3. One epoch (mend, 8 min)
# An epoch is one pass over all training pictures. After each, a program calls this
# function: with a writer, the number of the epoch, the loss, and some of the pictures
# as bytes, (N, 3, H, W). But all losses are at step 0, and the grid is almost white.
# Mend it.


def log_epoch(writer, epoch, loss, images):
    writer.add_scalar("loss", loss)
    writer.add_image("images", make_grid(images.float(), nrow=4), epoch)


# %% 4. The best run (write, 15 min)
# Each folder in folder (a Path) is a run. Return a list of the names of the runs, the
# best one first: that is the run whose curve of this tag ends lowest. One point can be
# low by chance. So the end of a curve is the mean of its last three values, or of all
# if there are fewer. Leave out the runs without this tag. read(run), above, helps. If
# log is what it returns, log.Tags()["scalars"] is the list of the tags of its curves,
# and log.Scalars(tag) is the list of the points of one curve, in the order of their
# steps.


def ranking(folder, tag):
    return ...


# %% 5. Walks compared (write, 20 min)
# Walk down the curve f (a function, such as that of Course 00, section 10) with each of
# the rates. Each walk begins at start, a float; steps is the number of its steps. Log x
# under the tag "walk/x": at step 0 where it starts, and then after each step. All walks
# must share one chart. So log each into a folder of its own below folder (a Path). The
# rate gives it its name: rate=0.1 if the rate is 0.1. Close each writer. If the function
# is called again with the same folder, only the new walks must be there. What the
# function returns does not matter. This deletes a folder with all that is in it, and
# does nothing if there is none:
#
#     shutil.rmtree(folder, ignore_errors=True)


def log_walks(folder, f, start, rates, steps):
    return ...


# %% Check
from practice import check

check("Course02-TensorBoard", globals())
