"""Course 13 · LossFunc: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import math

import torch
from torch import nn

# %% 1. Losses on paper (predict, 5 min)
# The outputs are 2, 0, 5, 1 and the targets 2, 2, 1, 1. Compute on paper
#
#     nn.L1Loss(),  nn.MSELoss(),  nn.L1Loss(reduction="sum")
#
# and, as a fourth number, nn.CrossEntropyLoss() for one picture with four logits that
# are all 3. Class 2 is right. Write four numbers, such as (1, 2.5, 3, 0.04). Two
# decimals are enough; math.log(x) is allowed.
losses = ...

# %% 2. Which loss? (predict, 5 min)
# Choose "L1", "MSE" or "cross-entropy" for each task.
#
# 1. Which of the digits 0 to 9 is in the picture?
# 2. How warm will it be tomorrow? One day that is wrong by 6 degrees is much worse than
#    six days that are wrong by 1 degree.
# 3. How old is the person in the picture? Some ages in the file are typing errors, such
#    as 350. They must not have much influence.
# 4. Which of 26 letters comes next?
# 5. On which day of the week was the picture taken? The file says 0.0 for Monday to 6.0
#    for Sunday.
# 6. In which row and column is the tip of the nose? A few labels are far away, because
#    somebody clicked into the wrong place. They must not have much influence.
#
# Write a list of six texts, such as ["L1", "L1", "L1", "L1", "L1", "L1"].
choices = ...

# %% 3. The mean loss of a data set (mend, 10 min)
# (Course 05) This function should give the mean cross-entropy over all pictures of a
# data set. batches is a list of (images, labels), and the last batch is smaller, as
# from a DataLoader. The model ends in logits. There are two faults, and no error. Mend
# both.


def mean_loss(model, batches):
    loss_fn = nn.CrossEntropyLoss()
    total = 0.0
    for images, labels in batches:
        probabilities = torch.softmax(model(images), dim=1)
        total += loss_fn(probabilities, labels).item()
    return total / len(batches)


# %% 4. The worst pictures (write, 10 min)
# To find wrong labels, people look at the pictures with the largest loss. Return the
# positions in the batch of the k pictures with the largest cross-entropy, the largest
# first: a list of k ints. logits is (N, classes), labels is (N,). Two pictures may have
# the same loss. Logits may be large, such as 300.


def worst(logits, labels, k):
    return ...


# %% 5. Cross-entropy by hand (write, 20 min)
# Write the mean cross-entropy of a batch with exp, sum, log and indexing, without
# cross_entropy, nll_loss, log_softmax or logsumexp. logits is (N, classes), labels is
# (N,). Return a tensor with one number, of shape ().
#
# 1. Some labels are -1: nobody knows the class. These pictures do not count, neither in
#    the sum nor in the number by which you divide. At least one label is known.
# 2. Logits may be large, such as 1000 or -1000. exp(1000) is too large for a float:
#    inf. But in section 6, the same number added to all logits of a picture changed
#    nothing.
# 3. Your loss must have a gradient, and it must not change logits.
#
# z[torch.arange(N), labels] takes one number from each row of z, at the place of its
# label.


def my_cross_entropy(logits, labels):
    return ...


# %% Check
from practice import check

check("Course13-LossFunc", globals())
