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


def test_the_example_by_hand_is_the_weighted_sum(lesson):
    expected = weighted_sums([[1, 2, 3], [0, 0, 0]], [[1, 0, -1], [2, 2, 2]], [0.5, -1])
    assert lesson["by_hand"].tolist() == expected == [[-1.5, 11.0], [0.5, -1.0]]


def test_each_channel_of_the_training_pictures_has_mean_zero_and_deviation_one(lesson):
    inputs = lesson["train_inputs"].double()
    for channel in range(3):
        assert inputs[:, channel].mean().item() == pytest.approx(0, abs=1e-4)
        assert inputs[:, channel].std().item() == pytest.approx(1, abs=1e-3)


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


def test_the_batch_is_the_first_test_pictures_in_their_order(lesson):
    mean, std = (lesson[name].double() for name in ("mean", "std"))
    bytes_again = ((lesson["images"] * std + mean) * 255).round().to(torch.uint8)
    assert torch.equal(bytes_again, lesson["test_images"][:64])
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
    lesson["train_one_epoch"](layer, x, labels, epoch=0)
    assert torch.allclose(layer.weight, expected_weight, atol=1e-7)
    assert torch.allclose(layer.bias, expected_bias, atol=1e-7)
    assert layer.weight.grad is None, "the next batch starts from no gradient"


def test_an_epoch_shows_each_picture_once_in_an_order_of_its_own(lesson):
    class Recorder(nn.Linear):
        def forward(self, x):
            seen.append(x[:, 0].int().tolist())
            return super().forward(x)

    torch.manual_seed(0)
    layer, inputs, orders = Recorder(1, 2), torch.arange(150.0)[:, None], []
    for epoch in (0, 1, 0):
        seen = []
        lesson["train_one_epoch"](layer, inputs, torch.zeros(150, dtype=torch.long), epoch)
        assert [len(batch) for batch in seen] == [64, 64, 22]
        orders.append(sum(seen, []))
        assert sorted(orders[-1]) == list(range(150))
    assert orders[0] == orders[2] != orders[1] and orders[0] != sorted(orders[0])


def test_accuracy_counts_pictures(lesson):
    layer = nn.Linear(4, 2)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # always answers class 0
    assert lesson["accuracy"](layer, torch.zeros(65, 1, 2, 2), torch.tensor([0] * 64 + [1])) == 64 / 65


def test_the_ten_classes_are_equally_frequent_so_one_answer_for_all_is_right_for_a_tenth(lesson):
    assert lesson["test_labels"].bincount().tolist() == [len(lesson["test_labels"]) // 10] * 10


def test_the_classifier_beats_luck_and_stays_far_below_a_convolutional_network(lesson):
    weight, bias = lesson["classifier"].weight.detach().double(), lesson["classifier"].bias.detach().double()
    mean, std = lesson["mean"].double(), lesson["std"].double()
    pictures = (lesson["test_images"].double() / 255 - mean) / std
    scores = torch.einsum("nchw,kchw->nk", pictures, weight.reshape(10, 3, 32, 32)) + bias
    right = (scores.argmax(dim=1) == lesson["test_labels"]).double().mean().item()
    assert 0.2 < right < 0.5
    found = lesson["accuracy"](lesson["classifier"], lesson["test_inputs"], lesson["test_labels"])
    assert math.isclose(right, found, abs_tol=0.002)


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


def test_with_a_bias_twice_the_input_is_not_twice_the_output(lesson):
    weight, bias, x = [[1, 0, -1], [2, 2, 2]], [0.5, -1], [1, 2, 3]
    once, twice = weighted_sums([x, [2 * v for v in x]], weight, bias)
    assert lesson["once"].tolist() == once and lesson["twice"].tolist() == twice
    assert twice != [2 * v for v in once], "affine"
    once, twice = weighted_sums([x, [2 * v for v in x]], weight, [0, 0])
    assert lesson["unbiased"][0].tolist() == once and lesson["unbiased"][1].tolist() == twice == [2 * v for v in once]


def test_a_convolution_of_the_full_size_gives_the_scores_of_the_linear_layer(lesson):
    conv, classifier = lesson["conv"], lesson["classifier"]
    assert conv.weight.shape == (10, 3, 32, 32) and lesson["maps"].shape == (64, 10, 1, 1)
    assert sum(p.numel() for p in conv.parameters()) == sum(p.numel() for p in classifier.parameters())
    expected = torch.einsum("nchw,kchw->nk", lesson["images"], classifier.weight.unflatten(1, (3, 32, 32)))
    assert torch.allclose(lesson["maps"][:, :, 0, 0], expected + classifier.bias, atol=1e-4)
    assert lesson["same_scores"] and expected.std() > 0.1, "the scores are not all alike"


def test_on_a_larger_picture_the_convolution_scores_each_place(lesson):
    assert lesson["score_maps"].shape == (1, 10, 40 - 32 + 1, 48 - 32 + 1)
    with torch.no_grad():
        for i, j in [(0, 0), (4, 10), (8, 16)]:
            window = lesson["wide"][0, :, i : i + 32, j : j + 32]
            scores = lesson["classifier"](window.flatten())
            assert torch.allclose(lesson["score_maps"][0, :, i, j], scores, atol=1e-4)


def test_shuffling_keeps_every_pixel_and_moves_all_pictures_alike(lesson):
    whole, shuffled, order = lesson["test_inputs"], lesson["shuffled_test"], lesson["order"]
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
    assert not torch.allclose(answer, other_order), "the answer depends on the order of the pictures"


def test_only_the_last_smaller_batch_fails(lesson):
    sizes = [len(batch) for batch in lesson["test_batches"]]
    assert sizes[:-1] == [64] * 31 and sizes[-1] == 16 == 2000 % 64
    assert 16 * 3072 == 49152 == lesson["test_batches"][-1].numel(), "the number in the message"
    assert "fails on batch 32 of 32, which has 16 pictures" in run_lesson("Course11-Linear").printed.splitlines()
