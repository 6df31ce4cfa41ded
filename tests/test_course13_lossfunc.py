"""Course 13: losses against plain Python, and what the notes claim of them."""

import math
import runpy
import statistics

import pytest
import torch
from torch import nn

from common.paths import REPOSITORY


def cross_entropy(logits, target):
    """The definition, in plain Python, for one row of logits and a class index or a row of probabilities."""
    total = math.fsum(math.exp(x) for x in logits)
    log_p = [math.log(math.exp(x) / total) for x in logits]
    if isinstance(target, int):
        return -log_p[target]
    return -math.fsum(q * p for q, p in zip(target, log_p, strict=True))


def test_l1_and_mse_of_the_worked_example_are_two_thirds_and_four_thirds(lesson):
    assert lesson["l1_by_hand"].item() == pytest.approx(2 / 3, abs=1e-6)
    assert lesson["mse_by_hand"].item() == pytest.approx(4 / 3, abs=1e-6)
    assert nn.L1Loss()(lesson["outputs"], lesson["targets"]).item() == pytest.approx(2 / 3, abs=1e-6)
    assert nn.MSELoss()(lesson["outputs"], lesson["targets"]).item() == pytest.approx(4 / 3, abs=1e-6)


def test_twice_as_many_answers_double_the_sum_and_leave_the_mean(lesson):
    once, twice = (lesson["outputs"], lesson["targets"]), lesson["twice"]
    assert len(twice[0]) == 2 * len(once[0])
    assert nn.L1Loss(reduction="sum")(*twice) == 2 * nn.L1Loss(reduction="sum")(*once)
    assert nn.L1Loss()(*twice) == nn.L1Loss()(*once)


def test_l1_likes_the_median_best_and_mse_the_mean(lesson):
    targets = lesson["targets_with_outlier"].tolist()
    assert lesson["best"]["L1"] == pytest.approx(statistics.median(targets), abs=0.05)
    assert lesson["best"]["MSE"] == pytest.approx(statistics.mean(targets), abs=0.05)


def test_smooth_l1_and_huber_are_the_same_curve_by_default():
    offsets = torch.linspace(-3, 3, 301)
    huber = nn.HuberLoss(reduction="none")(offsets, torch.zeros(301))
    assert torch.allclose(huber, nn.SmoothL1Loss(reduction="none")(offsets, torch.zeros(301)))
    truth = [e * e / 2 if abs(e) < 1 else abs(e) - 0.5 for e in offsets.tolist()]
    assert huber.tolist() == pytest.approx(truth, abs=1e-6)


def test_the_points_marked_in_the_picture_lie_on_the_curve(lesson):
    drawing = runpy.run_path(str(REPOSITORY / "Course13-LossFunc" / "drawing.py"))
    assert [loss for _, loss, _, _ in drawing["marks"]] == pytest.approx(
        [-math.log(p) for p, _, _, _ in drawing["marks"]]
    )
    answers = {name.strip(): answer for name, answer in lesson["answers"].items()}
    wrong, _, no_idea, right = drawing["marks"]
    for name, (_, loss, _, _) in (("sure and wrong", wrong), ("no idea", no_idea), ("sure and right", right)):
        assert cross_entropy(answers[name], 1) == pytest.approx(loss, abs=0.005)


def test_cross_entropy_of_the_worked_example_is_the_formula_in_plain_python(lesson):
    truth = cross_entropy([0.1, 0.2, 0.3], 1)
    assert truth == pytest.approx(1.1019, abs=5e-5), "the number in the notes"
    assert lesson["by_hand"].item() == pytest.approx(truth, abs=1e-6)
    assert lesson["cross_entropy"](lesson["logits"], lesson["target"]).item() == pytest.approx(truth, abs=1e-6)
    assert nn.NLLLoss()(lesson["log_probabilities"], lesson["target"]).item() == pytest.approx(truth, abs=1e-6)


def test_having_no_idea_costs_ln_of_the_number_of_classes_and_a_shift_changes_nothing(lesson):
    answers = {name.strip(): answer for name, answer in lesson["answers"].items()}
    assert cross_entropy(answers["no idea"], 1) == pytest.approx(math.log(3))
    assert cross_entropy(answers["no idea, shifted"], 1) == pytest.approx(math.log(3))


@pytest.mark.parametrize("name", ["no idea", "sure and right", "sure and wrong"])
def test_the_gradient_of_cross_entropy_is_probabilities_minus_truth(lesson, name):
    values = {key.strip(): answer for key, answer in lesson["answers"].items()}[name]
    logits = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    lesson["cross_entropy"](logits, lesson["target"]).backward()
    h = 1e-6
    for j in range(3):
        up, down = ([x + h * sign * (i == j) for i, x in enumerate(values)] for sign in (1, -1))
        slope = (cross_entropy(up, 1) - cross_entropy(down, 1)) / (2 * h)
        total = sum(math.exp(x) for x in values)
        assert logits.grad[0, j].item() == pytest.approx(slope, abs=1e-6)
        assert logits.grad[0, j].item() == pytest.approx(math.exp(values[j]) / total - (j == 1), abs=1e-9)


def test_log_softmax_survives_where_the_formula_gives_nan(lesson):
    large = lesson["large"]
    assert (large.exp() / large.exp().sum()).isnan().any()
    assert torch.log_softmax(large, dim=1)[0].tolist() == [0.0, -1000.0, -1000.0]


def test_one_hot_floats_cost_what_the_index_costs_and_whole_numbers_are_refused(lesson):
    logits = torch.tensor([[0.3, -1.2, 2.0], [0.1, 0.2, 0.3]])
    rows = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    truth = statistics.mean([cross_entropy([0.3, -1.2, 2.0], 1), cross_entropy([0.1, 0.2, 0.3], 0)])
    assert lesson["cross_entropy"](logits, rows).item() == pytest.approx(truth, abs=1e-6)
    assert lesson["one_hot"].dtype == torch.int64
    with pytest.raises(RuntimeError, match="floating point"):
        lesson["cross_entropy"](logits, rows.long())


def test_soft_labels_share_out_one_and_cost_the_formula(lesson):
    assert lesson["soft"].sum().item() == pytest.approx(1)
    truth = cross_entropy([0.1, 0.2, 0.3], lesson["soft"][0].tolist())
    assert lesson["soft_by_hand"].item() == pytest.approx(truth, abs=1e-6)
    assert lesson["cross_entropy"](lesson["logits"], lesson["soft"]).item() == pytest.approx(truth, abs=1e-6)


def test_a_smoothed_target_is_the_formula_and_shares_out_exactly_one(lesson):
    assert lesson["soft_target"].sum().item() == pytest.approx(1)
    assert lesson["soft_target"][0].tolist() == pytest.approx([0.1 / 3, 0.1 / 3, 0.1 / 3 + 0.9])
    truth = cross_entropy([0.1, 0.2, 0.3], [0.1 / 3, 0.1 / 3, 0.1 / 3 + 0.9])
    assert lesson["smoothed_by_hand"].item() == pytest.approx(truth, abs=1e-6)
    assert lesson["smoothed"](lesson["logits"], lesson["last"]).item() == pytest.approx(truth, abs=1e-6)
    passed_in = lesson["cross_entropy"](lesson["logits"], lesson["soft_target"])
    assert passed_in.item() == pytest.approx(truth, abs=1e-6)


def test_a_smoothed_loss_punishes_being_too_sure_and_a_plain_one_never(lesson):
    last, sizes = lesson["last"], [2.0, 4.0, 8.0, 16.0]
    smoothed = [lesson["smoothed"](torch.tensor([[0, 0, size]]), last).item() for size in sizes]
    plain = [lesson["cross_entropy"](torch.tensor([[0, 0, size]]), last).item() for size in sizes]
    assert plain == sorted(plain, reverse=True)
    assert smoothed[1] < smoothed[0] and smoothed[1] < smoothed[2] < smoothed[3]


def test_class_weights_divide_by_the_sum_of_the_weights(lesson):
    costs = [cross_entropy([2.0, 0.0], target) for target in lesson["rare_targets"].tolist()]
    weights = [[1.0, 9.0][target] for target in lesson["rare_targets"].tolist()]
    truth = sum(w * c for w, c in zip(weights, costs, strict=True)) / sum(weights)
    assert lesson["weighted_by_hand"].item() == pytest.approx(truth, abs=1e-6)
    for scale in (1, 2):
        layer = nn.CrossEntropyLoss(scale * lesson["weight"])
        assert layer(lesson["lazy"], lesson["rare_targets"]).item() == pytest.approx(truth, abs=1e-6)
    assert truth > 3 * lesson["each"].mean().item(), "laziness costs"


def test_class_weights_are_a_buffer_that_moves_with_the_loss_and_plain_losses_own_nothing(lesson):
    assert dict(lesson["weighted"].named_buffers())["weight"].tolist() == [1, 9]
    assert list(lesson["weighted"].parameters()) == []
    assert lesson["weighted"].weight.dtype == torch.float64, "the lesson moved it to another dtype"
    fresh = nn.CrossEntropyLoss(torch.tensor([1.0, 9.0]))
    assert fresh.to("meta").weight.device.type == "meta", "and to(device) moves it to another device"
    for plain in (nn.L1Loss(), nn.MSELoss(), nn.CrossEntropyLoss()):
        assert [*plain.parameters(), *plain.buffers()] == []


def test_binary_cross_entropy_is_the_cross_entropy_of_two_classes(lesson):
    """A question with logit x is a choice between two classes whose logits are 0 and x."""
    pairs = zip(lesson["tag_logits"][0].tolist(), lesson["tag_targets"][0].tolist(), strict=True)
    truth = statistics.mean(cross_entropy([0.0, x], int(y)) for x, y in pairs)
    assert lesson["bce_by_hand"].item() == pytest.approx(truth, abs=1e-6)
    assert nn.BCEWithLogitsLoss()(lesson["tag_logits"], lesson["tag_targets"]).item() == pytest.approx(truth, abs=1e-6)


def test_every_picture_has_its_own_loss_and_their_mean_is_the_cost(lesson):
    rows, labels = lesson["image_logits"].double().tolist(), lesson["labels"].tolist()
    truth = [cross_entropy(row, label) for row, label in zip(rows, labels, strict=True)]
    assert lesson["losses"].tolist() == pytest.approx(truth, abs=1e-5)
    assert lesson["cost_of_all"].item() == pytest.approx(statistics.mean(truth), abs=1e-5)
    assert statistics.mean(truth) == pytest.approx(math.log(10), abs=0.15)


def test_the_objective_is_the_cost_and_the_squares_of_all_weights(lesson):
    squares = sum(p.detach().double().square().sum().item() for p in lesson["model"].parameters())
    assert lesson["objective"].item() == pytest.approx(lesson["losses"].mean().item() + 0.001 * squares, abs=1e-4)


def test_a_tiny_push_moves_the_cost_and_no_answer(lesson):
    assert lesson["cost_moves"]
    assert not lesson["answers_move"]


def test_with_softmax_twice_no_answer_is_better_than_146_and_mistakes_hardly_pull(lesson):
    labels = lesson["labels"]
    for scale in (1, 10, 100, 1000):
        perfect = torch.softmax(scale * nn.functional.one_hot(labels, 10).double(), dim=1)
        assert lesson["cross_entropy"](perfect, labels).item() >= math.log(math.e + 9) - 1 - 1e-12
    assert lesson["pulls"]["once"] == pytest.approx(1 / (math.exp(9) + 9) - 1, abs=1e-6)

    def twice(right):
        """The loss after two softmaxes, by the formula, when the logits are 9, `right` and eight zeros."""
        total = math.exp(9) + math.exp(right) + 8
        return cross_entropy([math.exp(9) / total, math.exp(right) / total] + [1 / total] * 8, 1)

    assert lesson["pulls"]["twice"] == pytest.approx((twice(1e-4) - twice(-1e-4)) / 2e-4, abs=1e-6)
    assert abs(lesson["pulls"]["twice"]) < 1e-3
    assert twice(0) == pytest.approx(math.log(math.e + 9), abs=0.005), "the 2.46 of the notes: sure and wrong"


def test_the_first_ship_and_frog_have_the_labels_of_the_notes(lesson):
    assert lesson["test_set"].class_to_idx["ship"] == 8 and lesson["test_set"].class_to_idx["frog"] == 6


def test_a_column_against_a_row_is_every_output_against_every_target(lesson):
    table = [(output - target) ** 2 for output in (1, 2, 3) for target in (1, 2, 3)]
    assert lesson["lie"].item() == pytest.approx(statistics.mean(table), abs=1e-6)


@pytest.mark.parametrize(
    ("make_labels", "error"),
    [
        (lambda labels: labels.float(), RuntimeError),
        (lambda labels: labels.int(), RuntimeError),
        (lambda labels: labels[:, None], RuntimeError),
        (lambda labels: labels[:63], ValueError),
        (lambda labels: labels + 10, IndexError),
    ],
    ids=["float", "int32", "column", "one short", "out of bounds"],
)
def test_cross_entropy_refuses_labels_of_another_kind_or_shape(lesson, make_labels, error):
    with pytest.raises(error):
        lesson["cross_entropy"](lesson["image_logits"], make_labels(lesson["labels"]))


def test_the_old_names_of_reduction_warn_and_mean_what_the_notes_say(lesson):
    outputs, targets = lesson["outputs"], lesson["targets"]
    old_names = ({"reduction": "elementwise_mean"}, 2 / 3), ({"size_average": False}, 2), ({"reduce": False}, [0, 0, 2])
    for options, truth in old_names:
        with pytest.warns(UserWarning):
            assert nn.L1Loss(**options)(outputs, targets).tolist() == pytest.approx(truth)
    with pytest.raises(ValueError):
        nn.L1Loss(reduction="average")(outputs, targets)
