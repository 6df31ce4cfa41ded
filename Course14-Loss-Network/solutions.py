"""Course 14 · Loss-Network: the answers, how they are judged, and the mistakes that people make."""

import copy

import torch
from torch import nn

from practice import Exercise, Mistake, changed

# ---- 1 ----


def try_gradients(gradients):
    names, values = ("w1", "b1", "w2", "b2"), (0.75, 1.0, -0.5, 1.0)
    w1, b1, w2, b2 = parameters = [torch.tensor(value, requires_grad=True) for value in values]
    ((w2 * torch.relu(w1 * 4 + b1) + b2 - 2) ** 2).backward()
    right = tuple(parameter.grad.item() for parameter in parameters)
    if not isinstance(gradients, list | tuple) or len(gradients) != 4:
        yield "the four gradients", gradients, right
    for name, gradient, expected in zip(names, gradients, right, strict=True):
        yield f"the gradient of {name}", gradient, expected


# ---- 2 ----


def descend(x, target, learning_rate, steps):
    w = torch.tensor(1.0, requires_grad=True)
    for _ in range(steps):
        loss = ((w * x - target) ** 2).mean() + 0.1 * w**2
        w.grad = None
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.item()


def penalty_before_the_loop(x, target, learning_rate, steps):
    w = torch.tensor(1.0, requires_grad=True)
    penalty = 0.1 * w**2
    for _ in range(steps):
        loss = ((w * x - target) ** 2).mean() + penalty
        loss.backward()
        with torch.no_grad():
            w -= learning_rate * w.grad
    return w.item()


def try_descend(descend):
    x, target = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([2.0, 7.0, 1.0])
    for learning_rate, steps in [(0.1, 1), (0.1, 2), (0.1, 6), (0.02, 10), (0.1, 60), (0.1, 0)]:
        w = 1.0
        for _ in range(steps):  # by formula: the mean of 2 (w x - target) x, and 0.2 w
            slope = sum(2 * (w * a - b) * a for a, b in zip(x.tolist(), target.tolist(), strict=True)) / 3
            w -= learning_rate * (slope + 0.2 * w)
        yield f"descend(x, target, {learning_rate=}, {steps=})", descend(x, target, learning_rate, steps), w


# ---- 3 ----


def slopes(f, w):
    h = 1e-5
    single_ones = torch.eye(w.numel(), dtype=w.dtype).reshape(-1, *w.shape)  # one tensor for each number of w
    found = [(f(w + h * one) - f(w - h * one)) / (2 * h) for one in single_ones]
    return torch.stack(found).reshape(w.shape)


def try_slopes(slopes):
    numbers = torch.randn(3, 4, dtype=torch.float64)
    for what, f, shape in [
        ("f = (w**3).sum()", lambda w: (w**3).sum(), (5,)),
        ("f = w**2, with a single number", lambda w: w**2, ()),
        ("f = (sin(10 * w) * numbers).mean()", lambda w: (torch.sin(10 * w) * numbers).mean(), (3, 4)),
        ("f = exp(w[0] @ w[1].T).sum()", lambda w: torch.exp(w[0] @ w[1].T).sum(), (2, 3, 2)),
    ]:
        w = torch.rand(shape, dtype=torch.float64) + 1
        if w.dim() == 2:
            w[0, 1] = 0.0  # a push must not depend on the size of the number
        point = w.clone().requires_grad_()
        f(point).backward()
        before = w.clone()
        yield f"{what}: the slopes at a w of shape {shape}", slopes(f, w), point.grad, 1e-6
        yield f"{what}: w afterwards", w, before
        yield f"{what}: w.requires_grad afterwards", w.requires_grad, False
    w = torch.rand(4, dtype=torch.float64) + 1
    found = slopes(lambda w: (w.detach() ** 3).sum(), w)
    yield "an f without a graph, (w.detach()**3).sum()", found, 3 * w**2, 1e-6


def by_backward(f, w):
    point = w.clone().requires_grad_()
    f(point).backward()
    return point.grad


def without_copies(f, w):
    found = torch.zeros_like(w).view(-1)
    for place in range(w.numel()):
        up, down = w.view(-1), w.view(-1)
        up[place] += 1e-5
        down[place] -= 1e-5
        found[place] = (f(up.view(w.shape)) - f(down.view(w.shape))) / 2e-5
    return found.view(w.shape)


def moved_for_good(f, w):
    found = torch.zeros_like(w)
    for place in range(w.numel()):
        w.view(-1)[place] += 1e-5
        up = f(w)
        w.view(-1)[place] -= 2e-5
        found.view(-1)[place] = (up - f(w)) / 2e-5
    return found


def all_at_once(f, w):
    return torch.ones_like(w) * (f(w + 1e-5) - f(w - 1e-5)) / 2e-5


# ---- 4 ----


def linear_backward(x, weight, bias, target):
    error = x @ weight.T + bias - target  # (N, outputs)
    slope = 2 * error / error.numel()  # of the loss, for each number of output
    return slope.T @ x, slope.sum(dim=0)


def by_autograd(x, weight, bias, target):
    with torch.enable_grad():
        weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
        ((x @ weight.T + bias - target) ** 2).mean().backward()
    return weight.grad, bias.grad


def by_autograd_after_all(x, weight, bias, target):
    with torch.inference_mode(False):
        x, target = x.clone(), target.clone()
        weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
        ((x @ weight.T + bias - target) ** 2).mean().backward()
    return weight.grad, bias.grad


def by_torch_func(x, weight, bias, target):
    def loss(weight, bias):
        return ((x @ weight.T + bias - target) ** 2).mean()

    return torch.func.grad(loss, argnums=(0, 1))(weight, bias)


def try_linear_backward(linear_backward):
    for n, inputs, outputs in [(6, 2, 4), (5, 7, 3), (1, 3, 2), (1, 1, 1)]:
        x, target, linear = torch.randn(n, inputs), torch.randn(n, outputs), nn.Linear(inputs, outputs)
        nn.MSELoss()(linear(x), target).backward()
        weight, bias = linear.weight.detach(), linear.bias.detach()
        given = x, weight, bias, target
        before = [numbers.clone() for numbers in given]
        kept = []  # what a graph keeps for its backward()

        def keep(numbers, kept=kept):
            kept.append(numbers)
            return numbers

        with torch.inference_mode(), torch.autograd.graph.saved_tensors_hooks(keep, lambda numbers: numbers):
            got = linear_backward(x, weight, bias, target)
        what = f"{n} samples, {inputs} inputs, {outputs} outputs"
        if not isinstance(got, list | tuple) or len(got) != 2:
            yield what, got, "two tensors"
        yield f"{what}: the gradient of weight", got[0], linear.weight.grad
        yield f"{what}: the gradient of bias", got[1], linear.bias.grad
        yield f"{what}: x, weight, bias and target afterwards", given, before
        yield f"{what}: a graph was made for backward()", len(kept) > 0, False


# ---- 5 ----


def in_chunks(model, loss_fn, images, labels, chunk_size):
    model.zero_grad()
    total = 0.0
    for start in range(0, len(images), chunk_size):
        chunk, chunk_labels = images[start : start + chunk_size], labels[start : start + chunk_size]
        share = len(chunk) / len(images)
        loss = loss_fn(model(chunk), chunk_labels) * share
        loss.backward()
        total += loss.item()
    return total


class Watched(nn.Sequential):
    """Notes how many pictures it gets, and whether no parameter has a gradient then, or only zeros."""

    seen, empty = [], []

    def forward(self, images):
        self.seen.append(len(images))
        self.empty.append(all(p.grad is None or not p.grad.any() for p in self.parameters()))
        return super().forward(images)


class Noting(nn.Module):
    """A loss that keeps what it returned."""

    def __init__(self, loss_fn):
        super().__init__()
        self.loss_fn, self.losses = loss_fn, []

    def forward(self, outputs, targets):
        self.losses.append(self.loss_fn(outputs, targets))
        return self.losses[-1]


def try_in_chunks(in_chunks):
    model = Watched(nn.Flatten(), nn.Sequential(nn.Linear(12, 6), nn.ReLU()), nn.Linear(6, 4))
    for n, chunk_size, loss_fn in [(8, 4, nn.CrossEntropyLoss()), (11, 4, nn.CrossEntropyLoss()), (5, 7, nn.MSELoss())]:
        images = torch.randn(n, 3, 2, 2)
        labels = torch.randint(4, (n,)) if isinstance(loss_fn, nn.CrossEntropyLoss) else torch.randn(n, 4)
        images[-3:] += 2.0  # the last chunk is different from the others
        whole = copy.deepcopy(model)
        whole.zero_grad()
        loss = loss_fn(whole(images), labels)
        loss.backward()
        for has_old in (False, True):
            model.zero_grad()
            if has_old:
                model(images).sum().backward()
            model.train(not has_old)
            model.seen, model.empty, noting = [], [], Noting(loss_fn)
            what = f"{n} pictures, chunk_size {chunk_size}" + (", with old gradients" if has_old else "")
            got = in_chunks(model, noting, images, labels, chunk_size)
            yield (
                f"{what}: how many pictures the model got",
                model.seen,
                [len(chunk) for chunk in images.split(chunk_size)],
            )
            yield f"{what}: what comes back", got, loss.item()
            for (name, parameter), right in zip(model.named_parameters(), whole.parameters(), strict=True):
                yield f"{what}: the gradient of {name}", parameter.grad, right.grad
            yield (
                f"{what}: before each chunk, no gradient is there",
                model.empty,
                [True] + [False] * (len(model.seen) - 1),
            )
            yield f"{what}: graphs that are still in memory", sum(has_graph(loss, model) for loss in noting.losses), 0
            yield f"{what}: model.training afterwards", model.training, not has_old


def has_graph(loss, model):
    """Whether one can still go back from this loss."""
    try:
        torch.autograd.grad(loss, list(model.parameters()))
    except RuntimeError:
        return False
    return True


def one_backward_at_the_end(model, loss_fn, images, labels, chunk_size):
    model.zero_grad()
    total = 0.0
    for chunk, chunk_labels in zip(images.split(chunk_size), labels.split(chunk_size), strict=True):
        total = total + loss_fn(model(chunk), chunk_labels) * len(chunk) / len(images)
    total.backward()
    return total.item()


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="gradients",
        section=2,
        answer=(12.0, 3.0, -24.0, -6.0),
        trial=try_gradients,
        hints=(
            "Forward first: hidden is 4. Go on to output and to the error.",
            "Back: the slope of the loss for output is 2 * error. Each step back multiplies it by one more slope.",
            "From output back to hidden, the slope is w2. The ReLU has slope 1, because it got a number above 0.",
        ),
        mistakes=(
            Mistake("The slope of a square is twice the error.", (6, 1.5, -12, -3)),
            Mistake("On the way from output back to hidden, something is multiplied.", (-24, -6, -24, -6)),
            Mistake("w1 is multiplied by x, so its gradient is, too.", (3, 3, -24, -6)),
            Mistake("A sign is wrong: the error is output minus target, and w2 is negative.", (-12, -3, 24, 6)),
            Mistake("w2 is multiplied by hidden, so its gradient is, too.", (12, 3, -6, -6)),
            Mistake("The ReLU got 4, a positive number: its slope is 1.", (0, 0, -24, -6), "Course10 7"),
        ),
    ),
    Exercise(
        number=2,
        name="descend",
        section=9,
        answer=descend,
        trial=try_descend,
        hints=(
            "Which part of the loss is computed before the loop? Its graph is used again in each step.",
            "What does backward() do with a gradient that is already there?",
        ),
        mistakes=(
            Mistake(
                "The penalty is computed once, before the loop. After the first backward() its graph is freed.",
                penalty_before_the_loop,
            ),
            Mistake(
                "The error is gone. But the gradients of all steps add up.",
                changed(descend, "w.grad = None", "pass"),
                6,
            ),
            Mistake(
                "The slope of the penalty is missing: w must be in the graph of the penalty, too.",
                changed(descend, "0.1 * w**2", "0.1"),
                10,
            ),
            Mistake(
                "retain_graph=True keeps the graph of an old w. The penalty must be computed with the new one.",
                changed(penalty_before_the_loop, "backward()", "backward(retain_graph=True)"),
            ),
            Mistake(
                "`w = w - ...` makes a new tensor without a gradient. Change w itself.",
                changed(descend, "w -= learning_rate * w.grad", "w = w - learning_rate * w.grad"),
                10,
            ),
            Mistake(
                "Outside no_grad, `w = w - ...` makes a new tensor, which is no leaf: its .grad stays None.",
                changed(
                    changed(descend, "w -= learning_rate * w.grad", "w = w - learning_rate * w.grad"),
                    "torch.no_grad()",
                    "torch.enable_grad()",
                ),
                3,
            ),
            Mistake(
                "The gradient is cleared after backward() and before it is used.",
                changed(descend, "loss.backward()", "loss.backward()\n        w.grad = None"),
                6,
            ),
        ),
    ),
    Exercise(
        number=3,
        name="slopes",
        section=7,
        answer=slopes,
        trial=try_slopes,
        hints=(
            "Work on copies: `w.clone()`. Push one number up in one copy, and down in a second one.",
            "`copy.view(-1)` is the same tensor as one row: `copy.view(-1)[3] += h` pushes number 3.",
            "Or: `torch.eye(n).reshape(n, *w.shape)` gives n tensors, each with a single 1. What is w + h times one?",
        ),
        mistakes=(
            Mistake(
                "This is near, but not exact enough: the slope must be taken to both sides, with h = 1e-5.",
                changed(changed(slopes, "f(w - h * one)", "f(w)"), "(2 * h)", "h"),
            ),
            Mistake("From w - h to w + h is a way of 2h.", changed(slopes, "(2 * h)", "h")),
            Mistake(
                "All slopes are near 0. `/ 2 * h` multiplies by h. And `w.view(-1)` is no copy: both pushes are in w.",
                changed(slopes, "(2 * h)", "2 * h"),
            ),
            Mistake(
                "The signs: first the loss for the larger number.",
                changed(slopes, "f(w + h * one) - f(w - h * one)", "f(w - h * one) - f(w + h * one)"),
            ),
            Mistake("All numbers are moved together. Move one at a time.", all_at_once),
            Mistake("w is not what it was: the last push was not taken back.", moved_for_good),
            Mistake(
                "All slopes are near 0. `/ 2 * h` multiplies by h. And `w.view(-1)` is no copy: both pushes are in w.",
                without_copies,
                "Course00 5",
            ),
            Mistake("This is the result of backward(). But this f leaves no graph behind.", by_backward),
            Mistake(
                "The slopes stand in one row. They must have the shape of w.",
                changed(slopes, "stack(found).reshape(w.shape)", "stack(found)"),
            ),
            Mistake(
                "The slopes are float32. They must have the dtype of w.",
                changed(slopes, "reshape(w.shape)", "reshape(w.shape).float()"),
                "Course00 3",
            ),
        ),
    ),
    Exercise(
        number=4,
        name="linear_backward",
        section=2,
        answer=linear_backward,
        trial=try_linear_backward,
        hints=(
            "First the slope of the loss for each number of output, (N, outputs). The mean divides by all of them.",
            "bias[k] changes output[n, k] in each sample n, with slope 1. So its gradient adds up over the samples.",
            "The gradient of weight has the shape (outputs, inputs). Which product of slope and x has this shape?",
        ),
        mistakes=(
            Mistake("The slope of a square is twice the error.", changed(linear_backward, "2 * error", "error")),
            Mistake("Here no graph can be made. Multiply the slopes yourself.", by_autograd),
            Mistake("Here autograd computes the gradients. Multiply the slopes yourself.", by_autograd_after_all),
            Mistake("Here autograd computes the gradients. Multiply the slopes yourself.", by_torch_func),
            Mistake(
                "The mean is over N times outputs numbers, not over N.",
                changed(linear_backward, "error.numel()", "len(error)"),
                "Course13 2",
            ),
            Mistake(
                "Without a division, this is the gradient of the sum, not of the mean.",
                changed(linear_backward, " / error.numel()", ""),
                "Course13 3",
            ),
            Mistake(
                "The gradient of weight must have the shape of weight.",
                changed(linear_backward, "slope.T @ x", "x.T @ slope"),
                4,
            ),
            Mistake(
                "The gradient of bias must have the shape of bias.",
                changed(linear_backward, "slope.sum(dim=0)", "slope"),
                4,
            ),
            Mistake(
                "The gradient of bias must have the shape of bias.",
                changed(linear_backward, "slope.sum(dim=0)", "slope.sum(dim=0, keepdim=True)"),
                4,
            ),
            Mistake(
                "The shares of the samples add up. Their number is in the slope already.",
                changed(linear_backward, "slope.sum(dim=0)", "slope.mean(dim=0)"),
            ),
            Mistake(
                "The error is output minus target, in this order.",
                changed(linear_backward, "x @ weight.T + bias - target", "target - (x @ weight.T + bias)"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="in_chunks",
        section=6,
        answer=in_chunks,
        trial=try_in_chunks,
        hints=(
            "`images[start : start + chunk_size]` is a chunk; the last one may be shorter. Where does each one start?",
            "A chunk of 3 pictures out of 11 has 3/11 of the mean. What must its loss be multiplied by?",
            "Clear once, before the first chunk. Then backward() adds up.",
        ),
        mistakes=(
            Mistake(
                "Each chunk has the same share here, although the last one is smaller.",
                changed(in_chunks, "len(chunk) / len(images)", "1 / len(images.split(chunk_size))"),
                "Course05 3",
            ),
            Mistake(
                "The means of all chunks are added up: the gradient is too large.",
                changed(in_chunks, "len(chunk) / len(images)", "1"),
            ),
            Mistake(
                "The number is right. But backward() runs on losses that do not have their share.",
                changed(
                    changed(in_chunks, "chunk_labels) * share", "chunk_labels)"), "loss.item()", "loss.item() * share"
                ),
            ),
            Mistake(
                "The last chunk is smaller than chunk_size, and so is its share.",
                changed(in_chunks, "len(chunk) / len(images)", "chunk_size / len(images)"),
                "Course05 3",
            ),
            Mistake(
                "`chunk(n)` makes n pieces. Here n is the number of pictures in a piece.",
                changed(in_chunks, "total = 0.0", "total, chunk_size = 0.0, len(images) // chunk_size"),
            ),
            Mistake("The old gradients are in the sum.", changed(in_chunks, "    model.zero_grad()\n", "")),
            Mistake(
                "The gradients are cleared before each chunk, so only the last chunk is left.",
                changed(
                    changed(in_chunks, "    model.zero_grad()\n", ""),
                    "        share",
                    "        model.zero_grad()\n        share",
                ),
            ),
            Mistake(
                "The model got the whole batch at once.",
                changed(in_chunks, "total = 0.0", "total, chunk_size = 0.0, len(images)"),
            ),
            Mistake(
                "One backward() at the end: until then, the graphs of all chunks stay in memory.",
                one_backward_at_the_end,
                8,
            ),
            Mistake(
                "The last chunk is missing.",
                changed(in_chunks, "(0, len(images), chunk_size)", "(0, len(images) - chunk_size + 1, chunk_size)"),
                "Course05 3",
            ),
            Mistake(
                "retain_graph=True keeps each graph in memory, and nothing here needs it.",
                changed(in_chunks, "backward()", "backward(retain_graph=True)"),
                9,
            ),
            Mistake(
                "A tensor comes back, with or without its graph. A Python float is asked.",
                changed(in_chunks, "loss.item()", "loss"),
                8,
            ),
        ),
    ),
]
