"""Course 10 · Activate: the answers, how they are judged, and the mistakes that people make."""

from math import pi

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from practice import Exercise, Mistake, PyTorchCalls, changed

# ---- 1 ----


def try_values_then_slopes(values_then_slopes):
    x = torch.tensor([-2.0, 0.0, 3.0], requires_grad=True)
    y = 2 * torch.relu(x + 1) - 3 * torch.relu(x - 1)
    y.sum().backward()
    answers = list(values_then_slopes) if isinstance(values_then_slopes, list | tuple) else [values_then_slopes]
    yield "how many numbers there are", len(answers), 6
    yield "the three values", answers[:3], y.tolist()
    yield "the three slopes", answers[3:], x.grad.tolist()


# ---- 2 ----


def softmax(logits, dim):
    powers = (logits - logits.amax(dim=dim, keepdim=True)).exp()
    return powers / powers.sum(dim=dim, keepdim=True)


def try_softmax(softmax):
    some, square, block = torch.randn(4), torch.randn(3, 3), torch.randn(2, 3, 4)
    far = torch.tensor([[1000.0, 1001.0, 999.0], [0.0, 1.0, -1.0]])
    own = PyTorchCalls("softm")  # softmax, log_softmax, softmin
    for name, logits, dim in [
        ("four numbers", some, 0),
        ("a square (3, 3)", square, 1),
        ("a square (3, 3)", square, 0),
        ("a tensor (2, 3, 4)", block, 1),
        ("a tensor (2, 3, 4)", block, -1),
        ("four numbers around 1000", some + 1000, 0),
        ("four numbers around -1000", some - 1000, 0),
        ("a row around 1000 and a row around 0", far, 1),
        ("three zeros and 300", torch.tensor([0.0, 0.0, 0.0, 300.0]), 0),
    ]:
        before = logits.clone()
        with own:
            shares = softmax(logits, dim)
        yield f"softmax of {name}, dim={dim}", shares, F.softmax(before, dim=dim)
        yield f"{name}, afterwards", logits, before
    yield "it calls a softmax of PyTorch", bool(own.names), False


# ---- 3 ----


def merge(first, second):
    merged = nn.Linear(first.in_features, second.out_features)
    with torch.no_grad():
        merged.weight.copy_(second.weight @ first.weight)
        merged.bias.copy_(second.weight @ first.bias + second.bias)
    return merged


def try_merge(merge):
    for a, b, c in [(4, 6, 3), (2, 2, 2), (3, 1, 5)]:
        first, second = nn.Linear(a, b), nn.Linear(b, c)
        before = [parameter.clone() for layer in (first, second) for parameter in layer.parameters()]
        x = torch.randn(7, a)
        right = second(first(x))
        merged = merge(first, second)
        name = f"the layer merged from Linear({a}, {b}) and Linear({b}, {c})"
        yield f"{name}: what it is", _kind(merged), nn.Linear
        yield f"{name}: the shape of its weight", tuple(merged.weight.shape), (c, a)
        yield f"{name}: its output", F.linear(x, merged.weight, merged.bias), right  # its numbers, and nothing else
        after = [parameter for layer in (first, second) for parameter in layer.parameters()]
        yield "the two layers, afterwards, are what they were", all(map(torch.equal, after, before)), True
        yield "afterwards, the two layers can be trained", all(p.requires_grad for p in after), True
        yield "afterwards, gradients are recorded again", torch.is_grad_enabled(), True
        trainable = [p.requires_grad and p.is_leaf for p in merged.parameters()]
        yield f"{name}: weight and bias are parameters that can be trained", trainable, [True, True]


def _kind(value):
    """The class of a module; anything else stays."""
    return type(value) if isinstance(value, nn.Module) else value


# ---- 4 ----


def build():
    return nn.Sequential(
        nn.Linear(2, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Linear(16, 1),
    )


def try_build(build):
    angle = torch.linspace(0, 2 * pi, 60)
    circle = torch.stack([angle.cos(), angle.sin()], dim=1)
    rings = torch.cat([0.4 * circle, circle]) + 0.1 * torch.randn(120, 2)
    labels = torch.cat([torch.zeros(60), torch.ones(60)])

    torch.manual_seed(10)
    network = build()
    yield "the shape of its output for 120 points", _shape(network(rings)), (120, 1)
    first = network(rings)[0].item()
    same = first if bool((network(rings) == first).all()) else None
    yield "the number that it gives for every point, before training", same, None
    ends = torch.randn(50, 2), torch.randn(50, 2)
    halfway = (network(ends[0]) + network(ends[1])) / 2
    straight = torch.allclose(network((ends[0] + ends[1]) / 2), halfway, atol=1e-4)
    yield "it can only draw a straight boundary", straight, False
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05, fused=True)  # fused: faster
    for _ in range(100):
        loss = F.binary_cross_entropy_with_logits(network(rings)[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    lowest = network(rings).min().item()
    words = "below zero" if lowest < 0 else "above zero" if lowest > 0 else "zero"
    yield "its lowest answer, after training", words, "below zero"
    points = torch.randn(50, 2, requires_grad=True)
    network(points).sum().backward()
    slopes = points.grad[points.grad.norm(dim=1).argsort()]  # a straight boundary: all of them point the same way
    lengths = slopes.norm(dim=1) * slopes[-1].norm()
    across = (slopes[:, 0] * slopes[-1, 1] - slopes[:, 1] * slopes[-1, 0]).abs()
    yield "after training, its boundary is one straight line", bool((across <= 1e-3 * lengths).all()), False
    right = ((network(rings)[:, 0] > 0).float() == labels).float().mean().item()
    yield "after training, at least 95% of the points are right", right >= 0.95, True


def _shape(value):
    """The shape of a tensor; anything else stays."""
    return tuple(value.shape) if isinstance(value, Tensor) else value


# ---- 5 ----


def line_through(xs, ys):
    n = len(xs) - 1  # the last point needs no bend
    slopes = [(ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i]) for i in range(n)]
    changes = [slopes[0]] + [slopes[i] - slopes[i - 1] for i in range(1, n)]
    network = nn.Sequential(nn.Linear(1, n), nn.ReLU(), nn.Linear(n, 1))
    with torch.no_grad():
        network[0].weight.fill_(1)
        network[0].bias.copy_(-torch.tensor(xs[:n]))
        network[2].weight.copy_(torch.tensor([changes]))
        network[2].bias.fill_(ys[0])
    return network


def try_line_through(line_through):
    torch.manual_seed(5)  # the first weight is above zero, so a network left as it began is no flat line
    for xs, ys in [
        ([0.0, 1.0], [0.0, 3.0]),
        ([0.0, 1.0, 2.0, 3.0], [0.0, 2.0, 1.0, 1.0]),
        ([-2.0, -1.5, 1.0, 4.0], [1.5, -1.0, 2.0, -3.0]),
        ([1.0, 1.5, 3.0, 4.0, 6.0, 9.0], [-2.0, 1.0, 1.0, -1.5, 0.5, 4.0]),
    ]:
        given = list(xs), list(ys)
        network = line_through(*given)
        name = f"line_through({xs}, {ys})"
        layers = [type(layer) for layer in network] if isinstance(network, nn.Sequential) else network
        yield f"{name}: its layers", layers, [nn.Linear, nn.ReLU, nn.Linear]
        x = torch.linspace(xs[0], xs[-1], 13)
        hidden = F.linear(x[:, None], network[0].weight, network[0].bias).relu()  # from its numbers, and nothing else
        out = F.linear(hidden, network[2].weight, network[2].bias)
        yield f"{name}: the shape of its output for x (13, 1)", _shape(out), (13, 1)
        right = torch.from_numpy(np.interp(x.numpy(), xs, ys)).float()
        yield f"{name}: at x = {xs[0]}", out[0, 0], right[0]
        yield f"{name}: its output at 13 places", out[:, 0], right
        yield f"{name}: xs and ys, afterwards", given, (xs, ys)
        yield "afterwards, gradients are recorded again", torch.is_grad_enabled(), True


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="values_then_slopes",
        section=2,
        answer=(0, 2, 2, 0, 2, -1),
        trial=try_values_then_slopes,
        hints=(
            "Take the two parts one by one. Which of them is 0 at x = -2, and which at x = 0?",
            "The slope of 2 * relu(x + 1) is 0 up to x = -1 and 2 from there on.",
        ),
        mistakes=(
            Mistake("relu makes zero of what is below zero, before the factor: relu(-1) is 0.", (-2, 2, 2, 0, 2, -1)),
            Mistake("At x = 0, x - 1 is below zero: the second part is 0 there.", (0, 5, 2, 0, 2, -1)),
            Mistake("At x = 3, both parts count.", (0, 2, 8, 0, 2, 2)),
            Mistake("The slope of a part that is switched off is 0.", (0, 2, 2, -1, -1, -1), 7),
            Mistake("At x = 3, the slopes of both parts add up, each with its factor.", (0, 2, 2, 0, 2, 2), 7),
            Mistake("relu is not used: it makes zero of what is below zero.", (7, 5, 2, -1, -1, -1)),
            Mistake("First the three values, then the three slopes.", (0, 0, 2, 2, 2, -1)),
            Mistake("At x = 3, the first part still rises: its slope counts, too.", (0, 2, 2, 0, 2, -3), 7),
            Mistake("A slope has the factor of its part, too.", (0, 2, 2, 0, 1, 0), 7),
        ),
    ),
    Exercise(
        number=2,
        name="softmax",
        section=8,
        answer=softmax,
        trial=try_softmax,
        hints=(
            "If the largest logit becomes 0, no power is larger than 1.",
            "Use keepdim=True for the sum, too: then each number is divided by the sum of its own row.",
        ),
        mistakes=(
            Mistake(
                "exp of large logits is infinite, and infinite / infinite is nan.",
                changed(softmax, "(logits - logits.amax(dim=dim, keepdim=True))", "logits"),
            ),
            Mistake(
                "The largest of all logits is too much for a row that is far below: all its powers become 0.",
                changed(softmax, "logits.amax(dim=dim, keepdim=True)", "logits.max()"),
            ),
            Mistake(
                "A logit far above the others still has an infinite power. Which logit must become 0?",
                changed(softmax, "amax", "mean"),
            ),
            Mistake(
                "dim is not used: the sum goes over all numbers.",
                changed(softmax, "powers.sum(dim=dim, keepdim=True)", "powers.sum()"),
                11,
            ),
            Mistake(
                "The sum always goes along the last axis. dim says along which.",
                changed(softmax, "dim=dim", "dim=-1"),
                11,
            ),
            Mistake(
                "The sum has lost its axis, and broadcasting puts it in the wrong place.",
                changed(softmax, "powers.sum(dim=dim, keepdim=True)", "powers.sum(dim=dim)"),
                "Course00 6",
            ),
            Mistake(
                "The logits themselves have changed: `-=` writes into them.",
                changed(
                    softmax,
                    "powers = (logits - logits.amax(dim=dim, keepdim=True)).exp()",
                    "logits -= logits.amax(dim=dim, keepdim=True)\n    powers = logits.exp()",
                ),
            ),
            Mistake(
                "These are not probabilities yet: they have to add up to 1.",
                changed(softmax, " / powers.sum(dim=dim, keepdim=True)", ""),
            ),
            Mistake(
                "That is PyTorch's own softmax. Write it with exp and a sum.",
                changed(softmax, "powers / powers.sum(dim=dim, keepdim=True)", "F.softmax(logits, dim=dim)"),
            ),
        ),
    ),
    Exercise(
        number=3,
        name="merge",
        section=5,
        answer=merge,
        trial=try_merge,
        hints=(
            "The formula of section 5 has both: W for the weight and b for the bias. first is W1, second is W2.",
            "The new layer has the inputs of first and the outputs of second: in_features and out_features.",
        ),
        mistakes=(
            Mistake(
                "A matrix product depends on the order: the second layer works on what the first one gives.",
                changed(merge, "second.weight @ first.weight", "first.weight @ second.weight"),
            ),
            Mistake(
                "The second layer multiplies the first one's bias, too.",
                changed(merge, "second.weight @ first.bias + second.bias", "second.bias"),
            ),
            Mistake("The second layer's bias is missing.", changed(merge, " + second.bias", "")),
            Mistake(
                "The bias is still the random one that the new layer began with.",
                changed(merge, "        merged.bias.copy_(second.weight @ first.bias + second.bias)\n", ""),
            ),
            Mistake(
                "Still two layers: multiply their matrices.",
                changed(merge, "return merged", "return nn.Sequential(first, second)"),
            ),
            Mistake(
                "Shapes do not fit. The new layer has the inputs of first and the outputs of second. The product of "
                "matrices is `@`, not `*`.",
                changed(merge, "first.in_features, second.out_features", "first.out_features, second.out_features"),
            ),
            Mistake(
                "Gradients are switched off for all that follows, too. `with` ends by itself.",
                changed(merge, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
            ),
            Mistake(
                "Assigning to a parameter makes it something else: write the numbers into it with copy_.",
                changed(
                    merge,
                    "merged.weight.copy_(second.weight @ first.weight)",
                    "merged.weight = second.weight @ first.weight",
                ),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="build",
        section=3,
        answer=build,
        trial=try_build,
        hints=(
            "What follows the first Linear? And the last one?",
            "Between the layers, an activation bends. Behind the last one, it keeps numbers away that are needed.",
        ),
        mistakes=(
            Mistake(
                "The activation behind the last layer gives nothing below zero: class 0 is never the answer.",
                changed(
                    changed(build, "        nn.ReLU(),\n", ""), "nn.Linear(16, 1),", "nn.Linear(16, 1), nn.ReLU(),"
                ),
            ),
            Mistake(
                "Its answers are never below zero, as those of a sigmoid. The boundary is at zero here, so the output "
                "needs no activation.",
                changed(build, "nn.Linear(16, 1),", "nn.Linear(16, 1), nn.Sigmoid(),"),
                6,
            ),
            Mistake(
                "An activation behind the last layer changes the numbers there. It does not bend the boundary.",
                changed(
                    changed(build, "        nn.ReLU(),\n", ""), "nn.Linear(16, 1),", "nn.Linear(16, 1), nn.Tanh(),"
                ),
                4,
            ),
            Mistake(
                "Without activations between them, three layers are only one.",
                changed(build, "        nn.ReLU(),\n", ""),
                5,
            ),
            Mistake(
                "One number for each point is asked for, not one for each class.",
                changed(build, "nn.Linear(16, 1)", "nn.Linear(16, 2)"),
            ),
            Mistake("nn.ReLU is a class. Its brackets make the layer.", changed(build, "nn.ReLU()", "nn.ReLU"), 10),
            Mistake(
                "A softmax shares 1 between several numbers. Here it gets one number, so it always gives 1.",
                changed(build, "nn.Linear(16, 1),", "nn.Linear(16, 1), nn.Softmax(dim=1),"),
                8,
            ),
        ),
    ),
    Exercise(
        number=5,
        name="line_through",
        section=4,
        answer=line_through,
        trial=try_line_through,
        hints=(
            "relu(x - xs[i]): so the first layer has weights of 1. What are its biases?",
            "Compute the slope of each piece. At xs[0], the first one begins. By how much does it change at xs[1]?",
            "Try two points first. Then one hidden number is enough.",
        ),
        mistakes=(
            Mistake(
                "The old slopes still count: at each point, add only what changes.",
                changed(line_through, "slopes[i] - slopes[i - 1]", "slopes[i]"),
            ),
            Mistake("The line begins at ys[0], not at 0.", changed(line_through, "fill_(ys[0])", "fill_(0)")),
            Mistake(
                "The bends are on the wrong side: x - xs[i] needs the bias -xs[i].",
                changed(line_through, "-torch.tensor(xs[:n])", "torch.tensor(xs[:n])"),
            ),
            Mistake(
                "A slope is the rise divided by the width.",
                changed(line_through, "(ys[i + 1] - ys[i]) / (xs[i + 1] - xs[i])", "ys[i + 1] - ys[i]"),
            ),
            Mistake(
                "The first layer's weights are still random: they have to be 1.",
                changed(line_through, "        network[0].weight.fill_(1)\n", ""),
            ),
            Mistake(
                "From the first point to the second, the line is flat. The first slope begins at xs[0].",
                changed(line_through, "xs[:n]", "xs[1:]"),
            ),
            Mistake(
                "Without the ReLU, the line never bends.",
                changed(changed(line_through, "nn.ReLU(), ", ""), "network[2]", "network[1]"),
            ),
            Mistake(
                "The second layer's bias is still random: where does the line begin?",
                changed(line_through, "        network[2].bias.fill_(ys[0])\n", ""),
            ),
            Mistake(
                "Gradients are switched off for all that follows, too. `with` ends by itself.",
                changed(line_through, "with torch.no_grad():", "torch.set_grad_enabled(False)\n    if True:"),
                "Course00 17",
            ),
        ),
    ),
]
