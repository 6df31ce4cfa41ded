"""Course 18 · ModelTrainProcess: the answers, how they are judged, and the mistakes that people make."""

import copy
import functools
import inspect
import traceback

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

from practice import Exercise, Mistake, changed


class Watched(nn.Module):
    """A network with BatchNorm that notes, at each call, whether it was in train mode and whether a graph was kept."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(4 * 2 * 3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5))
        self.modes, self.graphs = [], []

    def forward(self, images):  # (N, 3, 4, 5) -> (N, 5)
        self.modes.append(self.training)
        self.graphs.append(torch.is_grad_enabled())
        return self.head(self.maps(images))


def watched():
    """The network, in eval mode. None of its BatchNorms has the statistics, weight and bias of the beginning."""
    model = Watched()
    for norm in (model.maps[1], model.head[1]):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    model(torch.rand(20, 3, 4, 5))
    model.modes, model.graphs = [], []
    return model.eval()


def loader_of(count, batch_size):
    """A loader, and all that is in it."""
    images, labels = torch.rand(count, 3, 4, 5), torch.randint(5, (count,))
    return DataLoader(TensorDataset(images, labels), batch_size), images, labels


def parameters_of(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# ---- 1 ----


def try_run(run):
    yield "how many numbers", len(run) if isinstance(run, list | tuple) else run, 4
    batches = [len(batch) for batch in DataLoader(torch.zeros(1000), batch_size=64)]
    steps = 3 * len(batches)
    first_loss = nn.functional.cross_entropy(torch.zeros(8, 100), torch.arange(8)).item()
    yield "the steps", run[0], steps
    yield "the last batch", run[1], batches[-1]
    yield "the points", run[2], len([step for step in range(1, steps + 1) if step % 10 == 0])
    yield "the first loss", run[3], first_loss, 0.01


# ---- 2 ----


def evaluate(model, loader, loss_fn):
    loss_sum, correct, count = 0.0, 0, 0
    model.eval()
    with torch.no_grad():
        for images, labels in loader:
            logits = model(images)
            loss_sum += loss_fn(logits, labels).item() * len(labels)
            correct += (logits.argmax(dim=1) == labels).sum().item()
            count += len(labels)
    return loss_sum / count, correct / count


def try_evaluate(evaluate):
    for batch_size, smoothing in [(64, 0.0), (30, 0.2)]:
        loader, images, labels = loader_of(65, batch_size)
        model = watched()
        with torch.no_grad():
            logits = model(images)  # all at once
        log_shares = logits.log_softmax(dim=1)
        right_class = log_shares[torch.arange(65), labels]
        loss = -((1 - smoothing) * right_class + smoothing * log_shares.mean(dim=1)).mean().item()
        accuracy = sum(int(row.argmax()) == int(label) for row, label in zip(logits, labels, strict=True)) / 65
        model.train()
        model.modes, model.graphs = [], []
        result = evaluate(model, loader, nn.CrossEntropyLoss(label_smoothing=smoothing))
        yield "train mode while it measures", sorted(set(model.modes)), [False]
        yield "a graph is kept while it measures", sorted(set(model.graphs)), [False]
        yield "gradients are computed afterwards", torch.is_grad_enabled(), True
        what = f"of 65 pictures in batches of {batch_size}"
        yield f"two numbers, {what}", len(result), 2
        yield f"the loss {what}", result[0], loss
        yield f"the accuracy {what}", result[1], accuracy


def as_given(model, loader, loss_fn):
    loss_sum, correct, count = 0.0, 0, 0
    for images, labels in loader:
        logits = model(images)
        loss_sum += loss_fn(logits, labels)
        correct += (logits.argmax(dim=1) == labels).float().mean()
        count += 1
    return loss_sum / count, correct / count


# ---- 3 ----


def train_epoch(model, loader, loss_fn, optimizer, log):
    loss_sum, correct, count = 0.0, 0, 0
    model.train()
    for images, labels in loader:
        logits = model(images)
        loss = loss_fn(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        log(loss.item())
        loss_sum += loss.item() * len(labels)
        correct += (logits.argmax(dim=1) == labels).sum().item()
        count += len(labels)
    return loss_sum / count, correct / count


def try_train_epoch(train_epoch):
    for count, batch_size, lr, momentum, smoothing in [(65, 30, 0.5, 0.0, 0.0), (20, 8, 0.1, 0.9, 0.2)]:
        loader, images, labels = loader_of(count, batch_size)
        loss_fn = nn.CrossEntropyLoss(label_smoothing=smoothing)
        model = watched()
        for p in model.parameters():
            p.grad = torch.ones_like(p)  # left over from before

        by_hand = copy.deepcopy(model).train()
        losses, loss_sum, correct = [], 0.0, 0
        velocities = [torch.zeros_like(p) for p in by_hand.parameters()]
        for batch, answers in zip(images.split(batch_size), labels.split(batch_size), strict=True):
            logits = by_hand(batch)
            log_shares = logits.log_softmax(dim=1)
            right_class = log_shares[torch.arange(len(batch)), answers]
            each = -((1 - smoothing) * right_class + smoothing * log_shares.mean(dim=1))
            parameters = list(by_hand.parameters())
            gradients = torch.autograd.grad(each.mean(), parameters)
            with torch.no_grad():
                for p, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    velocity.mul_(momentum).add_(gradient)
                    p -= lr * velocity
            losses.append(each.mean().item())
            loss_sum += each.sum().item()
            correct += int((logits.argmax(dim=1) == answers).sum())

        logged = []
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
        result = train_epoch(model, loader, loss_fn, optimizer, logged.append)
        what = f"of {count} pictures in batches of {batch_size}"
        yield f"train mode, in each step {what}", model.modes, [True] * len(losses)
        yield f"the parameters after an epoch {what}", parameters_of(model), parameters_of(by_hand)
        yield f"the running means after an epoch {what}", model.maps[1].running_mean, by_hand.maps[1].running_mean
        yield f"what was logged in an epoch {what}", logged, losses
        yield f"two numbers after an epoch {what}", len(result), 2
        yield f"the loss {what}", result[0], loss_sum / count
        yield f"the accuracy {what}", result[1], correct / count


# ---- 4 ----


@functools.cache
def losses_by_heart():
    """The loss of each network after 300 steps."""
    torch.manual_seed(18)
    pictures, labels = torch.rand(16, 3, 4, 4), torch.arange(16) % 10
    ends = {"a": [], "b": [], "c": [nn.Softmax(1)], "d": [nn.Tanh()], "e": []}
    losses = {}
    for letter, end in ends.items():
        first, between = nn.Linear(48, 64), [] if letter == "b" else [nn.ReLU()]
        first.requires_grad_(letter != "e")
        network = nn.Sequential(nn.Flatten(), first, *between, nn.Linear(64, 10), *end)
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(300):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(pictures), labels)
            loss.backward()
            optimizer.step()
        losses[letter] = loss.item()
    return losses


def try_cannot(cannot):
    right = [letter for letter, loss in losses_by_heart().items() if not loss < 0.5]
    yield "the letters", sorted(cannot) if isinstance(cannot, list | tuple | set) else cannot, right


# ---- 5 ----


def collect_statistics(model, loader):
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
    momentum_of = {layer: layer.momentum for layer in layers}
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    with torch.no_grad():
        for images, _ in loader:
            model(images)
    for layer, momentum in momentum_of.items():
        layer.momentum = momentum
    model.eval()


def mean_and_variance(x, axes):
    return x.mean(dim=axes), x.var(dim=axes)  # unbiased, as BatchNorm keeps it


def normalised(x, layer, axes):
    """BatchNorm in train mode, by hand."""
    centred = x - x.mean(dim=axes, keepdim=True)
    shape = (1, -1) + (1,) * (x.dim() - 2)
    scaled = centred / (centred.square().mean(dim=axes, keepdim=True) + layer.eps).sqrt()
    return scaled * layer.weight.view(shape) + layer.bias.view(shape)


def in_update_bn():
    """Whether PyTorch's update_bn is what calls the model just now."""
    code = inspect.unwrap(update_bn).__code__
    return any(frame.f_code is code for frame, _ in traceback.walk_stack(None))


def try_collect_statistics(collect_statistics):
    for batch_size, is_training, momentum in [(20, False, 0.1), (13, True, None)]:
        loader, images, _ = loader_of(33, batch_size)
        model = watched().train(is_training)
        norms = [model.maps[1], model.head[1]]
        norms[1].momentum = momentum
        before = parameters_of(model)
        found = []  # for each batch: two means and two variances
        with torch.no_grad():
            for batch in images.split(batch_size):
                maps = model.maps[0](batch)
                features = model.head[0](normalised(maps, model.maps[1], (0, 2, 3)).relu().flatten(1))
                found.append((*mean_and_variance(maps, (0, 2, 3)), *mean_and_variance(features, (0,))))
        right = [torch.stack(values).mean(dim=0) for values in zip(*found, strict=True)]

        ready_made = []
        model.register_forward_pre_hook(lambda *_, calls=ready_made: calls.append(in_update_bn()))
        returned = collect_statistics(model, loader)
        what = f"with batches of {batch_size}"
        yield f"train mode, batch by batch, {what}", model.modes, [True] * len(found)
        yield f"a graph is kept, {what}", sorted(set(model.graphs)), [False]
        yield "gradients are computed afterwards", torch.is_grad_enabled(), True
        means = [norm.running_mean[0].item() for norm in norms]
        yield f"the first running mean of each BatchNorm, {what}", means, [right[0][0].item(), right[2][0].item()]
        for number, norm in enumerate(norms):
            yield f"the running mean of BatchNorm {number + 1}, {what}", norm.running_mean, right[2 * number]
            yield f"the running variance of BatchNorm {number + 1}, {what}", norm.running_var, right[2 * number + 1]
        yield "the momentum afterwards", [norm.momentum for norm in norms], [0.3, momentum]
        yield "the modes afterwards", sorted({part.training for part in model.modules()}), [False]
        yield "the parameters afterwards", parameters_of(model), before
        yield "what the function returns", returned, None
        yield "the batches come from PyTorch's update_bn", any(ready_made), False


def ready_made_one(model, loader):
    update_bn(loader, model)
    model.eval()


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="run",
        section=2,
        answer=(48, 40, 4, 4.6),
        trial=try_run,
        hints=(
            "How many whole batches of 64 are in 1,000, and what is left? What is left is a batch, too.",
            "Section 4 says how the first loss follows from the number of classes.",
        ),
        mistakes=(
            Mistake("The last batch of an epoch is smaller, and is a step all the same.", (45, 40, 4, 4.6)),
            Mistake("That is one epoch. The run has three.", (16, 40, 1, 4.6)),
            Mistake("An epoch begins with a full batch again: 3,000 pictures are not cut in one go.", (47, 40, 4, 4.6)),
            Mistake("What is left of 1,000 after 15 full batches?", (48, 64, 4, 4.6)),
            Mistake("The loop counts its steps from 1, so step 10 is the first with a point.", (48, 40, 5, 4.6), 5),
            Mistake("That is the loss for ten classes.", (48, 40, 4, 2.3), 4),
            Mistake("That is a logarithm with base 10. The loss has the natural one.", (48, 40, 4, 2.0), 4),
        ),
    ),
    Exercise(
        number=2,
        name="evaluate",
        section=5,
        answer=evaluate,
        trial=try_evaluate,
        hints=(
            "Compare it with the second half of the loop. Two things stand there before the first batch.",
            "loss_fn gives the mean over one batch. Section 5 says how it becomes the mean over all pictures.",
        ),
        mistakes=(
            Mistake("The model is measured in train mode.", as_given, 10),
            Mistake("A graph is kept for each batch.", changed(evaluate, "torch.no_grad()", "torch.enable_grad()")),
            Mistake(
                "set_grad_enabled(False) stays in force after the function: nothing learns any more.",
                changed(evaluate, "with torch.no_grad():", "for _ in [torch.set_grad_enabled(False)]:"),
            ),
            Mistake(
                "The mean of a batch of 1 counts as much as that of a batch of 64.",
                changed(
                    changed(evaluate, ".item() * len(labels)", ".item()"), "loss_sum / count", "loss_sum / len(loader)"
                ),
            ),
            Mistake("loss is a tensor. Take the number out of it.", changed(evaluate, ".item() * len", " * len")),
            Mistake(
                "The accuracy: count what is right over all batches, and divide once, at the end.",
                changed(
                    changed(evaluate, ".sum().item()", ".float().mean().item()"),
                    "correct / count",
                    "correct / len(loader)",
                ),
            ),
            Mistake(
                "The accuracy: take the number out of the tensor.",
                changed(evaluate, ".sum().item()", ".sum()"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="train_epoch",
        section=5,
        answer=train_epoch,
        trial=try_train_epoch,
        hints=(
            "Before the loop: a mode, and three sums that begin at 0. In the loop: forward, loss, then three lines.",
            "The three lines are zero_grad, backward and step. Where may zero_grad stand?",
            "The loss of a batch is a mean: make it a sum again before you add it up.",
        ),
        mistakes=(
            Mistake("The model came in eval mode.", changed(train_epoch, "model.train()", "pass"), 10),
            Mistake(
                "backward() adds to the gradients of the step before.",
                changed(train_epoch, "optimizer.zero_grad()", "pass"),
                9,
            ),
            Mistake(
                "Nothing moves: is there a step, and does it come before the gradients are cleared?",
                changed(
                    train_epoch,
                    "optimizer.zero_grad()\n        loss.backward()",
                    "loss.backward()\n        optimizer.zero_grad()",
                ),
            ),
            Mistake(
                "The step comes before the gradients of its batch.",
                changed(
                    train_epoch,
                    "optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()",
                    "optimizer.step()\n        optimizer.zero_grad()\n        loss.backward()",
                ),
            ),
            Mistake(
                "A logged loss is a Python number, not a tensor with its graph.",
                changed(train_epoch, "log(loss.item())", "log(loss)"),
            ),
            Mistake(
                "Is log called for each batch?",
                changed(train_epoch, "        log(loss.item())\n", ""),
            ),
            Mistake(
                "Call the model once for each batch: each further call changes BatchNorm's statistics once more.",
                changed(train_epoch, "(logits.argmax", "(model(images).argmax"),
            ),
            Mistake(
                "The mean of the batches' means is not the mean over all pictures.",
                changed(
                    changed(train_epoch, ".item() * len(labels)", ".item()"),
                    "loss_sum / count",
                    "loss_sum / len(loader)",
                ),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="cannot",
        section=8,
        answer=["c", "d"],
        trial=try_cannot,
        hints=(
            "Write the loop once, in a function that takes a network and returns the last loss. Print five losses.",
            "A loss that stands still far above 0 is not a matter of patience. What can the last layer not give?",
        ),
        mistakes=(
            Mistake("Two networks have losses that stop above 0.5, and you have one of them.", ["c"]),
            Mistake("Two networks have losses that stop above 0.5, and you have one of them, too.", ["d"]),
            Mistake(
                "Without an activation a network is a linear one. Train it: 16 pictures of 48 numbers are no riddle.",
                ["b", "c", "d"],
            ),
            Mistake("A frozen layer passes numbers on. Train it: is the layer above enough?", ["c", "d", "e"]),
            Mistake("Train them and look at the losses: two of these can learn the batch.", ["b", "c", "d", "e"]),
            Mistake("Did you train them? Some of these losses fall almost to 0.", ["b", "e"]),
            Mistake("Did you train all five? Not all of these losses fall below 0.5.", []),
        ),
    ),
    Exercise(
        number=5,
        name="collect_statistics",
        section=12,
        answer=collect_statistics,
        trial=try_collect_statistics,
        hints=(
            "Four parts: prepare each BatchNorm; train mode; the batches go through; put back what was changed.",
            "isinstance(layer, nn.BatchNorm2d) finds the layers. Keep each momentum before you change it.",
        ),
        mistakes=(
            Mistake(
                "In which mode does BatchNorm collect? The whole model must be in it.",
                changed(collect_statistics, "model.train()", "pass"),
            ),
            Mistake(
                "A graph is kept for each batch.",
                changed(collect_statistics, "torch.no_grad()", "torch.enable_grad()"),
                5,
            ),
            Mistake(
                "The old statistics are still in them.",
                changed(collect_statistics, "layer.reset_running_stats()", "pass"),
            ),
            Mistake(
                "With a number as momentum, the last batches count more, and the start is not forgotten.",
                changed(collect_statistics, "layer.momentum = None", "pass"),
            ),
            Mistake(
                "children() gives only the first level. The BatchNorms are deeper.",
                changed(collect_statistics, "model.modules()", "model.children()"),
            ),
            Mistake("There are BatchNorm1d layers, too.", changed(collect_statistics, "nn.BatchNorm1d | ", "")),
            Mistake("There are BatchNorm2d layers, too.", changed(collect_statistics, " | nn.BatchNorm2d", "")),
            Mistake(
                "reset_parameters() resets weight and bias as well. Only the statistics are to be forgotten.",
                changed(collect_statistics, "reset_running_stats", "reset_parameters"),
            ),
            Mistake(
                "The momentum is not what it was.", changed(collect_statistics, "layer.momentum = momentum", "pass")
            ),
            Mistake(
                "Not every layer had a momentum of 0.1.",
                changed(collect_statistics, "layer.momentum = momentum", "layer.momentum = 0.1"),
            ),
            Mistake(
                "The model must be in eval mode in the end.", changed(collect_statistics, "model.eval()", "pass"), 10
            ),
            Mistake(
                "The model must be in eval mode in the end, in whatever mode it came.",
                changed(
                    changed(collect_statistics, "model.train()", "was_training = model.training\n    model.train()"),
                    "model.eval()",
                    "model.train(was_training)",
                ),
            ),
            Mistake("update_bn does it, and here you write what it does.", ready_made_one),
        ),
    ),
]
