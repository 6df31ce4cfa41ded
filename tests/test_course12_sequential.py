"""Course 12: networks against their own layers called one by one, and initialisation against its formulas."""

import math
import runpy

import pytest
import torch
from lessons import run_lesson
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from torch import nn
from torch.nn import functional as F

from common.models import CifarCNN
from common.paths import REPOSITORY, log_dir


def course_features(images, weights):
    """The three blocks of the course CNN in bare functions, from a state_dict, in training mode: (N, 1024)."""
    x = images
    for i in (1, 2, 3):
        x = F.conv2d(x, weights[f"conv{i}.weight"], padding=2)
        mean, var = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
        x = (x - mean) / (var + 1e-5).sqrt()
        x = x * weights[f"norm{i}.weight"][:, None, None] + weights[f"norm{i}.bias"][:, None, None]
        x = F.max_pool2d(x.clamp(min=0), 2)
    return x.flatten(1)


def course_cnn(images, weights):
    """The course CNN in bare functions, from a state_dict with the names conv1 … linear2, in training mode."""
    x = course_features(images, weights)
    x = (x @ weights["linear1.weight"].T + weights["linear1.bias"]).clamp(min=0)
    return x @ weights["linear2.weight"].T + weights["linear2.bias"]


def test_the_layers_one_by_one_are_the_course_cnn(lesson):
    with torch.no_grad():
        expected = course_cnn(lesson["images"], lesson["named"].state_dict())
    assert expected.std() > 0.01
    assert torch.allclose(lesson["logits"], expected, atol=1e-4)


@pytest.mark.parametrize("name", ["sequential", "named", "model"])
def test_every_way_to_write_it_computes_the_same(lesson, name):
    with torch.no_grad():
        expected = course_cnn(lesson["images"][:16], lesson["named"].state_dict())
        assert torch.allclose(lesson[name](lesson["images"][:16]), expected, atol=1e-4)


def test_the_class_has_weights_of_its_own_and_the_containers_share_theirs(lesson):
    assert lesson["named"].conv1 is lesson["sequential"][0]
    assert lesson["model"].conv1.weight is not lesson["named"].conv1.weight
    assert torch.equal(lesson["model"].conv1.weight, lesson["named"].conv1.weight)


def test_the_class_uses_its_one_relu_four_times_and_its_one_pool_three_times(lesson):
    fresh, uses = lesson["CourseCNN"](10), {"relu": 0, "pool": 0}
    for name in uses:

        def count(module, args, output, name=name):
            uses[name] += 1

        getattr(fresh, name).register_forward_hook(count)
    fresh(lesson["images"][:2])
    assert uses == {"relu": 4, "pool": 3}


def test_batchnorm_gives_each_channel_mean_zero_and_spread_one_and_takes_a_bias_out_again(lesson):
    conv = nn.Conv2d(3, 8, kernel_size=5, padding=2)
    with torch.no_grad():
        maps = nn.BatchNorm2d(8)(conv(lesson["images"]))
        assert torch.allclose(maps.mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-4), "over the batch and all places"
        assert maps.mean(dim=0).abs().max() > 0.01, "and not at each place"
        assert torch.allclose(maps.std(dim=(0, 2, 3)), torch.ones(8), atol=1e-2)
        conv.bias += 5
        assert torch.allclose(nn.BatchNorm2d(8)(conv(lesson["images"])), maps, atol=1e-3)


def test_the_blocks_of_the_picture_have_the_shapes_of_the_layers(lesson):
    drawing = runpy.run_path(str(REPOSITORY / "Course12-Sequential" / "drawing.py"))
    x, shapes = lesson["images"], {"picture": (3, 32, 32)}
    for name, layer in lesson["layers"]:
        x = layer(x)
        shapes[name] = tuple(x.shape[1:])
    drawn = {name: (channels, size, size) for name, channels, size, _ in drawing["blocks"]}
    drawn |= {name: (count,) for name, count, _, _ in drawing["vectors"]}
    assert len(drawn) == 10 and all(shapes[name] == shape for name, shape in drawn.items())


def test_the_course_cnn_of_later_lessons_has_these_layers_in_this_order(lesson):
    theirs = CifarCNN()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), lesson["named"].state_dict().values(), strict=True)))
    with torch.no_grad():
        expected = course_cnn(lesson["images"][:16], lesson["named"].state_dict())
        assert torch.allclose(theirs(lesson["images"][:16]), expected, atol=1e-4)


def test_a_repeated_name_loses_a_layer(lesson):
    assert [name for name, _ in nn.Sequential(lesson["two_relus"]).named_children()] == ["relu", "pool"]


def test_the_stages_halve_height_and_width_and_their_parameters_are_registered(lesson):
    stages, maps = lesson["stages"], lesson["feature_maps"]
    assert [tuple(m.shape) for m in maps] == [(64, 3, 32, 32), (64, 32, 16, 16), (64, 32, 8, 8), (64, 64, 4, 4)]
    assert sum(p.numel() for p in stages.parameters()) == 25 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * (32 + 32 + 64)
    with torch.no_grad():
        assert torch.allclose(stages[2](stages[1](stages[0](lesson["images"]))), maps[3], atol=1e-4)


def test_the_heads_answer_from_the_same_features(lesson):
    features = lesson["features"]
    with torch.no_grad():
        expected = course_features(lesson["images"], lesson["named"].state_dict())
        assert torch.allclose(features, expected, atol=1e-4)
    shapes = {question: tuple(head(features).shape) for question, head in lesson["heads"].items()}
    assert shapes == {"which class": (64, 10), "animal or machine": (64, 2)}


def test_lenet_has_the_sizes_that_places_of_a_kernel_give(lesson):
    size = 32
    for _ in range(2):
        size = len([i for i in range(size) if i + 5 <= size])  # where a kernel of 5 fits without padding
        size = len([i for i in range(0, size, 2) if i + 2 <= size])
    assert size == lesson["size"] == 5
    assert lesson["lenet"].classifier[1].in_features == 16 * size * size


def test_the_parameter_counts_are_those_of_the_formulas(lesson):
    counts = {name: sum(p.numel() for p in layer.parameters()) for name, layer in lesson["named"].named_children()}
    k = 5 * 5
    expected = {"conv1": 3 * 32 * k, "norm1": 2 * 32, "conv2": 32 * 32 * k, "norm2": 2 * 32, "conv3": 32 * 64 * k}
    expected |= {"norm3": 2 * 64, "linear1": 64 * (1024 + 1), "linear2": 10 * (64 + 1)}
    assert {name: count for name, count in counts.items() if count} == expected
    assert lesson["total"] == sum(expected.values()) == 145706
    printed = run_lesson("Course12-Sequential").printed.splitlines()
    for name, count in expected.items():
        assert f"{name:8} {count:6} {count / 145706:4.0%}" in printed
    biases_and_no_norms = sum(expected.values()) + 32 + 32 + 64 - 2 * (32 + 32 + 64)
    assert f"ClassicCNN {biases_and_no_norms}" in printed
    lenet = 6 * (3 * k + 1) + 16 * (6 * k + 1) + 120 * (400 + 1) + 84 * (120 + 1) + 10 * (84 + 1)
    assert f"LeNet {lenet}" in printed


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("normal, std 1", 1),
        ("Kaiming normal", 2 / 256),
        ("Xavier normal", 2 / (256 + 256)),
        ("PyTorch's default", 1 / (3 * 256)),
        ("normal, std 0.01", 0.01**2),
    ],
)
def test_behind_relu_a_layer_multiplies_the_spread_by_the_root_of_half_fan_in_times_variance(lesson, name, variance):
    spread = lesson["spreads"]["ReLU", name]
    factor = (spread[20] / spread[1]) ** (1 / 19)
    assert factor == pytest.approx(math.sqrt(256 * variance / 2), rel=0.1)
    weight = torch.empty(256, 256)
    lesson["inits"][name](weight)
    assert weight.var().item() == pytest.approx(variance, rel=0.03)


def test_pytorchs_default_in_the_lesson_is_what_nn_linear_does():
    weight = nn.Linear(256, 4096).weight
    assert weight.abs().max().item() == pytest.approx(1 / math.sqrt(256), rel=1e-3)
    assert weight.var().item() == pytest.approx(1 / (3 * 256), rel=0.01)


def test_with_tanh_large_weights_saturate_and_small_ones_die(lesson):
    torch.manual_seed(1)
    x = torch.randn(64, 256)
    for _ in range(5):
        x = torch.tanh(x @ torch.randn(256, 256))
    assert (x.abs() > 0.99).float().mean() > 0.8, "nearly all units sit where tanh is flat"
    assert lesson["spreads"]["Tanh", "normal, std 1"][20] > 0.9
    assert lesson["spreads"]["Tanh", "normal, std 0.01"][20] < 1e-12


def test_equal_units_get_equal_gradients_and_random_ones_do_not(lesson):
    """The closed form: d/dW of mean_n (v . tanh(W x_n))^2, row k, is mean_n 2 y_n v_k (1 - tanh^2) x_n."""
    assert not torch.allclose(lesson["gradient"], lesson["gradient"][:1].expand(64, -1)), "Kaiming, the last one run"
    x, weight, v = lesson["noise"].double(), lesson["hidden"].weight.double(), lesson["out"].weight[0].double()
    t = torch.tanh(x @ weight.T)
    expected = ((2 * (t @ v))[:, None] * (1 - t**2) * v).T @ x / len(x)
    assert torch.allclose(lesson["gradient"].double(), expected, atol=1e-5)
    printed = run_lesson("Course12-Sequential").printed
    assert "constant 0.01  all 64 rows of the gradient equal: True" in printed
    t = torch.tanh(x @ torch.full_like(weight, 0.01).T)
    of_equal_units = ((2 * 0.01 * t.sum(dim=1))[:, None] * (1 - t**2) * 0.01).T @ x / len(x)
    assert torch.allclose(of_equal_units, of_equal_units[:1].expand(64, -1))


def test_begin_gives_each_layer_type_its_own_first_weights(lesson):
    network = CifarCNN()
    with torch.no_grad():
        for p in network.parameters():
            p.fill_(7)
    network.apply(lesson["begin"])
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    linears = [m for m in network.modules() if isinstance(m, nn.Linear)]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [len(convs), len(linears), len(norms)] == [3, 2, 3]
    for conv in convs:
        fan_in = conv.in_channels * 5 * 5
        exact = 4 / math.sqrt(2 * conv.weight.numel())  # four times how much the std of so many numbers varies
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=exact)
    for linear in linears:
        std = math.sqrt(2 / (linear.in_features + linear.out_features))
        assert linear.weight.std().item() == pytest.approx(std, rel=4 / math.sqrt(2 * linear.weight.numel()))
        assert torch.count_nonzero(linear.bias) == 0
    for norm in norms:
        assert torch.equal(norm.weight, torch.ones_like(norm.weight)) and torch.count_nonzero(norm.bias) == 0


def test_the_first_number_of_normal_is_the_mean(lesson):
    assert lesson["meant"].mean().item() == pytest.approx(0, abs=0.01)
    assert lesson["meant"].std().item() == pytest.approx(0.1, rel=0.02)
    assert lesson["slip"].mean().item() == pytest.approx(0.1, abs=0.02)
    assert lesson["slip"].std().item() == pytest.approx(1, rel=0.02)


def test_batchnorm_makes_the_beginning_matter_less(lesson):
    spreads = lesson["logit_spreads"]
    ratio = {}
    for network in ("ClassicCNN", "CifarCNN"):
        of_network = [value for (name, _), value in spreads.items() if name == network]
        assert len(of_network) == 3
        ratio[network] = max(of_network) / min(of_network)
    assert ratio["ClassicCNN"] > 10_000 and ratio["CifarCNN"] < 100


def test_tensorboard_has_the_graph_with_every_layer_of_the_network():
    events = EventAccumulator(str(log_dir("Course12-Sequential"))).Reload()
    assert events.Tags()["graph"]
    graph = GraphDef.FromString(events.Graph().SerializeToString())
    operations = [node.op for node in graph.node]
    assert sum("convolution" in op for op in operations) == 3
    assert sum("max_pool2d" in op for op in operations) == 3
    assert any("features" in node.name for node in graph.node)


def test_without_the_last_pool_four_times_as_many_numbers_come_out(lesson):
    before_linear = nn.Sequential(*list(lesson["no_last_pool"].children())[:-3])
    assert isinstance(before_linear[-1], nn.Flatten)
    with torch.no_grad():
        assert before_linear(lesson["images"][:2]).shape == (2, 64 * 8 * 8)
    assert "(64x4096 and 1024x64)" in run_lesson("Course12-Sequential").printed


def test_a_plain_list_registers_nothing_and_a_module_list_everything(lesson):
    fresh = lesson["PlainList"]()
    assert list(fresh.parameters()) == [] and fresh.state_dict() == {}
    assert isinstance(fresh.layers, list) and fresh.to(torch.float64).layers[0].weight.dtype == torch.float32
    assert sum(p.numel() for p in lesson["plain"].parameters()) == 64 * (1024 + 1) + 10 * (64 + 1) == 66250


def test_a_layer_that_forward_does_not_know_changes_no_answer_and_gets_no_gradient(lesson):
    forgotten, images = lesson["forgotten"], lesson["images"][:8]
    assert {name for name, p in forgotten.named_parameters() if p.grad is None} == {"linear3.weight", "linear3.bias"}
    with torch.no_grad():
        before = forgotten(images)
        forgotten.linear3.weight.fill_(float("nan"))
        assert torch.equal(forgotten(images), before)


def test_a_layer_times_three_is_one_layer(lesson):
    times_three, three_layers = lesson["times_three"], lesson["three_layers"]
    assert len({id(layer) for layer in times_three}) == 1 and len({id(layer) for layer in three_layers}) == 3
    with torch.no_grad():
        times_three[0].weight.zero_()
    assert torch.count_nonzero(times_three[2].weight) == 0, "what changes one changes all"


def test_a_layer_registered_twice_is_counted_once_and_saved_twice(lesson):
    fresh = lesson["TwoPaths"]()
    assert sum(p.numel() for p in fresh.parameters()) == 66250
    assert sum(value.numel() for value in fresh.state_dict().values()) == 2 * 66250
    two_paths, features = lesson["two_paths"], lesson["features"]
    assert two_paths.linear2.out_features == 2, "the named layer was replaced …"
    assert two_paths(features).shape == (64, 10), "… and forward still takes the old one"
