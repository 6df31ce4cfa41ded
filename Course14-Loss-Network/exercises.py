"""Course 14 · Loss-Network: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from torch import nn

# %% 1. Backward on paper (predict, 8 min)
# (Course 10) Two steps with a ReLU between them, for one input x = 4:
#
#     hidden = relu(w1 * x + b1)      w1 = 0.75, b1 = 1
#     output = w2 * hidden + b2       w2 = -0.5, b2 = 1
#     loss = (output - target)²       target = 2
#
# Go forward, then back. Write the gradients of w1, b1, w2 and b2, such as (1, 2, 3, 4).
gradients = ...

# %% 2. A descent that stops (mend, 10 min)
# This function looks for the w for which w * x is near the target, for all numbers of
# x. The penalty keeps w small. At the second step it stops with an error. When you have
# mended that, the result is still wrong: there is a second fault. Mend both.


def descend(x, target, learning_rate, steps):
    w = torch.tensor(1.0, requires_grad=True)
    penalty = 0.1 * w**2
    for _ in range(steps):
        loss = ((w * x - target) ** 2).mean() + penalty
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.item()


# %% 3. Every slope by pushing (write, 15 min)
# Section 7 checks a gradient by a finite difference, one weight at a time. Write it for
# all numbers of w. f(w) takes a tensor of the shape of w and returns a tensor with one
# number. Return a tensor of the shape and dtype of w: for each number of w,
# (f(w + h) - f(w - h)) / 2h, in which only this number is moved by h.
#
# w is float64 and has any number of axes. h = 1e-5 makes the slopes right to six
# digits. After the call, w must be as it was. Some f leave no graph behind, so
# backward() does not help.


def slopes(f, w):
    return ...


# %% 4. A linear layer's backward (write, 15 min)
# (Course 11) Write by hand what backward() computes for a linear layer and MSE:
#
#     output = x @ weight.T + bias               x (N, inputs), weight (outputs, inputs)
#     loss = ((output - target) ** 2).mean()     target (N, outputs)
#
# Return two tensors: the gradient of weight and the gradient of bias. There is no
# graph, because your function is called under torch.inference_mode(). Leave it on, and
# change none of the four tensors.
#
# weight[k, i] is multiplied by x[n, i] and changes output[n, k], in each sample n.


def linear_backward(x, weight, bias, target):
    return ...


# %% 5. A batch in pieces (write, 20 min)
# (Course 05) A batch is too large for the memory. Send it through the model in chunks
# of chunk_size pictures; the last one may be smaller. Gradients add up, so after your
# function each .grad must be that of loss_fn(model(images), labels) for the whole
# batch.
#
# 1. Call backward() for each chunk: this frees the memory of its graph.
# 2. loss_fn returns the mean loss of what it gets.
# 3. Old gradients may be there before the call. They must not be in the result.
# 4. Return the mean loss of the whole batch as a Python float.
# 5. Leave model.training as it is.


def in_chunks(model, loss_fn, images, labels, chunk_size):
    return ...


# %% Check
from practice import check

check("Course14-Loss-Network", globals())
