"""Course 15 · Optim: the answers, how they are judged, and the mistakes that people make."""

import copy
import math

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from practice import Exercise, Mistake, changed

# ---- 1 ----


def try_walk(walk):
    w = torch.tensor(4.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.5, momentum=0.5)
    right = []
    for _ in range(3):
        optimizer.zero_grad()
        (w**2 / 2).backward()
        optimizer.step()
        right.append(w.item())
    if not isinstance(walk, list | tuple) or len(walk) != 3:
        yield "the three numbers", walk, tuple(right)
    for step, (got, expected) in enumerate(zip(walk, right, strict=True), start=1):
        yield f"w after step {step}", got, expected


# ---- 2 ----


def train(model, loss_fn, optimizer, batches):
    model.train()
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        output = model(images)
        loss = loss_fn(output, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def step_too_early(model, loss_fn, optimizer, batches):
    model.train()
    losses = []
    for images, labels in batches:
        loss = loss_fn(model(images), labels)
        optimizer.step()
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
    return losses


def one_step_at_the_end(model, loss_fn, optimizer, batches):
    model.train()
    losses = []
    for images, labels in batches:
        loss = loss_fn(model(images), labels)
        loss.backward()
        losses.append(loss.item())
    optimizer.step()
    return losses


class Watched(nn.Sequential):
    """Notes whether it and all its layers are in training mode when it is used."""

    modes = ()

    def forward(self, images):
        self.modes = (*self.modes, all(module.training for module in self.modules()))
        return super().forward(images)


def try_train(train):
    images, classes, targets = torch.randn(11, 2, 3), torch.randint(4, (11,)), torch.randn(11, 4)
    for loss_fn, labels, lr, mu, size in [
        (nn.CrossEntropyLoss(), classes, 0.5, 0.0, 5),  # the last batch is one picture
        (nn.MSELoss(), targets, 0.1, 0.0, 6),
        (nn.MSELoss(), targets, 0.1, 0.9, 3),
    ]:
        model = Watched(nn.Flatten(start_dim=-2), nn.Linear(6, 4))  # takes pictures, and no flat ones
        model.eval()
        start = [p.detach().clone() for p in model.parameters()]
        batches = list(zip(images.split(size), labels.split(size), strict=True))
        count = len(batches)
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=mu)
        name = f"{type(loss_fn).__name__}, SGD with {lr=}, momentum={mu}"
        right_losses, right_parameters = by_hand(start, loss_fn, lr, mu, batches)
        torch.manual_seed(1501)
        losses = train(model, loss_fn, optimizer, batches)
        for (which, parameter), right in zip(model.named_parameters(), right_parameters, strict=True):
            yield f"{name}: {which} afterwards", parameter, right
        yield f"{name}: the losses of {count} batches", losses, right_losses, 1e-5
        yield f"{name}: the model was in training mode", model.modes, (True,) * count
        yield f"{name}: the number of batches in the list afterwards", len(batches), count
        yield f"{name}: the seed of the random numbers afterwards", torch.initial_seed(), 1501


def by_hand(start, loss_fn, lr, mu, batches):
    """The losses and the last weight and bias of a linear layer that SGD trains, without an optimizer."""
    parameters, speeds, losses = start, [torch.zeros_like(p) for p in start], []
    for images, labels in batches:
        weight, bias = (p.clone().requires_grad_() for p in parameters)
        loss = loss_fn(images.flatten(1) @ weight.T + bias, labels)
        gradients = torch.autograd.grad(loss, (weight, bias))
        speeds = [mu * v + g for v, g in zip(speeds, gradients, strict=True)]
        parameters = [p - lr * v for p, v in zip(parameters, speeds, strict=True)]
        losses.append(loss.item())
    return losses, parameters


# ---- 3 ----


def forgotten(model, optimizer):
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return [name for name, p in model.named_parameters() if not any(p is other for other in held)]


def try_forgotten(forgotten):
    def new_model():
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))

    first, middle, last = (["0.weight", "0.bias"], ["2.weight", "2.bias"], ["4.weight", "4.bias"])
    model = new_model()
    yield "an optimizer with all parameters", forgotten(model, torch.optim.SGD(model.parameters(), lr=0.1)), []
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    yield "an optimizer with the layer in the middle only", forgotten(model, optimizer), first + last
    optimizer = torch.optim.Adam([model[0].bias, model[4].weight], lr=0.1)
    yield "an optimizer with 0.bias and 4.weight", forgotten(model, optimizer), ["0.weight", *middle, "4.bias"]
    groups = [{"params": model[4].weight, "lr": 0.5}, {"params": model[0].parameters()}, {"params": model[4].bias}]
    yield (
        "an optimizer with three groups: 4.weight, the first layer, 4.bias",
        forgotten(model, torch.optim.SGD(groups, lr=0.1)),
        middle,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[4] = nn.Linear(4, 7)
    yield "the last layer was replaced after the optimizer was made", forgotten(model, optimizer), last
    model = new_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model[2] = copy.deepcopy(model[2])
    yield "a layer was replaced by a copy with equal numbers", forgotten(model, optimizer), middle
    yield "an optimizer of a different model", forgotten(new_model(), optimizer), first + middle + last
    yield from rows_of_parts(forgotten)


def rows_of_parts(forgotten):
    model = Parts()
    model(torch.rand(5, 3)).sum().backward()
    model.start.requires_grad_(False)
    held = [*model.blocks[0].parameters(), model.last.bias]
    optimizer = torch.optim.SGD(held, lr=0.1)
    numbers = [p.detach().clone() for p in model.parameters()]
    gradients = [p.grad.clone() for p in model.parameters()]
    right = ["scale", "blocks.1.0.weight", "blocks.1.0.bias", "last.weight", "start.weight", "start.bias"]
    what = "a frozen layer, layers in layers, and a parameter of the model itself"
    yield what, forgotten(model, optimizer), right
    now = [p for group in optimizer.param_groups for p in group["params"]]
    yield f"{what}: the number of parameters in the optimizer afterwards", len(now), len(held)
    yield f"{what}: the numbers of the parameters afterwards", list(model.parameters()), numbers
    yield f"{what}: the gradients afterwards", [p.grad for p in model.parameters()], gradients


class Parts(nn.Module):
    """Parameters at three depths, and buffers."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.blocks = nn.Sequential(nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 4), nn.ReLU()))
        self.last = nn.Linear(4, 2)
        self.start = nn.Linear(3, 3)

    def forward(self, x):
        return self.last(self.blocks(self.start(x))) * self.scale


def of_the_same_shape(model, optimizer):
    held = [p.shape for group in optimizer.param_groups for p in group["params"]]
    return [name for name, p in model.named_parameters() if p.shape not in held]


# ---- 4 ----


def loss_after(lr):
    """The same training as in the exercise."""
    torch.manual_seed(15)
    angles, radii = torch.linspace(0, 6.2, 60), torch.tensor([1.0, 2.0]).repeat(30)
    points = torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1)
    labels = (radii > 1.5).long()
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(100):
        optimizer.zero_grad()
        loss = loss_fn(model(points), labels)
        loss.backward()
        optimizer.step()
    return loss.item()


def try_learning_rate(learning_rate):
    if isinstance(learning_rate, bool) or not isinstance(learning_rate, int | float) or not learning_rate > 0:
        yield "whether learning_rate is a number above 0", False, True
    loss = loss_after(learning_rate)
    if loss < 0.1:
        seen = "below 0.1"
    elif loss > 0.7 or math.isnan(loss) or loss_after(learning_rate / 2) < loss:
        seen = "higher than with half the rate, or nan"
    else:
        seen = "above 0.6, almost flat" if loss > 0.6 else "falling, and still above 0.1"
    yield "a loss that ends below 0.1", seen, "below 0.1"


# ---- 5 ----


class MyAdam:
    def __init__(self, parameters, lr, betas=(0.9, 0.999), eps=1e-8):
        self.parameters = list(parameters)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.t = 0
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.s = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        self.t += 1
        beta1, beta2 = self.betas
        with torch.no_grad():
            for i, p in enumerate(self.parameters):
                if p.grad is None:
                    continue
                self.m[i] = beta1 * self.m[i] + (1 - beta1) * p.grad
                self.s[i] = beta2 * self.s[i] + (1 - beta2) * p.grad**2
                m, s = self.m[i] / (1 - beta1**self.t), self.s[i] / (1 - beta2**self.t)
                p -= self.lr * m / (s.sqrt() + self.eps)


class BorrowedAdam:
    def __init__(self, parameters, lr, betas=(0.9, 0.999), eps=1e-8):
        self.adam = torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps)

    def zero_grad(self):
        self.adam.zero_grad()

    def step(self):
        self.adam.step()


class PartlyUsed(nn.Module):
    """Its layer `unused` has no gradients, and its layer `early` has them only while `is_early` is True."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 5)
        self.unused = nn.Linear(2, 2)
        self.early = nn.Linear(3, 2)
        self.last = nn.Linear(5, 2)
        self.is_early = True

    def forward(self, x):
        out = self.last(self.first(x).tanh())
        return out + self.early(x) if self.is_early else out


def try_my_adam(MyAdam):
    for settings in [{"lr": 0.1}, {"lr": 0.02, "betas": (0.5, 0.8), "eps": 0.3}]:
        model = PartlyUsed().double()
        twin = copy.deepcopy(model)
        ours, theirs = MyAdam(model.parameters(), **settings), torch.optim.Adam(twin.parameters(), **settings)
        objects = list(model.parameters())
        words = ", ".join(f"{name}={value}" for name, value in settings.items())
        borrowed = []  # the optimizers of torch.optim that made a step of ours
        for step in range(1, 11):
            x, target = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
            x[:, 1] = 0  # some gradients are 0
            model.is_early = twin.is_early = step <= 4
            theirs.zero_grad()
            nn.functional.mse_loss(twin(x), target).backward()
            theirs.step()
            ours.zero_grad()
            left = [name for name, p in model.named_parameters() if p.grad is not None]
            yield f"MyAdam({words}): parameters with a gradient after zero_grad()", left, []
            nn.functional.mse_loss(model(x), target).backward()
            gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
            with register_optimizer_step_pre_hook(lambda optimizer, *_: borrowed.append(optimizer)):  # noqa: B023
                returned = ours.step()
            if returned is ...:
                yield "what step() does", returned, None
            yield "whether MyAdam is or has an optimizer of torch.optim", bool(borrowed), False
            for (name, parameter), right in zip(model.named_parameters(), twin.parameters(), strict=True):
                yield f"MyAdam({words}): {name} after step {step}", parameter, right
            for name, right in gradients.items():
                got = model.get_parameter(name).grad
                yield f"MyAdam({words}): the gradient of {name} after step {step}", got, right
        same = all(a is b and a.requires_grad for a, b in zip(model.parameters(), objects, strict=True))
        yield f"MyAdam({words}): the parameters are still the same objects", same, True


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="walk",
        section=6,
        answer=(2.0, 0.0, -1.0),
        trial=try_walk,
        hints=(
            "Two lines for each step: first the new speed, v = 0.5 * v + gradient, then w = w - 0.5 * v.",
            "The gradient is the w before the step. The speed of the first step is 4.",
        ),
        mistakes=(
            Mistake("This is SGD without momentum.", (2, 1, 0.5), 2),
            Mistake("At w = 0 the gradient is 0, but the speed is not.", (2, 0, 0)),
            Mistake("The gradient of w² / 2 is w, not 2w.", (0, -2, -1)),
            Mistake("PyTorch adds the whole gradient to the speed, not a half of it.", (3, 1.75, 0.6875)),
            Mistake("After the first step, w is no longer 4: the speed grows before it is used.", (4, 2, 0)),
            Mistake("The gradient is that of w before this step, not always that of the start.", (2, -1, -4.5)),
        ),
    ),
    Exercise(
        number=2,
        name="train",
        section=3,
        answer=train,
        trial=try_train,
        hints=(
            "Five lines for each batch: clear, forward, loss, backward, step.",
            "`loss.item()` is a Python float. Collect them in a list.",
            "`model.train()` stands above the loop.",
        ),
        mistakes=(
            Mistake("The gradients of all batches add up.", changed(train, "        optimizer.zero_grad()\n", ""), 9),
            Mistake(
                "Nothing moves. Is there a step for each batch? And is there still a gradient when it comes?",
                changed(train, "loss.backward()", "loss.backward()\n        optimizer.zero_grad()"),
            ),
            Mistake(
                "The step comes before backward, so each step is made with an old gradient, or with none.",
                step_too_early,
            ),
            Mistake(
                "These are tensors, and each one keeps its graph.",
                changed(train, "loss.item()", "loss"),
                "Course14 8",
            ),
            Mistake("The model was not in training mode.", changed(train, "    model.train()\n", ""), 4),
            Mistake(
                "The function ends after the first batch, because return stands inside the loop.",
                changed(train, "    return losses", "        return losses"),
            ),
            Mistake(
                "loss_fn takes the outputs first, and the labels second.",
                changed(train, "loss_fn(output, labels)", "loss_fn(labels, output)"),
                "Course13 2",
            ),
            Mistake(
                "There is one step for each batch, not one for the epoch.",
                one_step_at_the_end,
            ),
        ),
    ),
    Exercise(
        number=3,
        name="forgotten",
        section=10,
        answer=forgotten,
        trial=try_forgotten,
        hints=(
            "First collect all parameters of the optimizer in one list: a loop over groups, and in it over parameters.",
            "`any(p is other for other in held)` says whether p itself is in the list.",
        ),
        mistakes=(
            Mistake(
                "`in` compares tensors with ==, number by number, and that is no single True or False.",
                changed(forgotten, "not any(p is other for other in held)", "p not in held"),
                "Course10 10",
            ),
            Mistake(
                "An optimizer can have more than one group.",
                changed(forgotten, "optimizer.param_groups", "optimizer.param_groups[:1]"),
            ),
            Mistake(
                "Equal numbers are not enough: after a step of the optimizer they are different.",
                changed(forgotten, "p is other", "torch.equal(p, other)"),
            ),
            Mistake("Two parameters can have the same shape.", of_the_same_shape),
            Mistake(
                "A frozen parameter is a parameter of the model, too.",
                changed(forgotten, "if not any", "if p.requires_grad and not any"),
                "Course16 6",
            ),
            Mistake(
                "A state_dict holds buffers, too, and the optimizer needs none of them.",
                changed(forgotten, "model.named_parameters()", "model.state_dict(keep_vars=True).items()"),
                "Course06 7",
            ),
            Mistake(
                "These are the parameters themselves. Their names are asked.",
                changed(forgotten, "[name for", "[p for"),
                "Course06 5",
            ),
            Mistake("These are the parameters that the optimizer holds.", changed(forgotten, "if not any", "if any")),
        ),
    ),
    Exercise(
        number=4,
        name="learning_rate",
        section=5,
        answer=1.0,
        trial=try_learning_rate,
        hints=(
            "Begin with 0.001 and go on in factors of ten: what does the loss do?",
            "There is a rate that is too small and one that is too large. Look between them.",
        ),
        mistakes=(
            Mistake("Almost flat: the steps are far too small. Take ten times more.", 0.001),
            Mistake("It falls, and 100 steps are not enough. Larger steps would get further.", 0.1),
            Mistake("The loss rises or jumps: the steps are too large. Take ten times less.", 100.0),
        ),
    ),
    Exercise(
        number=5,
        name="MyAdam",
        section=7,
        answer=MyAdam,
        trial=try_my_adam,
        hints=(
            "In __init__: the list of parameters, and for each parameter a tensor of zeros for m and one for s.",
            "In step(): t grows by 1 once, then a loop over the parameters with the three formulas of section 7.",
            "`p -= change` under torch.no_grad() changes the parameter. `p = p - change` makes a new tensor.",
        ),
        mistakes=(
            Mistake(
                "m and s begin at 0, and you do not make up for that: divide by their share.",
                changed(
                    MyAdam,
                    "self.m[i] / (1 - beta1**self.t), self.s[i] / (1 - beta2**self.t)",
                    "self.m[i], self.s[i]",
                ),
            ),
            Mistake(
                "m and s begin at 0, and you do not make up for that: divide by their share.",
                changed(MyAdam, "self.m[i] / (1 - beta1**self.t)", "self.m[i]"),
            ),
            Mistake(
                "m and s begin at 0, and you do not make up for that: divide by their share.",
                changed(MyAdam, "self.s[i] / (1 - beta2**self.t)", "self.s[i]"),
            ),
            Mistake(
                "Nothing moves. `p = p - ...` only makes a new tensor. And a generator is used up after one loop.",
                changed(MyAdam, "p -= self.lr", "p = p - self.lr"),
            ),
            Mistake(
                "t counts steps. Here it grows for each parameter.",
                changed(
                    changed(MyAdam, "        self.t += 1\n", ""),
                    "                self.m[i] = beta1",
                    "                self.t += 1\n                self.m[i] = beta1",
                ),
            ),
            Mistake(
                "ε is added to the root, not under it.",
                changed(MyAdam, "(s.sqrt() + self.eps)", "(s + self.eps).sqrt()"),
            ),
            Mistake(
                "This is Adam of torch.optim. Write its step yourself.",
                BorrowedAdam,
            ),
            Mistake(
                "In the first step t is 0, and 1 - β**0 is 0. t counts this step, too.",
                changed(
                    changed(MyAdam, "        self.t += 1\n", ""),
                    "(s.sqrt() + self.eps)",
                    "(s.sqrt() + self.eps)\n        self.t += 1",
                ),
            ),
            Mistake("s is a mean of squares. The formula has its root.", changed(MyAdam, "s.sqrt()", "s")),
            Mistake(
                "Before the first backward(), .grad is None, and None has no zero_().",
                changed(MyAdam, "p.grad = None", "p.grad.zero_()"),
                "Course14 4",
            ),
            Mistake(
                "betas and eps are arguments: they may be different from the usual ones.",
                changed(MyAdam, "lr, betas, eps\n", "lr, (0.9, 0.999), 1e-8\n"),
            ),
            Mistake("s is the mean of the squares of the gradients.", changed(MyAdam, "p.grad**2", "p.grad.abs()")),
            Mistake(
                "The memory is lost: m and s of the last step are not kept.",
                changed(
                    changed(MyAdam, "self.m[i] = beta1 * self.m[i]", "self.m[i] = beta1 * 0"),
                    "self.s[i] = beta2 * self.s[i]",
                    "self.s[i] = beta2 * 0",
                ),
            ),
            Mistake(
                "Some parameters have no gradient: .grad is None. Leave them out.",
                changed(MyAdam, "if p.grad is None:", "if False:"),
            ),
            Mistake(
                "One parameter without a gradient ends the whole loop, and those after it never move.",
                changed(MyAdam, "continue", "return"),
            ),
            Mistake(
                "None is not 0: with a gradient of 0, a parameter that has moved before rolls on.",
                changed(MyAdam, "continue", "p.grad = torch.zeros_like(p)"),
                11,
            ),
            Mistake(
                "zero_grad() sets .grad to None. It writes no zeros.",
                changed(MyAdam, "p.grad = None", "p.grad = torch.zeros_like(p)"),
                11,
            ),
            Mistake(
                "Where a gradient is 0, this divides 0 by 0. ε prevents it.",
                changed(MyAdam, "(s.sqrt() + self.eps)", "s.sqrt()"),
            ),
            Mistake(
                "A parameter must not be changed in place while a graph is made.",
                changed(MyAdam, "torch.no_grad()", "torch.enable_grad()"),
                "Course14 5",
            ),
        ),
    ),
]
