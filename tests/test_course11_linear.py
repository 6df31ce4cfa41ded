"""Course 11: a linear layer against sums that anybody can check, and a classifier against its own arithmetic."""

import math

import pytest
import torch
from lessons import run_lesson
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from common.paths import log_dir


def weighted_sums(x, weight, bias):
    """The definition, number by number. x: a list of rows; weight: one row per output."""
    return [
        [sum(w * v for w, v in zip(row, x_n, strict=True)) + b for row, b in zip(weight, bias, strict=True)]
        for x_n in x
    ]


def unnormalised(lesson, pictures):
    """Undo the loader's normalisation, back to bytes."""
    mean, std = (torch.tensor(lesson[name])[:, None, None] for name in ("mean", "std"))
    return ((pictures * std + mean) * 255).round().to(torch.uint8)


def test_the_example_by_hand_is_the_weighted_sum(lesson):
    expected = weighted_sums([[1, 2, 3], [0, 0, 0]], [[1, 0, -1], [2, 2, 2]], [0.5, -1])
    assert lesson["by_hand"].tolist() == expected == [[-1.5, 11.0], [0.5, -1.0]]


def test_the_logits_are_weighted_sums_of_all_numbers_of_a_picture(lesson):
    classifier, images = lesson["classifier"], lesson["images"][:3]
    rows = [[v for channel in picture for row in channel for v in row] for picture in images.tolist()]
    expected = torch.tensor(weighted_sums(rows, classifier.weight.tolist(), classifier.bias.tolist()))
    with torch.no_grad():
        assert torch.allclose(classifier(images.flatten(1)), expected, atol=1e-4)


def test_the_parameter_count_is_out_times_in_plus_one(lesson):
    assert sum(p.numel() for p in lesson["classifier"].parameters()) == 10 * (3 * 32 * 32 + 1) == 30730


@pytest.mark.parametrize(("start", "end"), [(0, 3), (1, 3), (2, 3), (0, 1)])
def test_flattening_multiplies_the_sizes_of_the_axes_that_it_joins(start, end):
    sizes = [64, 3, 32, 32]
    expected = tuple(sizes[:start] + [math.prod(sizes[start : end + 1])] + sizes[end + 1 :])
    arguments = {(0, 3): "torch.flatten(images)", (1, 3): "images.flatten(1)", (2, 3): "images.flatten(2)"}
    call = arguments.get((start, end), "images.flatten(0, 1)")
    assert f"{call:35} {expected}" in run_lesson("Course11-Linear").printed.splitlines()


def test_the_place_of_a_pixel_is_found_by_counting(lesson):
    count = 0
    for c in range(3):
        for i in range(32):
            for j in range(32):
                if (c, i, j) == (lesson["c"], lesson["i"], lesson["j"]):
                    assert lesson["place"] == count
                count += 1


def test_the_loader_brings_the_pictures_of_the_set_in_their_order_for_testing(lesson):
    assert torch.equal(unnormalised(lesson, lesson["images"]), lesson["test_images"][:64])
    assert torch.equal(lesson["labels"], lesson["test_labels"][:64])


def test_training_lowers_the_loss_and_follows_its_gradient(lesson):
    """A step of train_one_epoch against the closed form: dloss/dlogits = (softmax - one hot) / N."""
    torch.manual_seed(0)
    x, labels = torch.randn(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2])
    layer = nn.Linear(4, 3)
    with torch.no_grad():
        error = (layer(x.flatten(1)).softmax(dim=1) - nn.functional.one_hot(labels, 3)) / 6
    expected_weight = layer.weight.detach() - lesson["learning_rate"] * error.T @ x.flatten(1)
    expected_bias = layer.bias.detach() - lesson["learning_rate"] * error.sum(dim=0)
    lesson["train_one_epoch"](layer, [(x, labels)])
    assert torch.allclose(layer.weight, expected_weight, atol=1e-7)
    assert torch.allclose(layer.bias, expected_bias, atol=1e-7)
    assert layer.weight.grad is None, "the next batch starts from no gradient"


def test_accuracy_counts_pictures_and_not_batches(lesson):
    class Loader(list):
        labels = torch.zeros(65)

    layer = nn.Linear(4, 2)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # always answers class 0
    loader = Loader([(torch.zeros(64, 1, 2, 2), torch.zeros(64)), (torch.zeros(1, 1, 2, 2), torch.ones(1))])
    assert lesson["accuracy"](layer, loader) == 64 / 65


def test_the_classifier_beats_luck_and_stays_far_below_a_convolutional_network(lesson):
    classifier, right = lesson["classifier"], 0
    mean, std = (torch.tensor(lesson[name])[:, None, None] for name in ("mean", "std"))
    with torch.no_grad():
        pictures = (lesson["test_images"] / 255 - mean) / std
        right = (classifier(pictures.flatten(1)).argmax(dim=1) == lesson["test_labels"]).float().mean().item()
    assert 0.2 < right < 0.5
    assert math.isclose(right, lesson["accuracy"](classifier, lesson["test_loader"]), abs_tol=0.002)


def test_a_template_is_its_class_row_of_weights_with_zero_as_mid_grey(lesson):
    weight, shown = lesson["classifier"].weight.detach(), lesson["templates_to_show"]
    for k in range(10):
        row, picture = weight[k], shown[k].flatten()
        assert torch.allclose(picture - 0.5, row / row.abs().max() / 2, atol=1e-6)
        assert math.isclose((picture - 0.5).abs().max().item(), 0.5, abs_tol=1e-6)


def test_the_frog_wants_green_in_the_middle_and_the_ship_blue_below(lesson):
    templates, places = lesson["templates"], lesson["train_set"].class_to_idx
    red, green, blue = templates[places["frog"]][:, 10:22, 10:22].mean(dim=(1, 2)).tolist()
    assert green > max(red, blue)
    red, green, blue = templates[places["ship"]][:, 26:].mean(dim=(1, 2)).tolist()
    assert blue > max(red, green)


def test_tensorboard_has_the_templates_of_every_epoch(lesson):
    events = EventAccumulator(str(log_dir("Course11-Linear")), size_guidance={"images": 0}).Reload()
    tags = events.Tags()["images"]
    assert tags == ["templates"]
    assert [event.step for event in events.Images("templates")] == list(range(lesson["epochs"]))


def test_the_score_of_a_mixture_lies_between_the_scores_of_its_parts(lesson):
    a, b = lesson["images"][0].flatten(), lesson["images"][1].flatten()
    with torch.no_grad():
        of_a, of_b = lesson["classifier"](torch.stack([a, b]))
        assert torch.allclose(lesson["double_exposure"].flatten(), (a + b) / 2)
    mixture = lesson["of_the_mixture"]
    assert ((mixture >= torch.minimum(of_a, of_b) - 1e-4) & (mixture <= torch.maximum(of_a, of_b) + 1e-4)).all()


def test_shuffling_keeps_every_pixel_and_moves_all_pictures_alike(lesson):
    whole, shuffled, order = lesson["test_images"], lesson["shuffled_test"], lesson["order"]
    assert sorted(order.tolist()) == list(range(32 * 32))
    for place in (0, 500, 1023):
        i, j = divmod(int(order[place]), 32)
        assert torch.equal(shuffled[:, :, place // 32, place % 32], whole[:, :, i, j])


def test_a_linear_layer_learns_from_shuffled_pixels_what_it_learns_from_pictures(lesson):
    plain, shuffled, order = lesson["classifier"].weight, lesson["shuffled_classifier"].weight, lesson["order"]
    assert plain.abs().max() > 0.01
    for c in range(3):
        for place in (0, 500, 1023):
            there = plain[:, c * 1024 + int(order[place])]
            assert torch.allclose(shuffled[:, c * 1024 + place], there, atol=1e-4)
    assert not torch.allclose(plain, shuffled, atol=1e-2), "the weights did move"


def test_the_layer_that_swallows_the_batch_gives_one_answer_for_all_pictures(lesson):
    swallows, images = lesson["swallows"], lesson["images"]
    assert swallows.in_features == 64 * 3 * 32 * 32 == 196608
    with torch.no_grad():
        answer = swallows(images.flatten())
        other_order = swallows(images.flip(0).flatten())
    assert answer.shape == (10,)
    assert not torch.allclose(answer, other_order), "the answer hangs on the order of the pictures"


def test_only_the_last_smaller_batch_fails(lesson):
    sizes = [len(labels) for _, labels in lesson["test_loader"]]
    assert sizes[:-1] == [64] * 31 and sizes[-1] == 16 == 2000 % 64
    assert "fails on batch 32 of 32, which has 16 pictures" in run_lesson("Course11-Linear").printed.splitlines()
