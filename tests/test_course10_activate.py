"""Course 10: activations against formulas, finite differences and the product of matrices."""

import math

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from common.paths import home

# The definitions again, with Python's own mathematics.
FORMULAS = {
    "ReLU": lambda x: max(0.0, x),
    "LeakyReLU": lambda x: x if x > 0 else 0.1 * x,
    "GELU": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "SiLU": lambda x: x / (1 + math.exp(-x)),
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "Tanh": math.tanh,
}
NAMES = list(FORMULAS)


def slope(f, x, step=1e-5):
    """The derivative by finite differences."""
    return (f(x + step) - f(x - step)) / (2 * step)


@pytest.mark.parametrize("name", NAMES)
def test_each_activation_and_each_formula_shown_is_the_definition(lesson, name):
    activation, formula = lesson["family"][name]
    for x in np.linspace(-5, 5, 41).tolist():
        for function in (activation, formula):
            assert function(torch.tensor(x, dtype=torch.float64)).item() == pytest.approx(FORMULAS[name](x), abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_each_gradient_is_the_finite_difference(lesson, name):
    for x, gradient in zip(lesson["samples"].tolist(), lesson["gradients"][name].tolist(), strict=True):
        if x or name not in ("ReLU", "LeakyReLU"):
            assert gradient == pytest.approx(slope(FORMULAS[name], x), abs=1e-5)
        else:
            assert gradient == pytest.approx(slope(FORMULAS[name], -1.0)), "at the kink, the slope below zero"


def test_only_the_sigmoid_is_not_zero_at_zero_and_its_slope_is_a_quarter_at_most():
    assert [name for name in NAMES if FORMULAS[name](0.0)] == ["Sigmoid"]
    assert max(slope(FORMULAS["Sigmoid"], x / 100) for x in range(-500, 501)) == pytest.approx(0.25, abs=1e-6)
    assert min(FORMULAS["GELU"](x / 100) for x in range(-500, 1)) == pytest.approx(-0.17, abs=0.005)
    assert min(FORMULAS["SiLU"](x / 100) for x in range(-500, 1)) == pytest.approx(-0.28, abs=0.005)


def test_softmax_and_its_jacobian_are_the_formula_and_the_finite_difference(lesson):
    def softmax(z):
        return [math.exp(a) / sum(math.exp(b) for b in z) for a in z]

    z = lesson["logits"].tolist()
    assert lesson["probabilities"].tolist() == pytest.approx(softmax(z), abs=1e-6)
    for j in range(3):
        by_j = [slope(lambda x, i=i: softmax(z[:j] + [x] + z[j + 1 :])[i], z[j]) for i in range(3)]  # noqa: B023
        assert lesson["slopes"][:, j].tolist() == pytest.approx(by_j, abs=1e-5)


def test_each_column_of_the_jacobian_adds_up_to_zero_because_probabilities_add_up_to_one(lesson):
    z = lesson["logits"].double()
    for j in range(3):
        poked = z.clone()
        poked[j] += 1e-5
        gains = (poked.softmax(dim=0) - z.softmax(dim=0)) / 1e-5  # column j: what each class gains when z_j grows
        assert lesson["slopes"][:, j].tolist() == pytest.approx(gains.tolist(), abs=1e-4)
        assert gains.sum().item() == pytest.approx(0, abs=1e-9)
    assert lesson["slopes"].sum(dim=0).tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    together = (z + 1e-5).softmax(dim=0) - z.softmax(dim=0)  # the rows: all logits grow by the same amount
    assert together.abs().max() < 1e-12


def test_the_softmax_formula_overflows_where_the_library_does_not(lesson):
    assert math.exp(103) > torch.finfo(torch.float32).max
    assert lesson["naive"].isnan().all()


def test_in_place_writes_over_the_input(lesson):
    network = nn.ReLU(inplace=True)
    numbers = lesson["numbers"].clone()
    assert network(numbers).data_ptr() == numbers.data_ptr()
    assert torch.equal(numbers, lesson["by_hand"])
    assert torch.equal(lesson["by_hand"], torch.tensor([[1.0, 0.0], [0.0, 3.0]]))


@pytest.mark.parametrize("layer", [nn.Linear(4, 4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)])
def test_behind_the_usual_layers_in_place_changes_no_gradient(layer):
    images = torch.rand(2, 4, 4, 4) - 0.5
    found = []
    for inplace in (False, True):
        layer.zero_grad()
        nn.ReLU(inplace=inplace)(layer(images)).square().sum().backward()
        found.append(layer.weight.grad.clone())
    assert torch.equal(*found)


def test_layers_without_activations_are_the_product_of_their_matrices(lesson):
    (w1, b1), (w2, b2), (w3, b3) = (
        (layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in lesson["layers"]
    )
    assert lesson["W"].detach().numpy() == pytest.approx(w3 @ w2 @ w1, abs=1e-4)
    assert lesson["b"].detach().numpy() == pytest.approx(w3 @ w2 @ b1 + w3 @ b2 + b3, abs=1e-4)
    assert (w1.shape, w2.shape, w3.shape) == ((16, 2), (16, 16), (1, 16))
    x = torch.tensor([[0.5, -2.0], [3.0, 1.0]])
    by_hand = (w3 @ (w2 @ (w1 @ x.numpy().T + b1[:, None]) + b2[:, None]) + b3[:, None]).T
    assert lesson["deep"](x).detach().numpy() == pytest.approx(by_hand, abs=1e-3)
    assert sum(p.numel() for p in lesson["deep"].parameters()) == 2 * 16 + 16 + 16 * 16 + 16 + 16 + 1 == 337


def bend(network, xy):
    """How far the network is from answering halfway between two points with the mean of their answers."""
    first, second = xy[:200], xy[200:]
    with torch.no_grad():
        return (network((first + second) / 2) - (network(first) + network(second)) / 2).abs().max().item()


def test_only_networks_with_activations_bend_and_separate_the_classes(lesson):
    for data in ("moons", "rings"):
        xy = lesson[data]
        for name in ("no activations", "ReLU"):
            network, right = lesson["trained"][data, name], lesson["right"][data, name]
            with torch.no_grad():
                answers = network(xy).flatten() > 0
            hits = sum(int(a == bool(b)) for a, b in zip(answers.tolist(), lesson["labels"].tolist(), strict=True))
            assert right == hits / 400
            assert (right > 0.97) == (name == "ReLU")
            assert (bend(network, xy) > 0.1) == (name == "ReLU")


def test_the_boundary_without_activations_is_the_straight_line_of_the_collapsed_matrix(lesson):
    for data in ("moons", "rings"):
        network = lesson["trained"][data, "no activations"]
        with torch.no_grad():
            bias = network(torch.zeros(1, 2))[0, 0].item()
            w_x, w_y = (network(torch.eye(2))[:, 0] - bias).tolist()
            xs = torch.linspace(-2, 3, 50)
            on_the_line = torch.stack([xs, -(w_x * xs + bias) / w_y], dim=1)
            assert network(on_the_line).abs().max() < 1e-3, "undecided everywhere on one straight line"
        if data == "moons":
            found = [*lesson["W"][0].tolist(), lesson["b"].item()]
            assert found == pytest.approx([w_x, w_y, bias], abs=1e-3)


def test_the_two_networks_differ_in_nothing_but_the_activation(lesson):
    plain, bent = (lesson["trained"]["moons", name] for name in ("no activations", "ReLU"))
    assert [p.shape for p in plain.parameters()] == [p.shape for p in bent.parameters()]
    assert (
        sum(isinstance(layer, nn.ReLU) for layer in bent) == sum(isinstance(layer, nn.Identity) for layer in plain) == 2
    )


def test_moons_and_rings_are_half_circles_and_circles(lesson):
    moons, rings = lesson["moons"], lesson["rings"]
    radius = rings.norm(dim=1)
    assert radius[:200].mean() == pytest.approx(0.4, abs=0.05) and radius[200:].mean() == pytest.approx(1, abs=0.05)
    assert moons[:200].norm(dim=1).mean() == pytest.approx(1, abs=0.05)
    assert (moons[200:] - torch.tensor([1.0, 0.5])).norm(dim=1).mean() == pytest.approx(1, abs=0.05)
    assert moons[:200, 1].min() > -0.5 and moons[200:, 1].max() < 1


def test_gradients_vanish_through_sigmoids_and_not_through_relus(lesson):
    arrives = lesson["arrives"]
    assert all(len(sizes) == lesson["depth"] == 20 for sizes in arrives.values())
    assert arrives["Sigmoid"][0] < 1e-10 * arrives["Sigmoid"][-1]
    for name in ("ReLU", "Tanh"):
        assert 0.1 < arrives[name][0] / arrives[name][-1] < 10
    per_layer = [a / b for a, b in zip(arrives["Sigmoid"][1:-1], arrives["Sigmoid"][2:], strict=True)]
    assert max(per_layer) < 0.5, "a weight matrix of this size stretches a little; the slope takes three quarters"


def test_why_the_gradient_arrives_or_not_is_weights_times_slopes(lesson):
    """The reasons that the notes give, measured in a network of the test's own."""
    torch.manual_seed(0)

    def through(function, gain):
        weights = [(gain * torch.randn(64, 64) / 8).requires_grad_() for _ in range(20)]
        hidden, found = torch.randn(32, 64), []
        for weight in weights:
            found.append((before := hidden @ weight).detach())
            hidden = function(before)
        hidden.sum().backward()
        return (weights[0].grad.norm() / weights[-1].grad.norm()).item(), torch.stack(found)

    gains = {name: gain for name, (_, gain) in lesson["activations"].items()}
    assert gains == {"Sigmoid": 1, "Tanh": 1, "ReLU": pytest.approx(math.sqrt(2))}
    arrives, before = through(torch.sigmoid, 1)
    assert arrives < 1e-10 and (before.sigmoid() * (1 - before.sigmoid()) < 0.249).float().mean() > 0.5
    assert through(torch.sigmoid, 12)[0] > 0.01, "larger weights make up for the small slopes"
    _, before = through(torch.tanh, 1)
    assert before[10:].abs().mean() < 0.3 and (1 - before[10:].tanh() ** 2).mean() > 0.9, (
        "near zero, where tanh is steep"
    )
    _, before = through(torch.relu, math.sqrt(2))
    assert (before > 0).float().mean() == pytest.approx(0.5, abs=0.05), "half of the slopes are 0"


def test_the_measured_gradient_is_the_finite_difference_through_twenty_layers(lesson):
    """The ReLU network, the last to be measured: poke one weight of the first and one of the last layer."""
    weights = [weight.detach().double() for weight in lesson["weights"]]
    gradients = [weight.grad.double() for weight in lesson["weights"]]

    def output(which, by):
        hidden = lesson["start"].double()
        for i, weight in enumerate(weights):
            poke = torch.zeros_like(weight)
            poke[3, 5] = by if i == which else 0
            hidden = (hidden @ (weight + poke)).clamp(min=0)
        return hidden.sum().item()

    for which in (0, 10, 19):
        by_difference = slope(lambda by, which=which: output(which, by), 0.0, step=1e-7)
        assert gradients[which][3, 5].item() == pytest.approx(by_difference, rel=1e-3, abs=1e-3)
    assert lesson["arrives"]["ReLU"] == pytest.approx([g.square().sum().sqrt().item() for g in gradients], rel=1e-4)


def test_a_dead_relu_never_learns_and_a_leaky_one_comes_back(lesson):
    assert lesson["silent"].tolist() == [True] + [False] * 7, "unit 0 and no other is below zero everywhere"
    assert lesson["learned"]["ReLU"].tolist() == [False] + [True] * 7
    assert lesson["learned"]["LeakyReLU"].all()


def test_a_unit_below_zero_everywhere_has_no_gradient(lesson):
    points = lesson["moons"].tolist()
    for slope_below, dead in [(0.0, True), (0.01, False)]:

        def output(weight, slope_below=slope_below):
            below = [weight * x - 10 for x, _ in points]
            assert max(below) < 0
            return sum(slope_below * value for value in below)

        assert (abs(slope(output, 0.3)) < 1e-9) == dead


def test_pictures_pass_a_relu_unchanged_and_a_sigmoid_pale(lesson):
    images, squashed = lesson["images"], lesson["squashed"]
    assert images.min() >= 0, "there is nothing for a ReLU to cut off"
    assert squashed.min() >= 0.5 and squashed.max() <= 1 / (1 + math.exp(-1)) + 1e-6
    brightness = images.mean(dim=1)
    edges = brightness[:, 2:] - brightness[:, :-2]
    assert torch.allclose(lesson["edges"][:, 0], edges, atol=1e-6)
    assert torch.equal(lesson["kept"] > 0, lesson["edges"] > 0) and lesson["kept"].min() == 0


def test_tensorboard_shows_the_pictures_and_the_histograms(lesson):
    log = EventAccumulator(str(home() / "logs/Course10-Activate"))
    log.Reload()
    assert set(log.Tags()["images"]) == {"input", "sigmoid"}
    assert set(log.Tags()["histograms"]) == {"edges/before ReLU", "edges/after ReLU"}


def test_softmax_along_the_batch_lets_pictures_compete(lesson):
    scores = lesson["scores"].tolist()
    columns = [[math.exp(row[c]) / sum(math.exp(r[c]) for r in scores) for c in range(3)] for row in scores]
    assert [round(sum(row), 2) for row in columns] == [0.89, 2.11]
    assert lesson["sums"] == pytest.approx([1, 1])
    assert torch.allclose(lesson["implicit"].sum(dim=1), torch.ones(2)), "what PyTorch guesses for two axes"
    assert "Implicit dimension" in str(lesson["caught"][0].message)
