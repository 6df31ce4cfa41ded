"""Course 06 · Module: the answers, how they are judged, and the mistakes that people make."""

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils.data import DataLoader

from practice import Exercise, Mistake, changed

# ---- 1 ----


class Puzzle(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.shift = torch.zeros(4)
        self.dropout = nn.Dropout(0.5)
        self.more = [nn.Linear(4, 4), nn.Linear(4, 4)]
        self.last = nn.Linear(4, 3)


def try_count(count):
    yield "the number", count, sum(parameter.numel() for parameter in Puzzle().parameters())


# ---- 2 ----


class MyLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


def try_my_linear(MyLinear):
    owners = []  # of each parameter that is made: it shows a nn.Linear wherever it is hidden
    with register_module_parameter_registration_hook(lambda module, *_: owners.append(module)):
        layer = MyLinear(3, 2)
        out = layer(torch.rand(4, 3))
    yield "the shape of MyLinear(3, 2)(x), x (4, 3)", _shape(out), (4, 2)
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    yield "the parameters of MyLinear(3, 2)", shapes, {"weight": (2, 3), "bias": (2,)}
    yield "MyLinear is a nn.Linear", isinstance(layer, nn.Linear), False
    yield "MyLinear makes a nn.Linear", any(isinstance(owner, nn.Linear) for owner in owners), False
    yield "how many of the 6 weights of a new layer differ from each other", layer.weight.unique().numel(), 6
    yield "two new layers have equal weights", torch.equal(layer.weight, MyLinear(3, 2).weight), False
    for in_features, out_features, batch in [(3, 2, 4), (2, 5, 1), (4, 4, 7), (3, 1, 5)]:
        layer, right = MyLinear(in_features, out_features), nn.Linear(in_features, out_features)
        layer.load_state_dict(right.state_dict())
        x = torch.randn(batch, in_features)
        given = x.clone()
        name = f"MyLinear({in_features}, {out_features}) with the weights of nn.Linear"
        yield f"{name}: its output", layer(x), right(given)
        yield f"{name}: x, afterwards", x, given
        mine = torch.randn(batch, in_features, requires_grad=True)
        theirs = mine.detach().clone().requires_grad_()
        layer(mine).square().sum().backward()
        right(theirs).square().sum().backward()
        yield f"{name}: the gradient of its weight", layer.weight.grad, right.weight.grad
        yield f"{name}: the gradient of its bias", layer.bias.grad, right.bias.grad
        yield f"{name}: the gradient of x", mine.grad, theirs.grad


def _shape(value):
    """The shape of a tensor; anything else stays."""
    return tuple(value.shape) if isinstance(value, Tensor) else value


class PlainTensors(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = torch.randn(out_features, in_features, requires_grad=True)
        self.bias = torch.zeros(out_features, requires_grad=True)

    def forward(self, x):
        return x @ self.weight.T + self.bias


class LinearInside(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.linear(x)


class LinearThenItsParameters(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        linear = nn.Linear(in_features, out_features)
        self.weight = linear.weight
        self.bias = linear.bias

    def forward(self, x):
        return x @ self.weight.T + self.bias


# ---- 3 ----


def accuracy(model, loader):
    model.eval()
    right, seen = 0, 0
    with torch.no_grad():
        for images, labels in loader:
            answers = model(images).argmax(dim=1)
            right += (answers == labels).sum().item()
            seen += len(labels)
    return right / seen


def try_accuracy(accuracy):
    brightest = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), Watch())  # its answer is the place of the brightest pixel
    for right, wrong, batch_size in [(8, 2, 4), (6, 1, 3), (2, 4, 2), (3, 2, 10), (1, 4, 1)]:
        samples = bright_samples(right + wrong)
        samples = [(image, (label + 1) % 6) for image, label in samples[:wrong]] + samples[wrong:]
        what = f"{right} of {right + wrong} answers are right, in batches of {batch_size}"
        yield what, accuracy(brightest.train(), DataLoader(samples, batch_size)), right / (right + wrong)
        yield "gradients were recorded on the way", Watch.recorded, False
        yield "afterwards, gradients are recorded again", torch.is_grad_enabled(), True
    shuffled = DataLoader(bright_samples(20), batch_size=3, shuffle=True)
    yield "20 of 20 answers are right, with shuffle=True", accuracy(brightest.train(), shuffled), 1.0
    shorter = DataLoader(bright_samples(20), batch_size=3, drop_last=True)
    yield "18 of 18 answers are right, with drop_last=True", accuracy(brightest.train(), shorter), 1.0


def bright_samples(count):
    """Pictures, each with the place of its brightest pixel; most pixels are negative."""
    images = [torch.randn(1, 2, 3) - 2 for _ in range(count)]
    return [(image, image.argmax().item()) for image in images]


class Watch(nn.Module):
    """Passes its input on, and notes whether gradients are recorded."""

    def forward(self, x):
        Watch.recorded = torch.is_grad_enabled()  # of the class: a copy of the model notes it, too
        return x


def two_passes(model, loader):
    model.eval()
    with torch.no_grad():
        answers = torch.cat([model(images).argmax(dim=1) for images, _ in loader])
        labels = torch.cat([labels for _, labels in loader])
    return (answers == labels).float().mean().item()


# ---- 4 ----


def predict(model, images):
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(images)
    model.train(was_training)
    return logits


def try_predict(predict):
    inner = nn.Sequential(nn.Linear(12, 6), nn.Dropout(0.5))
    model = nn.Sequential(nn.Flatten(), inner, nn.Linear(6, 3), Watch())
    images = torch.rand(5, 3, 2, 2)
    right = model.eval()(images).detach()
    model(images).sum().backward()  # gradients that wait for a step
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    calls = []
    model.register_forward_hook(lambda *_: calls.append("a call"))
    for training in (True, False):
        model.train(training)
        before = "training" if training else "evaluation"
        yield f"a model in {before} mode: its logits", predict(model, images), right
        modes = [module.training for module in model.modules()]
        yield f"a model in {before} mode: afterwards, training of all its modules", modes, [training] * 7
        yield "gradients were recorded on the way", Watch.recorded, False
        yield "afterwards, gradients are recorded again", torch.is_grad_enabled(), True
        yield "afterwards, all parameters require a gradient", all(p.requires_grad for p in model.parameters()), True
        yield "afterwards, the gradients of its parameters", [p.grad for p in model.parameters()], gradients
        yield "the hooks of the model were called", bool(calls), True
    with torch.no_grad():
        predict(model, images)
        yield "called inside torch.no_grad(): afterwards, gradients are recorded", torch.is_grad_enabled(), False
    yield "the logits of one image", predict(model, images[:1]), right[:1]
    norm = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten())
    torch.manual_seed(1)
    random_numbers = torch.get_rng_state()
    yield "a model with nn.BatchNorm2d: its logits", predict(norm, images), images.flatten(1) / (1 + 1e-5) ** 0.5
    yield "a model with nn.BatchNorm2d: afterwards, how many batches it has seen", norm[0].num_batches_tracked.item(), 0
    yield "the random numbers go on as before", torch.equal(torch.get_rng_state(), random_numbers), True


# ---- 5 ----


class Mlp(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(widths[i], widths[i + 1]) for i in range(len(widths) - 1)])

    def forward(self, images):
        x = images.flatten(1)  # (N, C, H, W) -> (N, C * H * W)
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


def try_mlp(Mlp):
    for widths, batch in [([60, 5, 8, 3], 4), ([60, 7], 5), ([60, 6, 6, 6, 2], 1), ([60, 4, 4, 4], 6)]:
        images = 20 * torch.randn(batch, 3, 4, 5)
        given = list(widths)
        network = Mlp(given)
        logits = network(images.clone())
        name = f"Mlp({widths})"
        yield f"{name}: the shape of its logits for {batch} pictures (3, 4, 5)", _shape(logits), (batch, widths[-1])
        shapes = [tuple(parameter.shape) for parameter in network.parameters()]
        right = [shape for i in range(len(widths) - 1) for shape in [(widths[i + 1], widths[i]), (widths[i + 1],)]]
        yield f"{name}: the shapes of its parameters", shapes, right
        linears = sum(isinstance(module, nn.Linear) for module in network.modules())
        yield f"{name}: how many nn.Linear it has", linears, len(widths) - 1

        parameters = list(network.parameters())
        x = images.reshape(batch, 60)
        for i in range(len(widths) - 1):
            weight, bias = parameters[2 * i : 2 * i + 2]
            x = (x if i == 0 else x.clamp(min=0)) @ weight.T + bias
        yield f"{name}: its logits", logits, x
        logits.sum().backward()
        yield f"{name}: each parameter gets a gradient", all(p.grad is not None for p in parameters), True
        yield f"{name}: widths, afterwards", given, widths


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="count",
        section=4,
        answer=43,
        trial=try_count,
        hints=(
            "Linear(5, 4) has 5 · 4 weights and 4 biases.",
            "Go through the lines one by one. Which of them make a parameter that Puzzle knows of?",
        ),
        mistakes=(
            Mistake("shift is a tensor, but not a parameter: nothing wraps it in nn.Parameter.", 47, 3),
            Mistake("A module does not look into a plain list.", 83, 9),
            Mistake("Two of these lines register nothing: shift is no parameter, and more is a plain list.", 87, 9),
            Mistake("Each Linear has a bias for each number that comes out.", 36),
            Mistake("scale is a parameter, too: nn.Parameter, assigned to self.", 39, 3),
            Mistake("That is the number of parameter tensors. How many numbers are in them?", 5),
        ),
    ),
    Exercise(
        number=2,
        name="MyLinear",
        section=3,
        answer=MyLinear,
        trial=try_my_linear,
        hints=(
            "In __init__, two lines like those of StraightLine: self.weight and self.bias, each a nn.Parameter.",
            "The first axis of weight belongs to the numbers that come out: one row of weights for each.",
        ),
        mistakes=(
            Mistake("A plain tensor is no parameter, even if it requires a gradient: wrap it.", PlainTensors),
            Mistake(
                "nn.Linear has one row of weights for each number that comes out.",
                changed(changed(MyLinear, "out_features, in_features", "in_features, out_features"), ".T", ""),
                4,
            ),
            Mistake(
                "The bias is not a parameter yet.",
                changed(MyLinear, "nn.Parameter(torch.zeros(out_features))", "torch.zeros(out_features)"),
            ),
            Mistake("The bias is registered, but not added.", changed(MyLinear, " + self.bias", "")),
            Mistake(
                "Write the layer itself: its parameters are weight and bias, not those of a layer in it.", LinearInside
            ),
            Mistake(
                "There is a nn.Linear in it. Make the two parameters without it: each is a nn.Parameter.",
                LinearThenItsParameters,
            ),
            Mistake(
                "Each call makes new weights, so nothing can be learned. Make them in __init__.",
                changed(
                    changed(MyLinear, "        self.", "        self.size = out_features, in_features\n        # "),
                    "        return",
                    "        self.weight = nn.Parameter(torch.randn(self.size))\n"
                    "        self.bias = nn.Parameter(torch.zeros(self.size[0]))\n        return",
                ),
            ),
            Mistake(
                "All weights begin equal, so all of them would learn the same.",
                changed(MyLinear, "torch.randn(out_features", "torch.zeros(out_features"),
            ),
            Mistake(
                "The first line of __init__ is missing: it prepares the module for its parameters.",
                changed(MyLinear, "super().__init__()", "pass"),
            ),
            Mistake(
                "One letter is missing: __int__ is not __init__.", changed(MyLinear, "def __init__", "def __int__"), 8
            ),
        ),
    ),
    Exercise(
        number=3,
        name="accuracy",
        section="Course05 4",
        answer=accuracy,
        trial=try_accuracy,
        hints=(
            "Ten pictures in batches of 4, 4 and 2. How much does one picture of the last batch count?",
            "Count the right answers and the pictures over all batches, and divide once, at the end.",
        ),
        mistakes=(
            Mistake(
                "The last batch is smaller, and its share counts as much as that of a full one.",
                changed(changed(accuracy, ".sum().item()", ".float().mean().item()"), "len(labels)", "1"),
            ),
            Mistake(
                "The last batch has fewer than batch_size pictures.",
                changed(accuracy, "right / seen", "right / (len(loader) * loader.batch_size)"),
            ),
            Mistake(
                "len(loader) is the number of batches.",
                changed(accuracy, "right / seen", "right / len(loader)"),
                "Course05 3",
            ),
            Mistake(
                "Only the last batch is counted.",
                changed(changed(accuracy, "right +=", "right ="), "seen +=", "seen ="),
            ),
            Mistake(
                "Only the first batch is counted: return stands in the loop.",
                changed(accuracy, "    return", "            return"),
            ),
            Mistake(
                "Gradients are switched off for all that follows, too. `with` ends by itself.",
                changed(accuracy, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
                6,
            ),
            Mistake(
                "In training mode, dropout sets some of the numbers to 0.",
                changed(accuracy, "model.eval()", "model.train()"),
                6,
            ),
            Mistake(
                "A tensor with one number is not yet a Python float.", changed(accuracy, ".item()", ""), "Course00 3"
            ),
            Mistake(
                "That is the number of right answers. The share was asked for.",
                changed(accuracy, "right / seen", "right"),
            ),
            Mistake(
                "eval() does not switch off gradients. Keep `with torch.no_grad():`.",
                changed(accuracy, "with torch.no_grad():", "if True:"),
                6,
            ),
            Mistake(
                "With drop_last=True or a sampler, a loader gives fewer pictures than its data set has.",
                changed(accuracy, "right / seen", "right / len(loader.dataset)"),
                "Course05 3",
            ),
            Mistake(
                "With shuffle=True, each pass has a new order. Take images and labels from the same pass.",
                two_passes,
                "Course05 5",
            ),
        ),
    ),
    Exercise(
        number=4,
        name="predict",
        section=6,
        answer=predict,
        trial=try_predict,
        hints=(
            "The flag `model.training` says in which mode the model is. Keep it before you change the mode.",
            "Two lines in the end: set the mode back, and return what was kept.",
        ),
        mistakes=(
            Mistake(
                "Dropout was at work. (`model.training = False` reaches the outermost module only.)",
                changed(predict, "model.eval()", "pass"),
            ),
            Mistake(
                "The model stays in evaluation mode: training goes on without dropout.",
                changed(predict, "model.train(was_training)", "pass"),
            ),
            Mistake(
                "A model that was in evaluation mode is in training mode now.",
                changed(predict, "model.train(was_training)", "model.train()"),
            ),
            Mistake("eval() does not switch off gradients.", changed(predict, "with torch.no_grad():", "if True:")),
            Mistake(
                "Gradients are switched off for all that follows, too. `with` ends by itself.",
                changed(predict, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
            ),
            Mistake(
                "Gradients may have been off before. Then they have to stay off. `with` takes care of it.",
                changed(
                    changed(predict, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
                    "    return",
                    "    torch.set_grad_enabled(True)\n    return",
                ),
            ),
            Mistake(
                "These are the classes. Return the logits themselves.",
                changed(predict, "model(images)", "model(images).argmax(dim=1)"),
                5,
            ),
            Mistake(
                "model.forward(images) leaves out the hooks of the model. Call the model itself.",
                changed(predict, "model(images)", "model.forward(images)"),
                12,
            ),
            Mistake(
                "The model kept gradients for a later step, and they are gone.",
                changed(predict, "model.eval()", "model.eval()\n    model.zero_grad()"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="Mlp",
        section=9,
        answer=Mlp,
        trial=try_mlp,
        hints=(
            "Four widths need three layers: from widths[0] to widths[1], from widths[1] to widths[2], and so on.",
            "ManyLayers of section 9 shows how to keep a list of layers, and how to go through it.",
            "`images.flatten(1)` makes (N, C · H · W) of (N, C, H, W). `layers[:-1]` are all but the last.",
        ),
        mistakes=(
            Mistake(
                "No layer is registered: not in a plain list, and not where forward makes its layers.",
                changed(Mlp, "nn.ModuleList(", "list("),
            ),
            Mistake(
                "There is a ReLU after the last layer, too: no logit can be negative.",
                changed(Mlp, "return self.layers[-1](x)", "return torch.relu(self.layers[-1](x))"),
            ),
            Mistake("The ReLU between the layers is missing.", changed(Mlp, "torch.relu(layer(x))", "layer(x)"), 4),
            Mistake(
                "Four widths are three layers: one is missing.", changed(Mlp, "len(widths) - 1", "len(widths) - 2")
            ),
            Mistake(
                "The pictures have to become rows of numbers first.", changed(Mlp, "images.flatten(1)", "images"), 4
            ),
            Mistake(
                "flatten() makes one row of the whole batch: the first axis has to stay.",
                changed(Mlp, "flatten(1)", "flatten()"),
                4,
            ),
            Mistake(
                "Only the last layer is used. What do the other layers get and give?",
                changed(Mlp, "for layer in self.layers[:-1]:\n            x = torch.relu(layer(x))", "pass"),
            ),
        ),
    ),
]
