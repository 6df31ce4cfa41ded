"""Course 16 · ModifyNN: the answers, how they are judged, and the mistakes that people make."""

import copy
import functools

import torch
from torch import nn
from torchvision.models import vgg16

from common.models import count_parameters, make_model
from practice import Exercise, Mistake, changed


class SmallResNet(nn.Module):
    """A body and a head called fc."""

    def __init__(self, features=6, classes=10):
        super().__init__()
        self.fc = nn.Linear(features, classes)  # first, although it is used last
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(24, features), nn.BatchNorm1d(features), nn.ReLU())

    def forward(self, images):  # (N, 2, 3, 4) -> (N, classes)
        return self.fc(self.body(images))


class SmallVGG(nn.Module):
    """Features, and a classifier of several layers."""

    def __init__(self, hidden=5):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten())
        self.classifier = nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, 10))

    def forward(self, images):  # (N, 2, 3, 4) -> (N, 10)
        return self.classifier(self.features(images))


class Parts(nn.Module):
    """A frozen backbone with BatchNorm, and a head with dropout; it notes in which mode all of the head was called."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(24, 6), nn.BatchNorm1d(6), nn.ReLU()))
        self.backbone.requires_grad_(False)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
        self.modes = []
        self.head.register_forward_pre_hook(
            lambda head, _: self.modes.append(all(module.training for module in head.modules()))
        )

    def forward(self, images):
        return self.head(self.backbone(images))


def numbers_of(model):
    """All parameters and buffers, one after the other: (number of numbers,)."""
    return torch.cat([value.detach().double().flatten() for value in [*model.parameters(), *model.buffers()]])


# ---- 1 ----


@functools.cache
def counts():
    """How many parameters learn, in each of the three networks."""
    with torch.device("meta"):
        vgg = vgg16(weights=None).requires_grad_(False)
        vgg.classifier[6] = nn.Linear(4096, 7)
    frozen_first = make_model("resnet20").requires_grad_(False)
    frozen_first.fc = nn.Linear(64, 7)
    frozen_last = make_model("resnet20")
    frozen_last.fc = nn.Linear(64, 7)
    return [count_parameters(network) for network in (vgg, frozen_first, frozen_last.requires_grad_(False))]


def try_learning(learning):
    yield "how many numbers", len(learning) if isinstance(learning, list | tuple) else learning, 3
    yield from zip(("VGG16", "ResNet-20, frozen first", "ResNet-20, frozen last"), learning, counts(), strict=True)


# ---- 2 ----


def new_head(model, num_classes):
    for p in model.parameters():
        p.requires_grad_(False)
    if hasattr(model, "fc"):
        model.fc = nn.Linear(model.fc.in_features, num_classes)
    else:
        model.classifier[-1] = nn.Linear(model.classifier[-1].in_features, num_classes)
    return model


def try_new_head(new_head):
    images = torch.rand(4, 2, 3, 4)
    for make, head, num_classes in [
        (SmallResNet, "fc", 7),
        (SmallVGG, "classifier.3", 3),
        (lambda: SmallResNet(9), "fc", 2),
        (lambda: SmallVGG(11), "classifier.3", 12),
    ]:
        given = make().eval()
        before = {name: value.clone() for name, value in given.state_dict().items()}
        what = f"a network with its head in {head}, {num_classes} classes"
        model = new_head(given, num_classes)
        yield f"{what}: it returns the network that was given", model is given, True
        yield f"{what}: the shape of its answers", tuple(model.eval()(images).shape), (4, num_classes)
        learning = [name for name, p in model.named_parameters() if p.requires_grad]
        yield f"{what}: the parameters that learn", learning, [f"{head}.weight", f"{head}.bias"]
        after = model.state_dict()
        yield f"{what}: the names in its state_dict", sorted(after), sorted(before)
        for name, value in before.items():
            if not name.startswith(head):
                yield f"{what}: the numbers of {name}", after[name], value
    with torch.device("meta"):
        vgg = vgg16(weights=None)
    given = {name: p.shape for name, p in vgg.named_parameters()}
    learning = {name: tuple(p.shape) for name, p in new_head(vgg, 7).named_parameters() if p.requires_grad}
    right = {"classifier.6.weight": (7, 4096), "classifier.6.bias": (7,)}
    yield "VGG16 for 7 classes: the parameters that learn", learning, right
    yield "VGG16 for 7 classes: the names of all", [name for name, _ in vgg.named_parameters()], list(given)
    yield "ResNet-20 for 7 classes", count_parameters(new_head(make_model("resnet20"), 7)), 455


def behind_it(model, num_classes):
    for p in model.parameters():
        p.requires_grad_(False)
    if hasattr(model, "fc"):
        model.fc = nn.Sequential(model.fc, nn.Linear(model.fc.out_features, num_classes))
    else:
        model.classifier.append(nn.Linear(model.classifier[-1].out_features, num_classes))
    return model


def whole_classifier(model, num_classes):
    for p in model.parameters():
        p.requires_grad_(False)
    if hasattr(model, "fc"):
        model.fc = nn.Linear(model.fc.in_features, num_classes)
    else:
        model.classifier = nn.Linear(model.classifier[-1].in_features, num_classes)
    return model


def frozen_last(model, num_classes):
    new_head(model, num_classes)
    return model.requires_grad_(False)


# ---- 3 ----


def train_pass(model, batches, loss_fn, optimizer):
    model.train()
    model.backbone.eval()
    for images, labels in batches:
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def try_train_pass(train_pass):
    for came, lr, smoothing, sizes in [("train", 0.5, 0.0, (8, 8, 5)), ("eval", 0.2, 0.3, (8, 5, 1))]:
        batches = [(torch.randn(size, 2, 3, 4), torch.randint(3, (size,))) for size in sizes]
        model = Parts().train(came == "train")
        backbone = numbers_of(model.backbone)
        learning = copy.deepcopy(model.head)  # the same steps by hand
        learning.train()
        loss_fn = nn.CrossEntropyLoss(label_smoothing=smoothing)
        torch.manual_seed(3)  # the dropout masks
        features = [copy.deepcopy(model.backbone).eval()(images) for images, _ in batches]
        for (_, labels), seen in zip(batches, features, strict=True):
            loss = loss_fn(learning(seen), labels)
            gradients = torch.autograd.grad(loss, list(learning.parameters()))
            with torch.no_grad():
                for p, gradient in zip(learning.parameters(), gradients, strict=True):
                    p -= lr * gradient
        torch.manual_seed(3)
        model.modes.clear()
        train_pass(model, batches, loss_fn, torch.optim.SGD(model.parameters(), lr=lr))
        what = f"a model that comes in {came} mode"
        yield f"{what}: parameters and buffers of the backbone", numbers_of(model.backbone), backbone, 0
        yield f"{what}: train mode of the head, in each step", model.modes, [True] * 3
        yield f"{what}: the numbers of the head", numbers_of(model.head), numbers_of(learning)


def as_given(model, batches, loss_fn, optimizer):
    model.train()
    for images, labels in batches:
        loss = loss_fn(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# ---- 4 ----


def two_speeds(model, lr):
    head = [p for p in model.fc.parameters() if p.requires_grad]
    others = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("fc.")]
    return [{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]


def try_two_speeds(two_speeds):
    class Confusing(SmallResNet):  # a layer with a name like that of the head, and one with the same numbers
        def __init__(self, name):
            super().__init__(features=6, classes=6)
            self.add_module(name, nn.Linear(6, 6))
            self.twin = copy.deepcopy(self.fc)
            self.scale = nn.Parameter(torch.rand(6))
            self.before = name

        def forward(self, images):
            return self.fc(self.twin(getattr(self, self.before)(self.body(images)))) * self.scale

    for model, frozen, lr in [
        (SmallResNet(), [], 0.1),
        (Confusing("fc_before"), [], 3.0),
        (Confusing("old_fc"), [], 2.0),
        (SmallResNet(), ["body.1", "fc.bias"], 0.25),
    ]:
        for name, p in model.named_parameters():
            p.requires_grad_(not any(name.startswith(start) for start in frozen))
        learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
        groups = [dict(group) for group in two_speeds(model, lr)]
        groups = [group | {"params": list(group["params"])} for group in groups]  # a generator may be read only once
        name_of = {id(p): name for name, p in model.named_parameters()}
        names = [sorted(name_of.get(id(p), "a stranger") for p in group["params"]) for group in groups]
        head = sorted(name for name in learning if name.split(".")[0] == "fc")
        still = {name for name, p in model.named_parameters() if p.requires_grad}
        what = f"frozen: {', '.join(frozen) or 'nothing'}, {lr=}"
        yield f"the parameters of each group ({what})", names, [head, sorted(learning.keys() - head)]
        yield f"the learning rates ({what})", [group.get("lr") for group in groups], [lr, lr / 100], 1e-6
        yield f"the parameters that learn afterwards ({what})", sorted(still), sorted(learning)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        model(torch.rand(4, 2, 3, 4)).square().sum().backward()
        torch.optim.SGD(groups).step()
        for name, p in model.named_parameters():
            rate = 0 if name not in learning else lr if name in head else lr / 100
            right = before[name] - rate * (p.grad if p.grad is not None else 0)
            yield f"{name} after a step of SGD ({what})", p.detach(), right, 1e-5


def by_letters(model, lr):
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    head, others = [p for name, p in learning if "fc" in name], [p for name, p in learning if "fc" not in name]
    return [{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]


def by_end(model, lr):
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    head, others = [p for name, p in learning if "fc." in name], [p for name, p in learning if "fc." not in name]
    return [{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]


def of_the_layers(model, lr):
    head = [p for p in model.fc.parameters() if p.requires_grad]
    layers = [layer for name, layer in model.named_children() if name != "fc"]
    others = [p for layer in layers for p in layer.parameters() if p.requires_grad]
    return [{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]


def of_equal_numbers(model, lr):
    head = [p for p in model.fc.parameters() if p.requires_grad]
    others = [p for p in model.parameters() if p.requires_grad and not any(torch.equal(p, other) for other in head)]
    return [{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]


# ---- 5 ----


def learn_quickly(backbone, head, images, labels, new_images):
    backbone.eval()
    with torch.no_grad():
        features, new_features = backbone(images), backbone(new_images)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(features), labels)
        loss.backward()
        optimizer.step()
    return head(new_features).argmax(dim=1)


class Counting(nn.Module):
    """A backbone that tells `note` how many pictures go through it, or through a copy of it."""

    def __init__(self, size, note):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(60, size), nn.BatchNorm1d(size), nn.ReLU())
        self.note = note

    def forward(self, images):  # (N, 3, 4, 5) -> (N, size)
        self.note(len(images))
        return self.layers(images)


def trained_by_hand(head, features, labels):
    """A copy of the head after 40 steps of Adam."""
    head = copy.deepcopy(head)
    parameters = list(head.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.03)
    for _ in range(40):
        each = -head(features).log_softmax(dim=1)[range(len(labels)), labels]
        for p, gradient in zip(parameters, torch.autograd.grad(each.mean(), parameters), strict=True):
            p.grad = gradient
        optimizer.step()
    return head


def try_learn_quickly(learn_quickly):
    for size, num_classes, count, new_count in [(16, 3, 30, 41), (8, 2, 25, 12), (16, 3, 4, 1)]:
        counts = []
        backbone, head = Counting(size, lambda n, counts=counts: counts.append(n)), nn.Linear(size, num_classes)
        backbone(torch.randn(100, 3, 4, 5))  # moves the running statistics
        pictures, labels = torch.randn(count + new_count, 3, 4, 5), torch.randint(num_classes, (count,))
        with torch.no_grad():
            features = backbone.eval()(pictures)
        trained = trained_by_hand(head, features[:count], labels)
        right = [int(row.argmax()) for row in trained(features[count:])]
        before = numbers_of(backbone)
        backbone.train()
        counts.clear()
        torch.manual_seed(1605)
        guesses = learn_quickly(backbone, head, pictures[:count], labels, pictures[count:])
        what = f"{count} pictures, {new_count} new ones, {num_classes} classes"
        if not isinstance(guesses, torch.Tensor):
            yield f"{what}: the guesses", guesses, torch.tensor(right)
        yield f"{what}: the shape of what is returned", tuple(guesses.shape), (new_count,)
        yield f"{what}: its dtype", str(guesses.dtype), "torch.int64"
        yield f"{what}: gradients are computed afterwards", torch.is_grad_enabled(), True
        yield f"{what}: parameters and buffers of the backbone", numbers_of(backbone), before, 0
        yield f"{what}: pictures that went through the backbone", sum(counts), len(pictures)
        left = [name for name, p in backbone.named_parameters() if p.grad is not None]
        yield f"{what}: parameters of the backbone that have a gradient afterwards", left, []
        yield f"{what}: the weight of the head", head.weight, trained.weight, 1e-3
        yield f"{what}: the guesses", guesses.tolist(), right
        yield f"{what}: the seed of the random numbers afterwards", torch.initial_seed(), 1605


def each_step_again(backbone, head, images, labels, new_images):
    backbone.eval()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(40):
        with torch.no_grad():
            features = backbone(images)
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(features), labels).backward()
        optimizer.step()
    with torch.no_grad():
        return head(backbone(new_images)).argmax(dim=1)


def trains_all(backbone, head, images, labels, new_images):
    backbone.eval()
    optimizer = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=0.03)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(backbone(images)), labels).backward()
        optimizer.step()
    with torch.no_grad():
        return head(backbone(new_images)).argmax(dim=1)


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="learning",
        section=6,
        answer=(28679, 455, 0),
        trial=try_learning,
        hints=(
            "Only the new layer learns: a weight for each pair of input and output, and a bias for each output.",
            "A new layer learns by default. What does freezing everything afterwards do to it?",
        ),
        mistakes=(
            Mistake("A linear layer has a bias for each output.", (28672, 448, 0)),
            Mistake("In the third network, the new layer is there when all is frozen.", (28679, 455, 455)),
            Mistake("In the first two, the new layer comes after the freezing, and learns.", (0, 0, 0)),
            Mistake("There is one bias for each output, not one for each input.", (32768, 512, 0)),
        ),
    ),
    Exercise(
        number=2,
        name="new_head",
        section=6,
        answer=new_head,
        trial=try_new_head,
        hints=(
            'hasattr(model, "fc") says whether there is a part of this name.',
            "A Sequential can be indexed from its end: model.classifier[-1], to read it and to replace it.",
        ),
        mistakes=(
            Mistake("First freeze, then replace: a new layer learns by default.", frozen_last),
            Mistake("Nothing is frozen.", changed(new_head, "p.requires_grad_(False)", "pass")),
            Mistake("The new layer stands behind the old one. Put it in its place.", behind_it, 4),
            Mistake("The last layer is not always number 6.", changed(new_head, "classifier[-1]", "classifier[6]"), 4),
            Mistake("The last layer is not always number 3.", changed(new_head, "classifier[-1]", "classifier[3]"), 4),
            Mistake(
                "The whole classifier is gone. Only its last layer is to be replaced.",
                changed(
                    new_head,
                    "model.classifier[-1] = nn.Linear(model.classifier[-1].in_features, num_classes)",
                    "model.classifier = nn.Linear(model.classifier[0].in_features, num_classes)",
                ),
                4,
            ),
            Mistake("The whole classifier is gone. Only its last layer is to be replaced.", whole_classifier, 4),
            Mistake(
                "Not every network has 512 features: ask the old layer.",
                changed(new_head, "model.fc.in_features", "512"),
                4,
            ),
        ),
    ),
    Exercise(
        number=3,
        name="train_pass",
        section=11,
        answer=train_pass,
        trial=try_train_pass,
        hints=(
            "Freezing has two halves. Which one is missing here?",
            "A part of a network has a mode of its own: model.head.train() concerns the head alone.",
        ),
        mistakes=(
            Mistake(
                "In train mode, BatchNorm updates its running statistics with every batch, frozen or not. "
                "And model.train() puts every part in train mode, also one that was in eval mode before.",
                as_given,
            ),
            Mistake(
                "Now the head is in eval mode, too: its dropout does nothing.",
                changed(train_pass, "model.train()\n    model.backbone.eval()", "model.eval()"),
            ),
            Mistake(
                "The model may come in eval mode: who puts the head in train mode?",
                changed(train_pass, "    model.train()\n", ""),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="two_speeds",
        section=8,
        answer=two_speeds,
        trial=try_two_speeds,
        hints=(
            "model.fc.parameters() are those of the head. model.named_parameters() gives all, with their names.",
            "The names of the head's parameters begin with 'fc.', with the point. p.requires_grad says who learns.",
        ),
        mistakes=(
            Mistake(
                "The head's parameters are in both groups.",
                changed(two_speeds, ' and not name.startswith("fc.")', ""),
            ),
            Mistake(
                "Frozen parameters belong to no group.",
                changed(two_speeds, "if p.requires_grad and not name", "if not name"),
            ),
            Mistake(
                "Frozen parameters belong to no group.",
                changed(
                    changed(two_speeds, "if p.requires_grad and not name", "if not name"), " if p.requires_grad]", "]"
                ),
            ),
            Mistake(
                "Frozen parameters belong to no group.",
                changed(
                    two_speeds,
                    'p.requires_grad and not name.startswith("fc.")',
                    "not any(p is other for other in head)",
                ),
            ),
            Mistake("The head may have frozen parameters, too.", changed(two_speeds, " if p.requires_grad]", "]")),
            Mistake(
                "A part whose name only begins with fc is not the head.",
                changed(two_speeds, 'startswith("fc.")', 'startswith("fc")'),
            ),
            Mistake("A part whose name only begins with fc is not the head.", by_letters),
            Mistake(
                "A part whose name only ends with fc is not the head.",
                changed(two_speeds, 'not name.startswith("fc.")', '"fc." not in name'),
            ),
            Mistake(
                "A part whose name only ends with fc is not the head.",
                by_end,
            ),
            Mistake(
                "Parameters may stand in the model itself, in none of its layers: they learn, too.",
                of_the_layers,
            ),
            Mistake("Equal numbers do not make it the same parameter.", of_equal_numbers, "Course15 10"),
            Mistake(
                "`in` compares tensors with ==, number by number, and that is no single True or False.",
                changed(two_speeds, 'not name.startswith("fc.")', "p not in head"),
                "Course10 10",
            ),
            Mistake("The others learn with a hundredth of the rate.", changed(two_speeds, "lr / 100", "lr / 10")),
            Mistake(
                "The head comes first, and learns with the larger rate.",
                changed(
                    two_speeds,
                    '[{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]',
                    '[{"params": others, "lr": lr / 100}, {"params": head, "lr": lr}]',
                ),
            ),
            Mistake(
                "The head learns with lr, and the others with the small rate.",
                changed(
                    two_speeds,
                    '[{"params": head, "lr": lr}, {"params": others, "lr": lr / 100}]',
                    '[{"params": head, "lr": lr / 100}, {"params": others, "lr": lr}]',
                ),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="learn_quickly",
        section=7,
        answer=learn_quickly,
        trial=try_learn_quickly,
        hints=(
            "First the features of both kinds of pictures, in eval mode and without a graph. Then forget the backbone.",
            "The loop is that of Course 15: it sees features and labels, and no picture.",
        ),
        mistakes=(
            Mistake(
                "The backbone came in train mode: BatchNorm's running statistics have moved.",
                changed(learn_quickly, "backbone.eval()", "pass"),
                11,
            ),
            Mistake("The features are always the same: compute them once, before the loop.", each_step_again),
            Mistake("The backbone has learned, too. Only the head is to learn.", trains_all),
            Mistake(
                "The gradients of all steps add up.",
                changed(learn_quickly, "optimizer.zero_grad()", "pass"),
                "Course15 9",
            ),
            Mistake(
                "Each step walks back through the backbone. But the backbone is not to learn, and needs no graph.",
                changed(learn_quickly, "torch.no_grad()", "torch.enable_grad()"),
            ),
            Mistake(
                "Each step walks back through the backbone. But the backbone is not to learn, and needs no graph.",
                changed(
                    changed(learn_quickly, "torch.no_grad()", "torch.enable_grad()"),
                    "loss.backward()",
                    "loss.backward(retain_graph=True)",
                ),
            ),
            Mistake(
                "With one new picture, squeeze() takes its axis away, too.",
                changed(learn_quickly, "argmax(dim=1)", "argmax(dim=1).squeeze()"),
            ),
            Mistake("The head has learned nothing.", changed(learn_quickly, "        optimizer.step()\n", "")),
            Mistake("Return the class of each picture, not its logits.", changed(learn_quickly, ".argmax(dim=1)", "")),
            Mistake("The classes are along dim 1.", changed(learn_quickly, "argmax(dim=1)", "argmax(dim=0)")),
        ),
    ),
]
