"""Course 14: gradients against finite differences and formulas, and memory against the sizes of the tensors."""

import copy
import math
import runpy
import weakref

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from common.paths import REPOSITORY


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


@pytest.fixture(scope="module")
def drawing():
    return runpy.run_path(str(REPOSITORY / "Course14-Loss-Network" / "drawing.py"))


def test_the_drawn_values_and_gradients_are_those_of_autograd(drawing):
    w, b = torch.tensor(3.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    x, target = torch.tensor(2.0), torch.tensor(5.0)
    mul = w * x
    add = mul + b
    sub = add - target
    tensors = {"w": w, "x": x, "mul": mul, "b": b, "add": add, "target": target, "sub": sub, "pow": sub**2}
    assert {name: value for name, (_, _, value, _, _) in drawing["nodes"].items()} == {
        name: tensor.item() for name, tensor in tensors.items()
    }
    needed = {name: tensor for name, tensor in tensors.items() if tensor.requires_grad}
    slopes = torch.autograd.grad(tensors["pow"], list(needed.values()))
    truth = {name: slope.item() for name, slope in zip(needed, slopes, strict=True)}
    assert {name: gradient for name, (_, _, _, gradient, _) in drawing["nodes"].items() if gradient} == truth


def test_the_drawn_arrows_are_those_of_the_graph_and_b_feeds_the_addition(lesson, drawing):
    names = {id(lesson["w"]): "w", id(lesson["b"]): "b"}

    def name(node):
        if hasattr(node, "variable"):
            return names[id(node.variable)]
        return type(node).__name__.removesuffix("Backward0").lower()

    truth = set()
    for node in lesson["nodes_behind"](lesson["small_loss"]):
        truth |= {(name(before), name(node)) for before, _ in node.next_functions if before is not None}
    assert truth == {("w", "mul"), ("mul", "add"), ("b", "add"), ("add", "sub"), ("sub", "pow")}
    assert {(start, end) for start, end, factor, _ in drawing["edges"] if factor} == truth
    without_gradient = {(start, end) for start, end, factor, _ in drawing["edges"] if not factor}
    assert without_gradient == {("x", "mul"), ("target", "sub")}


def test_the_printed_arrows_say_what_feeds_what(printed):
    lines = [line for line in printed.splitlines() if " <- " in line]
    assert lines == ["Pow <- Sub", "Sub <- Add, no gradient", "Add <- Mul, b.grad", "Mul <- w.grad, no gradient"]


def test_in_eval_mode_no_pictures_logits_depend_on_the_other_pictures(lesson):
    model, images = copy.deepcopy(lesson["model"]), lesson["images"]
    with torch.no_grad():
        assert not model.training
        assert torch.allclose(model(images)[:1], model(images[:1]), atol=1e-5)
        model.train()
        assert not torch.allclose(model(images)[:1], model(images[:1]), atol=1e-3)


def test_one_whole_step_up_and_down_finds_the_slope_of_a_square_exactly(lesson):
    assert (lesson["loss_of"](4), lesson["loss_of"](2)) == (16, 0)
    assert lesson["w"].grad.item() == (16 - 0) / 2


def test_the_graph_ends_at_every_parameter_once(lesson):
    model = lesson["model"]
    loss = lesson["loss_fn"](model(lesson["images"]), lesson["labels"])
    ends = [node.variable for node in lesson["nodes_behind"](loss) if hasattr(node, "variable")]
    assert {id(p) for p in ends} == {id(p) for p in model.parameters()}
    assert len(ends) == lesson["kinds"]["AccumulateGrad"] == 13
    assert lesson["kinds"].total() == 20 + 13
    again = lesson["loss_fn"](model(lesson["images"]), lesson["labels"])
    assert len(lesson["nodes_behind"](loss, again)) == 2 * 20 + 13, "two graphs share their ends"


def test_the_gradient_of_the_last_bias_is_probabilities_minus_truth(lesson):
    blame = lesson["blame"].double()
    assert torch.allclose(blame.sum(dim=1), torch.zeros(64, dtype=torch.float64), atol=1e-5)
    truth = gradients(lesson["model"], lesson["images"], lesson["labels"])["classifier.3.bias"]
    assert torch.allclose(truth, blame.mean(dim=0).float(), atol=1e-6)


def test_a_step_against_the_gradient_lowers_the_loss_and_a_step_along_it_raises_it(lesson):
    for direction, sign in (("against", -1), ("along", 1)):
        w, b = 3 + sign * 0.05 * 8, 1 + sign * 0.05 * 4
        assert lesson["steps"][direction] == pytest.approx((2 * w + b - 5) ** 2)
    slopes = gradients(lesson["model"], lesson["images"], lesson["labels"])
    losses = {}
    for sign in (-1, 0, 1):
        moved = copy.deepcopy(lesson["model"])
        with torch.no_grad():
            for name, p in moved.named_parameters():
                p += sign * 0.05 * slopes[name]
            losses[sign] = lesson["loss_fn"](moved(lesson["images"]), lesson["labels"]).item()
    assert losses[-1] < losses[0] < losses[1]
    for mine, theirs in zip(lesson["moved"].parameters(), lesson["model"].parameters(), strict=True):
        assert not torch.equal(mine, theirs), "the lesson moved each parameter"
    assert lesson["after"] == pytest.approx(losses[-1], abs=1e-5)


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


def test_a_stored_loss_tensor_can_still_go_back_and_a_number_cannot(lesson):
    assert all(isinstance(number, float) for number in lesson["numbers"])
    assert [tensor.item() for tensor in lesson["tensors"]] == pytest.approx(lesson["numbers"])
    model = lesson["model"]
    slope = torch.autograd.grad(lesson["tensors"][1], model.features[0].weight, retain_graph=True)[0]
    truth = gradients(model, lesson["images"], lesson["labels"])["features.0.weight"]
    assert torch.allclose(slope, truth, atol=1e-6)
    with pytest.raises(RuntimeError, match="second time"):
        lesson["tensors"][0].backward()  # the lesson went back through this one


class Kept:
    """One tensor that a graph keeps, because backward will need it."""

    def __init__(self, tensor):
        self.tensor = tensor.detach()


def megabytes(lesson, store, batches=4):
    """Memory that graphs keep, besides the weights and the batch, each time that store(loss) was called."""
    kept, model = weakref.WeakSet(), lesson["model"]
    owned = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    owned |= {lesson["images"].untyped_storage().data_ptr(), lesson["labels"].untyped_storage().data_ptr()}

    def keep(tensor):
        wrapped = Kept(tensor)
        kept.add(wrapped)
        return wrapped

    held, stored = [], []
    with saved_tensors_hooks(keep, lambda wrapped: wrapped.tensor):
        for _ in range(batches):
            stored.append(store(lesson["loss_fn"](model(lesson["images"]), lesson["labels"])))
            storages = [wrapped.tensor.untyped_storage() for wrapped in kept]
            sizes = {storage.data_ptr(): storage.nbytes() for storage in storages if storage.data_ptr() not in owned}
            held.append(sum(sizes.values()) / 2**20)
    return held


def after_backward(loss):
    loss.backward()
    return loss


def test_each_stored_loss_keeps_thirty_megabytes_and_a_number_none(lesson):
    held = megabytes(lesson, lambda loss: loss)
    assert held == pytest.approx([held[0] * n for n in (1, 2, 3, 4)], rel=1e-6)
    assert held[0] == pytest.approx(30, abs=0.5), "the number in the notes"
    assert 157 * held[0] == pytest.approx(5000, rel=0.06), "almost 5 GB"
    assert megabytes(lesson, lambda loss: loss.item()) == [0, 0, 0, 0]
    assert megabytes(lesson, after_backward) == [0, 0, 0, 0]
    with torch.no_grad():
        assert megabytes(lesson, lambda loss: loss) == [0, 0, 0, 0]
    lesson["model"].zero_grad()


def test_a_sum_of_losses_keeps_the_graph_of_each_and_gives_the_same_gradient(lesson, printed):
    total = 0

    def add(loss):
        nonlocal total
        total = total + loss

    held = megabytes(lesson, add)
    assert held == pytest.approx([held[0] * n for n in (1, 2, 3, 4)], rel=1e-6)
    assert "one backward at the end   total is a Tensor, graphs behind it: 4" in printed
    truth = gradients(lesson["model"], lesson["images"], lesson["labels"])["classifier.3.weight"]
    assert len(lesson["gradients"]) == 2
    for way, gradient in lesson["gradients"].items():
        assert torch.allclose(gradient, truth, atol=1e-6), way


def test_backward_twice_is_refused_and_a_retained_graph_gives_its_gradient_twice(lesson, printed):
    assert "with retain_graph=True both count: x2.0" in printed
    truth = gradients(lesson["model"], lesson["images"], lesson["labels"])["classifier.3.weight"]
    assert lesson["once"].item() == pytest.approx(truth.norm().item(), rel=1e-4)
    weight = lesson["last"].weight
    weight.grad = None
    loss = lesson["loss_fn"](lesson["model"](lesson["images"]), lesson["labels"])
    loss.backward(retain_graph=True)
    loss.backward()
    assert torch.allclose(weight.grad, 2 * truth, atol=1e-6)
    assert lesson["nodes_behind"](loss), "the nodes are still there, and what they kept is gone"
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    lesson["model"].zero_grad()


@pytest.mark.parametrize("name", ["mistakes counted", "wrapped anew", "one loss each"])
def test_a_loss_with_no_way_back_is_refused(lesson, name):
    with pytest.raises(RuntimeError):
        lesson["broken"][name].backward()
