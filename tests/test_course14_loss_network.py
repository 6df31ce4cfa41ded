"""Course 14: gradients against finite differences and formulas, and memory against the sizes of the tensors."""

import copy
import math

import pytest
import torch
from torch import nn


def gradients(model, images, labels):
    """The gradient of the mean cross-entropy, name by name, from a fresh copy that nobody has touched."""
    model = copy.deepcopy(model)
    model.zero_grad()
    log_p = torch.log_softmax(model(images), dim=1)
    return dict(
        zip(
            dict(model.named_parameters()),
            torch.autograd.grad(-log_p[torch.arange(len(labels)), labels].mean(), list(model.parameters())),
            strict=True,
        )
    )


def test_the_hand_made_gradients_are_the_slopes_of_the_formula(lesson):
    def formula(w, b):
        return (w * 2 + b - 5) ** 2

    h = 1e-4
    assert lesson["w"].grad.item() == pytest.approx((formula(3 + h, 1) - formula(3 - h, 1)) / (2 * h))
    assert lesson["b"].grad.item() == pytest.approx((formula(3, 1 + h) - formula(3, 1 - h)) / (2 * h))


def test_the_drawn_gradients_are_those_of_each_step_of_the_chain(lesson):
    w = torch.tensor(3.0, requires_grad=True)
    values = [w, w * 2]
    values += [values[-1] + 1]
    values += [values[-1] - 5]
    values += [values[-1] ** 2]
    slopes = torch.autograd.grad(values[-1], values)
    assert [gradient for _, gradient in lesson["chain"]] == [slope.item() for slope in slopes]
    assert [float(text.split()[-1]) for text, _ in lesson["chain"]] == [value.item() for value in values]


def test_the_graph_ends_at_every_parameter_once(lesson):
    model = lesson["model"]
    loss = lesson["loss_fn"](model(lesson["images"]), lesson["labels"])
    ends = [node.variable for node in lesson["nodes_behind"](loss) if hasattr(node, "variable")]
    assert {id(p) for p in ends} == {id(p) for p in model.parameters()}
    assert len(ends) == lesson["kinds"]["AccumulateGrad"] == 13
    assert lesson["kinds"].total() == 20 + 13
    again = lesson["loss_fn"](model(lesson["images"]), lesson["labels"])
    assert len(lesson["nodes_behind"](loss, again)) == 2 * 20 + 13, "two graphs share their ends"


def test_pushed_weights_confirm_backward(lesson):
    assert len(lesson["checked"]) == 3
    truth = gradients(lesson["precise"], lesson["batch"], lesson["labels"])
    for (name, (from_backward, pushed)), place in zip(
        lesson["checked"].items(), [(4, 1, 2, 2), (7, 100), (3,)], strict=True
    ):
        assert from_backward == pytest.approx(truth[name][place].item(), rel=1e-9)
        assert pushed == pytest.approx(from_backward, abs=1e-6)


def test_the_checked_network_is_the_same_after_the_check(lesson):
    for name, value in lesson["precise"].state_dict().items():
        assert torch.equal(value, lesson["model"].state_dict()[name].to(value.dtype)), name


def test_the_best_step_is_neither_the_largest_nor_the_smallest(lesson):
    for mistakes in lesson["mistakes"].values():
        assert min(mistakes) < mistakes[0] / 10
        assert min(mistakes) < mistakes[-1] / 10
    assert min(lesson["mistakes"][torch.float64]) < min(lesson["mistakes"][torch.float32]) / 1000
    assert lesson["mistakes"][torch.float32][-1] == 1, "no difference left between the two values"


def test_the_sigmoids_exact_slope_is_the_formula(lesson):
    s = 1 / (1 + math.exp(-0.5))
    assert lesson["exact"].item() == pytest.approx(s * (1 - s))


def test_gradients_add_up_until_they_are_cleared(lesson):
    norms = lesson["norms"]
    assert norms == pytest.approx([norms[0], 2 * norms[0], 3 * norms[0]], rel=1e-4)
    truth = gradients(lesson["model"], lesson["images"], lesson["labels"])["classifier.3.weight"]
    assert norms[0] == pytest.approx(truth.norm().item(), rel=1e-4)
    assert torch.allclose(lesson["whole"], truth, atol=1e-6)
    assert torch.allclose(lesson["from_halves"], truth, atol=1e-6)


def test_clipping_by_norm_follows_its_formula_and_leaves_small_gradients_alone(lesson):
    for start, end in lesson["clipped"].items():
        factor = min(1, 1 / math.hypot(*start))
        assert end == pytest.approx([g * factor for g in start], abs=1e-5)
    assert len(lesson["clipped"]) == 2


def test_clipping_by_norm_keeps_the_direction_and_by_value_does_not(lesson):
    cosine = nn.functional.cosine_similarity
    assert lesson["returned"].item() == pytest.approx(lesson["wild"].norm().item(), rel=1e-4)
    assert lesson["returned"] > 10, "there was something to clip"
    assert lesson["tamed"].norm().item() == pytest.approx(1, abs=1e-3)
    assert cosine(lesson["tamed"], lesson["wild"], dim=0).item() == pytest.approx(1, abs=1e-4)
    assert lesson["weight"].grad.tolist() == [1.0, 1.0]
    assert cosine(lesson["weight"].grad, torch.tensor([3.0, 4.0]), dim=0) < 0.995


def test_stored_losses_hold_nothing_after_backward_or_without_a_graph(lesson):
    for way in ("loss.item()", "loss after backward", "loss under no_grad"):
        assert lesson["memory"][way] == [0, 0, 0, 0], way


def test_each_stored_loss_without_backward_holds_at_least_its_feature_maps(lesson):
    held = lesson["memory"]["loss without backward"]
    maps = []
    hooks = [
        layer.register_forward_hook(lambda layer, args, out: maps.append(out.numel() * 4))
        for layer in lesson["model"].features
        if isinstance(layer, nn.Conv2d | nn.ReLU)
    ]
    with torch.no_grad():
        lesson["model"](lesson["images"])
    for hook in hooks:
        hook.remove()
    assert held == pytest.approx([held[0] * n for n in (1, 2, 3, 4)], rel=1e-6)
    assert sum(maps) / 2**20 < held[0] < 2 * sum(maps) / 2**20


def test_one_backward_at_the_end_holds_every_batch_and_finds_the_same_gradient(lesson):
    at_the_end, each = lesson["memory"]["one backward at the end"], lesson["memory"]["a backward for each batch"]
    assert at_the_end == pytest.approx([each[0] * n for n in (1, 2, 3, 4)], rel=1e-3)
    assert each == pytest.approx([each[0]] * 4, rel=1e-3)
    truth = gradients(lesson["model"], lesson["images"], lesson["labels"])["classifier.3.weight"]
    for way, gradient in lesson["gradients"].items():
        assert torch.allclose(gradient, truth, atol=1e-6), way


def test_nothing_is_kept_alive_when_the_lesson_is_over(lesson):
    alive = [wrapped.tensor for wrapped in lesson["kept"]]
    assert sum(tensor.numel() for tensor in alive) == 0


def test_a_retained_graph_gives_its_gradient_twice(lesson):
    truth = gradients(lesson["model"], lesson["images"], lesson["labels"])["classifier.3.weight"]
    assert torch.allclose(lesson["last"].weight.grad, 2 * truth, atol=1e-6)
    assert lesson["nodes_behind"](lesson["loss"]), "the nodes are still there, and what they kept is gone"
    with pytest.raises(RuntimeError, match="second time"):
        lesson["loss"].backward()


@pytest.mark.parametrize("name", ["mistakes counted", "wrapped anew", "one loss each"])
def test_a_loss_with_no_way_back_is_refused(lesson, name):
    with pytest.raises(RuntimeError):
        lesson["broken"][name].backward()
