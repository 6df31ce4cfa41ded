"""Course 18 · ModelTrainProcess: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. A run in numbers (predict, 5 min)
# The loop of section 5 runs for 3 epochs over 1,000 pictures of 100 classes, in batches
# of 64. A point is logged at every 10th step. Write four numbers, such as (1, 2, 3,
# 4.5):
#
# - the steps of the whole run,
# - the pictures in the last batch of an epoch (Course 05),
# - the points that are logged,
# - the loss before the first step, with one decimal.
run = ...

# %% 2. Measure it right (mend, 10 min)
# This function raises no error, and four things are wrong with it. It shall return the
# mean loss and the accuracy (0…1) over all pictures, as two Python numbers. loader is a
# DataLoader whose last batch is smaller. loss_fn(logits, labels) is the mean over its
# batch. Nothing is learned here, no graph is kept, and BatchNorm and dropout must
# behave as they do when a network is measured. Mend it.


def evaluate(model, loader, loss_fn):
    loss_sum, correct, count = 0.0, 0, 0
    for images, labels in loader:
        logits = model(images)
        loss_sum += loss_fn(logits, labels)
        correct += (logits.argmax(dim=1) == labels).float().mean()
        count += 1
    return loss_sum / count, correct / count


# %% 3. Learn for one epoch, from memory (write, 15 min)
# Close the notes and write the first half of an epoch. The model learns from each batch
# of loader once. It may come in eval mode, and with gradients of an earlier batch in
# its parameters. For each batch call log(loss) with its loss, a Python number. Return
# the mean loss and the accuracy (0…1) over all pictures of the epoch, as the lesson
# counts them, as two Python numbers. loss_fn is the mean over its batch, and the last
# batch is smaller.


def train_epoch(model, loader, loss_fn, optimizer, log):
    return ...


# %% 4. One batch by heart (find out, 15 min)
# A good first test of a network: it must be able to learn one batch by heart (section
# 8). If the loss does not fall below 0.5, even after many steps, something is wrong.
# Train each of these networks on this one batch for 300 steps, with CrossEntropyLoss
# and Adam with lr=0.01. Which of them cannot learn it? Write their letters, such as
# ["a", "b"]. Then look at each of them: why? (Courses 10 and 13)
torch.manual_seed(18)
pictures, labels = torch.rand(16, 3, 4, 4), torch.arange(16) % 10
flatten, relu = nn.Flatten(), nn.ReLU()
networks = {
    "a": nn.Sequential(flatten, nn.Linear(48, 64), relu, nn.Linear(64, 10)),
    "b": nn.Sequential(flatten, nn.Linear(48, 64), nn.Linear(64, 10)),
    "c": nn.Sequential(flatten, nn.Linear(48, 64), relu, nn.Linear(64, 10), nn.Softmax(1)),
    "d": nn.Sequential(flatten, nn.Linear(48, 64), relu, nn.Linear(64, 10), nn.Tanh()),
    "e": nn.Sequential(flatten, nn.Linear(48, 64), relu, nn.Linear(64, 10)),
}
networks["e"][1].requires_grad_(False)  # the first layer is frozen
cannot = ...

# %% 5. Statistics that belong to the weights (write, 20 min)
# In eval mode, BatchNorm uses its running statistics, and while a network learns in
# large steps, they belong to older weights (section 5). Collect them anew: for every
# BatchNorm1d and BatchNorm2d in `model`, however deep (model.modules() gives every
# part),
#
# - layer.reset_running_stats() forgets the old ones, and
# - layer.momentum = None makes the new ones a plain mean over all batches.
#
# Then each batch of loader (pairs of images and labels) goes through the model once.
# Meanwhile, the whole model is in the mode in which BatchNorm collects. No weight
# changes and no graph is kept. In the end, the model is in eval mode, and each layer
# has the momentum that it had before. The function returns nothing. (PyTorch has such a
# function, torch.optim.swa_utils.update_bn. Write your own.)


def collect_statistics(model, loader):
    return ...


# %% Check
from practice import check

check("Course18-ModelTrainProcess", globals())
