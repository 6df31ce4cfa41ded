"""Course 19 · TrainGPU: the answers, how they are judged, and the mistakes that people make."""

import copy
import itertools
import math
import random
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from common.data import stratified
from common.models import MODELS, count_parameters, make_model
from practice import Exercise, Mistake, changed
from trainer.loader import MemoryLoader
from trainer.options import new_run_options


def numbers_of(weights):
    """All numbers of a state_dict, one after the other: (number of numbers,)."""
    return torch.cat([value.detach().double().flatten() for value in weights.values()])


# ---- 1 ----


def try_numbers(numbers):
    yield "how many numbers", len(numbers) if isinstance(numbers, list | tuple) else numbers, 4
    options = new_run_options(["--data", "drawn", "--limit", "500", "--epochs", "4"])
    labels = torch.arange(10_000) % 10
    used = stratified(labels, options["limit"], options["seed"])
    held_out = round(options["val_split"] * len(used))
    train_count = len(used) - held_out
    loader = MemoryLoader(
        torch.zeros(train_count, 3, 1, 1, dtype=torch.uint8), labels[:train_count], options["batch_size"], [0.0], [1.0]
    )
    yield "the pictures that the network learns from", numbers[0], train_count
    yield "the validation pictures", numbers[1], held_out
    yield "the test pictures", numbers[2], 2_000  # drawn ones; --limit is about training pictures
    yield "the steps", numbers[3], options["epochs"] * len(loader)


# ---- 2 ----


class EpochSampler:
    def __init__(self, count, seed):
        self.count, self.seed = count, seed
        self.epoch, self.first = 0, 0

    def set_epoch(self, epoch, first=0):
        self.epoch, self.first = epoch, first

    def __len__(self):
        return self.count - self.first

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.count, generator=generator)
        return iter(order[self.first :].tolist())


def hash_in_a_second_run(value, own=hash):
    """What hash() gives when Python is started again: the same for numbers, a different number for texts."""
    parts = value if isinstance(value, tuple) else (value,)
    return own(value) ^ any(isinstance(part, str | bytes) for part in parts)


def try_epoch_sampler(make_sampler):
    def order_of(sampler):
        return [int(i) for i in sampler]

    def order(seed, epoch, count=50, first=0):
        sampler = make_sampler(count, seed)
        sampler.set_epoch(epoch, first=first)
        return order_of(sampler)

    def next_numbers():
        return torch.rand(3).tolist(), [random.random() for _ in range(3)], np.random.rand(3).tolist()

    def seed_all():
        torch.manual_seed(77)
        random.seed(77)
        np.random.seed(77)

    sampler = make_sampler(50, 3)
    zero = order_of(sampler)
    sampler.set_epoch(2)
    two = order_of(sampler)
    yield "the numbers of an epoch, in order of size", sorted(two), list(range(50))
    stayed = sum(abs(b - a) == 1 for a, b in itertools.pairwise(two))  # of 49; about 2 after a shuffle
    yield f"the order is shuffled (neighbours that stayed neighbours: {stayed})", stayed < 15, True
    yield "epoch 2 a second time", order_of(sampler), two
    yield "epoch 2 after other random numbers were drawn", order(3, 2), two
    with patch("builtins.hash", hash_in_a_second_run):
        resumed = order(3, 2)
    yield "epoch 2 has the same order when Python is started again", resumed == two, True
    seed_all()
    expected = [next_numbers() for _ in range(3)]
    seed_all()
    drawn = [next_numbers()]  # so that a seed alone does not bring the others' numbers back
    another = make_sampler(50, 3)
    another.set_epoch(5)  # one that was not made before
    numbers = iter(another)
    next(numbers)
    drawn.append(next_numbers())
    list(numbers)
    drawn.append(next_numbers())
    for i, whose in enumerate(("torch", "random", "numpy")):
        unchanged = [three[i] for three in drawn] == [three[i] for three in expected]
        yield f"the next numbers of {whose} are the same, whether an order is made or not", unchanged, True
    yield "the order before set_epoch() is that of epoch 0", zero, order(3, 0)
    several = {(seed, epoch): tuple(order(seed, epoch)) for seed in range(3) for epoch in range(4)}
    yield "different orders, of 3 seeds with 4 epochs each", len(set(several.values())), 12
    several = {tuple(order(seed, epoch)) for seed in range(3) for epoch in (0, 1, 10, 100, 1000)}
    yield "different orders, of 3 seeds with the epochs 0, 1, 10, 100 and 1000", len(several), 15
    several = {tuple(order(seed, 0)) for seed in range(50)} | {tuple(order(0, epoch)) for epoch in range(50)}
    yield "different orders, of the seeds 0 to 49 in epoch 0 and of seed 0 in the epochs 0 to 49", len(several), 99
    several = {tuple(order(seed, epoch)) for seed in (0, 1, 42, 100, 1000, 1234) for epoch in range(3)}
    yield "different orders, of the seeds 0, 1, 42, 100, 1000 and 1234 with 3 epochs each", len(several), 18
    yield "the numbers of an epoch of 7, in order of size", sorted(order(1, 4, count=7)), list(range(7))

    sampler.set_epoch(2, first=20)
    left = order_of(sampler)
    yield "how many numbers come from epoch 2, after the first 20 of 50", len(left), 30
    yield "they are the same as in the whole epoch", left == two[20:], True
    yield "the last two of 7 are the same as in the whole epoch", order(1, 4, 7, first=5) == order(1, 4, 7)[5:], True
    yield "len() of it", len(sampler), 30
    batches = [batch.tolist() for batch in DataLoader(torch.arange(50), batch_size=16, sampler=sampler)]
    yield "the batches of a DataLoader", batches, [two[20:36], two[36:]]
    sampler.set_epoch(1)
    yield "epoch 1 after it", order_of(sampler), order(3, 1)
    yield "len() of a whole epoch", len(sampler), 50


# ---- 3 ----


class EarlyStopping:
    def __init__(self, patience):
        self.patience = patience
        self.best, self.waited = -math.inf, 0
        self.best_weights = None

    def step(self, accuracy, model):
        if accuracy > self.best:
            self.best, self.waited = accuracy, 0
            self.best_weights = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience


def try_early_stopping(make_stopping):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    weight, mean = model[0].weight.data, model[1].running_mean
    yield "step(0.5, model) in the first epoch", make_stopping(2).step(0.5, model), False
    yield "best_weights before the first epoch", make_stopping(2).best_weights, None
    for patience, accuracies in [
        (2, [0.5, 0.4, 0.3, 0.6]),
        (2, [0.3, 0.5, 0.4, 0.45, 0.6]),
        (1, [0.0, 0.1, 0.1, 0.2]),
        (3, [0.5, 0.4, 0.6, 0.5, 0.5, 0.7, 0.6, 0.7, 0.65, 0.9]),
        (2, [0.0, 0.0, 0.0]),
        (5, [0.2, 0.1, 0.3]),
        (1, [0.5, 0.4, 0.3, 0.6, 0.2]),
        (2, [0.6, 0.5, 0.4, 0.45, 0.3, 0.7]),
        (1, [0.5, 0.50002, 0.60002]),  # one more of 50,000 pictures
    ]:
        stopping, told, right = make_stopping(patience), [], []
        for epoch in range(len(accuracies)):
            weight.fill_(epoch)
            mean.fill_(epoch)
            so_far = accuracies[: epoch + 1]
            best = so_far.index(max(so_far))
            right.append(epoch - best >= patience)
            told.append(stopping.step(accuracies[epoch], model))
            what = f"patience {patience}, after the accuracies {so_far}"
            yield f"{what}: step() each time", told, right
            yield f"{what}: train mode after step()", model.training, True
            yield f"{what}: all of 0.weight in the model after step()", weight, torch.full((3, 2), float(epoch))
            weight.fill_(-1)  # the next epoch has begun
            mean.fill_(-1)
            weights = stopping.best_weights
            yield "the names in best_weights", list(weights or []), list(model.state_dict())
            yield f"{what}: in best_weights, all of 0.weight", weights["0.weight"], torch.full((3, 2), float(best))
            yield f"{what}: in best_weights, 1.running_mean", weights["1.running_mean"], torch.full((3,), float(best))


class CountsAll(EarlyStopping):
    def step(self, accuracy, model):
        if accuracy > self.best:
            self.best = accuracy
            self.best_weights = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        return self.waited >= self.patience


class ComparesWithLast(EarlyStopping):
    def step(self, accuracy, model):
        if accuracy > self.best:
            self.waited = 0
            self.best_weights = copy.deepcopy(model.state_dict())
        else:
            self.waited += 1
        self.best = accuracy
        return self.waited >= self.patience


# ---- 4 ----


class TinyNet(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, kernel_size=3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(16 * 8 * 8, num_classes),
        )

    def forward(self, images):
        return self.layers(images)


def try_tiny_net(network):
    kept = MODELS.copy()
    MODELS["tiny"] = network
    try:
        yield from try_model(lambda num_classes: make_model("tiny", num_classes))
    finally:
        MODELS.clear()
        MODELS.update(kept)


def try_model(make):
    images = torch.rand(5, 3, 32, 32)
    given = images.clone()
    for num_classes in (7, 10):
        model = make(num_classes)
        logits = model(images)
        what = f"what make_model('tiny', {num_classes}) gives for 5 pictures"
        yield what, tuple(logits.shape) if isinstance(logits, Tensor) else logits, (5, num_classes)
    yield "the 5 pictures afterwards", images, given
    yield "all answers lie between 0 and 1, as probabilities do", bool(((logits >= 0) & (logits <= 1)).all()), False
    count = count_parameters(model)
    yield f"at most 20,000 parameters (it has {count:,})", count <= 20_000, True
    nn.functional.cross_entropy(logits, torch.arange(5)).backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    yield "parameters without a use", unused, []
    model.eval()
    company = torch.cat([images, torch.rand(35, 3, 32, 32)])
    second = make(10)
    second.load_state_dict(model.state_dict())
    with torch.no_grad():
        yield "one picture alone, in eval mode", model(images[:1]), model(company)[:1]
        both_same = torch.allclose(second.eval()(images), model(images), atol=1e-5)
        yield "a second network with its state_dict gives the same answers", both_same, True

    colours = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.8, 0.2], [0.1, 0.2, 0.9], [0.9, 0.9, 0.2]])
    labels = torch.arange(32) % 4
    images = colours[labels].view(32, 3, 1, 1) + 0.05 * torch.rand(32, 3, 32, 32)
    model, accuracy = make(4), 0.0
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        logits = model(images)
        accuracy = (logits.argmax(dim=1) == labels).float().mean().item()
        if accuracy == 1:
            break
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()
    yield "the accuracy on 32 pictures after up to 100 steps", accuracy, 1.0


class TooLarge(TinyNet):
    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 64), nn.ReLU(), nn.Linear(64, num_classes))


class OneLayer(TinyNet):
    def __init__(self, num_classes=10):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, num_classes))


class Unregistered(TinyNet):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.parts = list(self.layers)
        del self.layers

    def forward(self, images):
        for layer in self.parts:
            images = layer.train(self.training)(images)
        return images


class Unused(TinyNet):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.more = nn.Linear(10, 10)


# ---- 5 ----


def range_test(model, batches, loss_fn, rates):
    before = copy.deepcopy(model.state_dict())
    losses = []
    model.train()
    endless = itertools.cycle(batches)
    for rate in rates:
        images, labels = next(endless)
        loss = loss_fn(model(images), labels)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]) or losses[-1] > 4 * min(losses):
            break
        model.zero_grad()
        loss.backward()
        torch.optim.SGD(model.parameters(), lr=rate).step()
    model.load_state_dict(before)
    return losses


def ends_with_the_batches(model, batches, loss_fn, rates):
    return range_test(model, batches, loss_fn, rates[: len(batches)])


def try_range_test(range_test):
    def network():
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
        model(torch.rand(9, 6))
        for p in model.parameters():
            p.grad = torch.ones_like(p)  # left over from before
        return model.eval()

    batches = [(torch.randn(size, 6), torch.randint(3, (size,))) for size in (8, 8, 5)]
    for rates in [[0.01, 0.02, 0.03, 0.1, 0.3], [0.001 * 2**i for i in range(9)]]:
        model = network()
        before = numbers_of(model.state_dict())
        by_hand, right = copy.deepcopy(model).train(), []
        for i, rate in enumerate(rates):
            inputs, labels = batches[i % 3]
            loss = nn.functional.cross_entropy(by_hand(inputs), labels)
            right.append(loss.item())
            parameters = list(by_hand.parameters())
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, gradient in zip(parameters, gradients, strict=True):
                    p -= rate * gradient
        given = list(batches)
        yield f"the losses with {len(rates)} rates", range_test(model, batches, nn.CrossEntropyLoss(), rates), right
        yield "the numbers of the model afterwards", numbers_of(model.state_dict()), before
        yield "the list of batches is as it was", [id(pair) for pair in batches] == [id(pair) for pair in given], True

    def label_as_loss(logits, labels):
        return labels.mean() + 0 * logits.sum()  # nothing is learned, so the losses are known

    for losses, stop in [
        ([1.0, 5.0, 1.0], 2),
        ([2.0, 1.0, 3.5, 4.0, 4.5, 1.0], 5),
        ([4.0, 2.0, 1.0, 5.0, 2.0], 4),
        ([1.0, math.inf, 2.0], 2),
        ([1.0, math.nan, 2.0], 2),
        ([math.inf, 1.0], 1),
        ([0.004, 0.001, 0.003, 0.01, 1.0], 4),
    ]:
        model = network()
        before = numbers_of(model.state_dict())
        batches = [(torch.randn(4, 6), torch.full((4,), loss)) for loss in losses]
        got = range_test(model, batches, label_as_loss, [0.1] * len(losses))
        yield f"the list, where the losses would be {losses}", got, losses[:stop]
        yield "the numbers of the model after a test that was ended", numbers_of(model.state_dict()), before


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="numbers",
        section=7,
        answer=(450, 50, 2000, 32),
        trial=try_numbers,
        hints=(
            "--limit is about the training pictures alone. The validation pictures are taken from them (section 5).",
            "Section 1 shows how many test pictures were drawn. The last batch of an epoch may be a small one.",
        ),
        mistakes=(
            Mistake("The validation pictures are held out of the 500.", (500, 50, 2000, 32), 5),
            Mistake("--limit leaves the test pictures as they are.", (450, 50, 500, 32)),
            Mistake("The last batch of an epoch is small, and is a step as well.", (450, 50, 2000, 28)),
            Mistake("That is one epoch.", (450, 50, 2000, 8)),
            Mistake("An epoch begins with a full batch: the last one of each epoch is small.", (450, 50, 2000, 29)),
        ),
    ),
    Exercise(
        number=2,
        name="EpochSampler",
        section=6,
        answer=EpochSampler,
        trial=try_epoch_sampler,
        hints=(
            "torch.Generator().manual_seed(number) has random numbers of its own; randperm takes generator=.",
            "Make one number of seed and epoch, such that two pairs never give the same one.",
            "order[n:] is a list without its first n items.",
        ),
        mistakes=(
            Mistake(
                "The order depends on all random numbers that were drawn before.",
                changed(EpochSampler, ", generator=generator", ""),
            ),
            Mistake(
                "torch.manual_seed() changes the random numbers of everybody.",
                changed(EpochSampler, "torch.Generator()", "torch"),
            ),
            Mistake(
                "Some pairs share an order, such as seed 1 in epoch 2 and seed 2 in epoch 1.",
                changed(EpochSampler, "self.seed * 1_000_003 + self.epoch", "self.seed + self.epoch"),
            ),
            Mistake(
                "Seed 1 in epoch 10 and seed 2 in epoch 0 must differ, too: how many epochs may a run have?",
                changed(EpochSampler, "1_000_003", "10"),
            ),
            Mistake(
                "Seed 31 in epoch 0 and seed 0 in epoch 1 must differ, too: how large may a seed be?",
                changed(EpochSampler, "self.seed * 1_000_003 + self.epoch", "self.seed + 31 * self.epoch"),
            ),
            Mistake(
                "hash() of a text is a different number each time Python is started, also when a run resumes.",
                changed(
                    EpochSampler,
                    "self.seed * 1_000_003 + self.epoch",
                    'hash(f"{self.seed} {self.epoch}") % 2**63',
                ),
            ),
            Mistake(
                "Every epoch has the same order. Does the number in manual_seed depend on it? Only its last 32 bits "
                "count.",
                changed(EpochSampler, " + self.epoch)", ")"),
            ),
            Mistake("`first` is not used yet.", changed(EpochSampler, "order[self.first :]", "order")),
            Mistake(
                "Leave out the first numbers of the whole order. A shuffle of fewer numbers is a different one.",
                changed(
                    changed(EpochSampler, "randperm(self.count", "randperm(self.count - self.first"),
                    "order[self.first :]",
                    "(order + self.first)",
                ),
            ),
            Mistake(
                "len() is the number of pictures that are left.",
                changed(EpochSampler, "self.count - self.first", "self.count"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="EarlyStopping",
        section=5,
        answer=EarlyStopping,
        trial=try_early_stopping,
        hints=(
            "Keep two more things in self: the best accuracy so far, and how many epochs have passed since.",
            "state_dict() does not copy: it gives the very tensors that the next step changes.",
        ),
        mistakes=(
            Mistake(
                "best_weights changes while the model learns on: state_dict() holds the model's own tensors, "
                "and dict() or copy.copy() copies only the names.",
                changed(EarlyStopping, "copy.deepcopy(model.state_dict())", "model.state_dict()"),
            ),
            Mistake("An equal accuracy is not better.", changed(EarlyStopping, "accuracy > self", "accuracy >= self")),
            Mistake("After a better epoch the waiting begins anew.", CountsAll),
            Mistake("Compare with the best epoch so far, not with the last one.", ComparesWithLast),
            Mistake(
                "It says True once, and then False again, though nothing has improved.",
                changed(EarlyStopping, "waited >= ", "waited == "),
            ),
            Mistake(
                "It says True once, and then False again, though nothing has improved.",
                changed(
                    EarlyStopping,
                    "return self.waited >= self.patience",
                    "stop = self.waited >= self.patience\n        self.waited %= self.patience\n        return stop",
                ),
            ),
            Mistake(
                "step keeps the best weights. It does not put them back into the model.",
                changed(
                    EarlyStopping,
                    "        return",
                    "        if self.waited >= self.patience:\n"
                    "            model.load_state_dict(self.best_weights)\n"
                    "        return",
                ),
            ),
            Mistake(
                "A state_dict has buffers, too.",
                changed(
                    EarlyStopping,
                    "copy.deepcopy(model.state_dict())",
                    "{name: p.detach().clone() for name, p in model.named_parameters()}",
                ),
            ),
            Mistake("That waits for one epoch too many.", changed(EarlyStopping, "waited >= ", "waited > ")),
            Mistake(
                "An accuracy of 0 in the first epoch is the best one so far.",
                changed(EarlyStopping, "-math.inf", "0.0"),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="TinyNet",
        section="Course12 5",
        answer=TinyNet,
        trial=try_tiny_net,
        hints=(
            "A convolution, an activation, a pool, flatten, a linear layer: that is enough.",
            "Most parameters are in the linear layer. A larger pool before it leaves it fewer inputs.",
            "Print the shape after each layer for torch.rand(5, 3, 32, 32).",
        ),
        mistakes=(
            Mistake("The number of classes is not always ten.", changed(TinyNet, "8 * 8, num_classes", "8 * 8, 10")),
            Mistake(
                "CrossEntropyLoss takes logits: no softmax and no activation comes after the last layer.",
                changed(TinyNet, "8 * 8, num_classes),", "8 * 8, num_classes), nn.Softmax(dim=1),"),
                "Course18 3",
            ),
            Mistake(
                "A linear layer on all 3,072 numbers of a picture is too large: pool first.", OneLayer, "Course09 2"
            ),
            Mistake(
                "A linear layer on all 3,072 numbers of a picture is too large: pool first.", TooLarge, "Course09 2"
            ),
            Mistake("A layer is made and not called in forward: it never learns.", Unused, "Course12 19"),
            Mistake(
                "Its state_dict does not hold all layers. A layer in a list is not found, and never learns: use "
                "nn.Sequential or nn.ModuleList, and make all layers in __init__.",
                Unregistered,
                "Course06 9",
            ),
            Mistake(
                "flatten must keep the axis of the pictures.",
                changed(TinyNet, "nn.Flatten()", "nn.Flatten(0)"),
                "Course11 4",
            ),
        ),
    ),
    Exercise(
        number=5,
        name="range_test",
        section=3,
        answer=range_test,
        trial=try_range_test,
        hints=(
            "A copy of the state_dict first, load_state_dict last. Between them is the loop of Course 18.",
            "itertools.cycle(batches) begins again after the last batch; next() takes one.",
            "torch.optim.SGD(model.parameters(), lr=rate) may be made anew for each rate: it has no memory.",
        ),
        mistakes=(
            Mistake(
                "The model keeps what it learned in the test. Is it put back, and was the copy a deep one? "
                "state_dict() holds the model's own tensors.",
                changed(range_test, "copy.deepcopy(model.state_dict())", "dict(model.state_dict())"),
                "Course17 3",
            ),
            Mistake(
                "The gradients of all batches add up.", changed(range_test, "model.zero_grad()", "pass"), "Course18 9"
            ),
            Mistake(
                "The test trains, so the model must be in train mode.",
                changed(range_test, "model.train()", "model.eval()"),
            ),
            Mistake("After the last batch comes the first one again.", ends_with_the_batches),
            Mistake(
                "Each rate has the next batch, and not always the first one.",
                changed(range_test, "itertools.cycle(batches)", "itertools.repeat(batches[0])"),
            ),
            Mistake(
                "The list holds Python numbers, and no tensors.",
                changed(range_test, "losses.append(loss.item())", "losses.append(loss.detach())"),
            ),
            Mistake(
                "The test must end when the loss explodes.",
                changed(range_test, "losses[-1] > 4 * min(losses)", "False"),
            ),
            Mistake(
                "Compare with the smallest loss so far, not with the first one or the one before.",
                changed(range_test, "min(losses)", "losses[0]"),
            ),
            Mistake(
                "The loss that ended the test belongs to the list.",
                changed(range_test, "            break", "            losses.pop()\n            break"),
            ),
            Mistake(
                "Is a loss that is not a number noticed? It is neither larger nor smaller than anything.",
                changed(range_test, "not math.isfinite(losses[-1]) or ", ""),
            ),
            Mistake(
                "An infinite loss ends the test, too. It is not more than 4 times itself.",
                changed(range_test, "not math.isfinite(losses[-1])", "math.isnan(losses[-1])"),
            ),
        ),
    ),
]
