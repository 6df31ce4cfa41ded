"""Course 09: pooling against loops over windows, against counting, and against the pictures moved by hand."""

import math

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from common.paths import home


def windows(image, size, stride, padding=0, dilation=1, hang_over=False):
    """What each window of a picture (a nested list) sees: rows of lists of the pixels that are really there."""
    height, width, reach = len(image), len(image[0]), dilation * (size - 1) + 1

    def starts(n):
        fits = range(-padding, n + padding - reach + 1, stride)
        if not hang_over or (fits and fits[-1] + reach == n + padding):
            return list(fits)
        return [i for i in range(-padding, n, stride) if i - stride + reach < n + padding]

    steps = range(0, reach, dilation)
    return [
        [[image[r + u][c + v] for u in steps for v in steps if 0 <= r + u < height and 0 <= c + v < width] for c in cs]
        for r, cs in ((r, starts(width)) for r in starts(height))
    ]


def of_each(rows, reduce):
    return [[reduce(pixels) for pixels in row] for row in rows]


def mean(pixels):
    return sum(pixels) / len(pixels)


def test_max_and_average_of_two_by_two_are_those_of_the_loops(lesson):
    rows = windows(lesson["image"].tolist(), 2, 2)
    assert lesson["largest"][0, 0].tolist() == of_each(rows, max) == [[2, 3], [5, 3]]
    assert lesson["mean"][0, 0].tolist() == of_each(rows, mean)
    for size in (2, 3, 4):
        by_hand = lesson["pool_by_hand"](lesson["image"], size, torch.max)
        assert by_hand.tolist() == of_each(windows(lesson["image"].tolist(), size, size), max)


def test_the_stride_that_is_not_given_is_the_width_of_the_window(lesson):
    assert lesson["max_pool"].stride == lesson["max_pool"].kernel_size == 2
    assert nn.AvgPool2d(5).stride == 5


def test_ceil_mode_lets_windows_hang_over_the_edge_and_see_what_is_there(lesson):
    image = lesson["image"].tolist()
    rows = windows(image, 3, 3, hang_over=True)
    assert lesson["by_mode"][False][0, 0].tolist() == of_each(windows(image, 3, 3), max) == [[2]]
    assert lesson["by_mode"][True][0, 0].tolist() == of_each(rows, max) == [[2, 3], [5, 1]]
    assert lesson["rest"][0, 0].flatten().tolist() == pytest.approx(sum(of_each(rows, mean), []))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_the_size_formula_counts_the_windows(lesson, ceil_mode):
    for size in (5, 8, 9):
        for window in (1, 2, 3):
            for stride in (1, 2, 3, 4):
                for padding in range(window // 2 + 1):
                    seen = windows([[0.0] * size] * size, window, stride, padding, hang_over=ceil_mode)
                    predicted = lesson["pool_size"](size, window, stride, padding, ceil_mode)
                    assert predicted == len(seen), (size, window, stride, padding)
                    layer = nn.MaxPool2d(window, stride, padding, ceil_mode=ceil_mode)
                    assert predicted == layer(torch.zeros(1, 1, size, size)).shape[-1]


def test_the_rim_never_wins_a_max_pooling(lesson):
    seen = windows(lesson["below_zero"][0, 0].tolist(), 2, 2, padding=1)
    assert lesson["padded_max"][0, 0].tolist() == of_each(seen, max) == [[-5.0] * 3] * 3


def test_the_rim_counts_in_an_average_unless_forbidden(lesson):
    seen = windows(lesson["ones"][0, 0].tolist(), 2, 2, padding=1)
    assert lesson["counted"][0, 0].tolist() == of_each(seen, lambda pixels: sum(pixels) / 4)
    assert lesson["not_counted"][0, 0].tolist() == of_each(seen, mean)
    assert lesson["counted"][0, 0, 0, 0] == 0.25 and lesson["not_counted"][0, 0, 0, 0] == 1


def test_a_dilated_window_sees_the_corners_of_a_larger_square(lesson):
    assert lesson["spread"][0, 0].tolist() == of_each(windows(lesson["image"].tolist(), 2, 1, dilation=2), max)


def test_indices_count_row_by_row_and_unpooling_puts_the_values_back(lesson):
    image, unpooled = lesson["image"], lesson["unpooled"][0, 0]
    places = {(0, 1), (0, 3), (3, 0), (3, 2)}
    assert {divmod(index, 5) for index in lesson["indices"].flatten().tolist()} == places
    for row in range(5):
        for column in range(5):
            assert unpooled[row, column] == (image[row, column] if (row, column) in places else 0)


def test_adaptive_windows_begin_and_end_where_the_formula_says(lesson):
    features = lesson["features"][0, :3]  # (3, 30, 45)

    def spans(n, parts):
        return [(math.floor(i * n / parts), math.ceil((i + 1) * n / parts)) for i in range(parts)]

    assert spans(5, 2) == [(0, 3), (2, 5)]
    for layer, reduce in [(nn.AdaptiveAvgPool2d(4), torch.mean), (nn.AdaptiveMaxPool2d(4), torch.max)]:
        for i, (top, bottom) in enumerate(spans(30, 4)):
            for j, (left, right) in enumerate(spans(45, 4)):
                expected = torch.stack([reduce(channel[top:bottom, left:right]) for channel in features])
                assert torch.allclose(layer(features)[:, i, j], expected, atol=1e-6)
    assert lesson["to_two"](lesson["batch"])[0, 0].flatten().tolist() == [max(c.flatten()) for c in lesson["corners"]]
    assert torch.allclose(lesson["whole"].flatten(), lesson["features"].flatten(2).mean(2).flatten(), atol=1e-6)


def test_pooling_keeps_pictures_and_channels_apart(lesson):
    images, pooled = lesson["images"], lesson["pooled"]
    assert pooled.shape == (64, 3, 16, 16)
    tiles = images.reshape(64, 3, 16, 2, 16, 2)  # every axis of H and W cut into (place, pixel inside the window)
    assert torch.equal(pooled, tiles.amax(dim=(3, 5)))


def test_the_batch_is_in_tensorboard_before_and_after(lesson):
    log = EventAccumulator(str(home() / "logs/Course09-Pool"))
    log.Reload()
    assert set(log.Tags()["images"]) == {"input", "max pooled"}


def test_a_dots_step_is_noticed_only_across_a_border_of_windows(lesson):
    for size in (1, 2, 4):
        crossed = [n for n in range(7) if n // size != (n + 1) // size]
        seen = nn.functional.max_pool2d(lesson["dot"], (1, size)).flatten(1)
        assert [n for n in range(7) if not torch.equal(seen[n], seen[n + 1])] == crossed
    assert lesson["noticed"].tolist() == [n in crossed for n in range(7)]


def test_the_pictures_aside_are_the_same_pictures_one_pixel_further(lesson):
    images, here, aside = lesson["images"], lesson["here"], lesson["aside"]
    assert torch.equal(here[..., :, 1:], aside[..., :, :-1])
    assert torch.equal(here, images[..., 4:28, 4:28])


def test_wider_windows_soften_a_step_and_only_max_pooling_leaves_values_untouched(lesson):
    for kind in ("max", "average"):
        change = lesson["change"][kind]
        assert change == sorted(change, reverse=True)
        assert change[-1] < change[0] / 2
    tiles = [x.reshape(64, 3, 6, 4, 6, 4) for x in (lesson["here"], lesson["aside"])]
    largest, means = ([reduce(t) for t in tiles] for reduce in (lambda t: t.amax((3, 5)), lambda t: t.mean((3, 5))))
    assert lesson["change"]["max"][2] == pytest.approx((largest[0] - largest[1]).abs().mean().item(), rel=1e-4)
    assert lesson["change"]["average"][2] == pytest.approx((means[0] - means[1]).abs().mean().item(), rel=1e-4)
    assert lesson["unmoved"]["max"][2] == pytest.approx((largest[0] == largest[1]).double().mean().item(), abs=1e-6)
    assert lesson["unmoved"]["max"] == sorted(lesson["unmoved"]["max"])
    assert lesson["unmoved"]["average"][-1] < 0.1 < 0.5 < lesson["unmoved"]["max"][-1]


def test_behind_a_pooling_a_kernel_does_a_quarter_of_the_work_and_sees_twice_as_far(lesson):
    assert lesson["multiplications"] // 64 == 16 * 16 * 8 * 3 * 3 * 3
    assert lesson["conv"](lesson["images"][:1]).numel() * 27 == 4 * 16 * 16 * 8 * 27
    start = torch.zeros(1, 1, 12, 12)
    base = lesson["one_by_one"](nn.AvgPool2d(2)(start))[0, 0, 1, 1].item()
    seen = []
    for row in range(12):
        for column in range(12):
            poked = start.clone()
            poked[0, 0, row, column] = 1  # does the number notice this pixel?
            if lesson["one_by_one"](nn.AvgPool2d(2)(poked))[0, 0, 1, 1].item() != base:
                seen.append([row, column])
    assert lesson["reach"].tolist() == seen
    assert (lesson["height"], lesson["width"]) == (6, 6)


def test_an_average_of_whole_numbers_is_cut_off(lesson):
    pixels = sum(windows(lesson["image"].tolist(), 3, 3), [])[0]
    assert mean(pixels) == pytest.approx(10 / 9)
    assert lesson["truncated"].item() == int(mean(pixels)) == 1


def test_channels_last_pools_the_colours_without_a_word(lesson):
    picture = lesson["channels_last"]
    assert torch.equal(torch.stack([picture[..., k] for k in range(3)]), lesson["images"][0]), "height, width, channels"
    wrong = lesson["max_pool"](picture)
    assert wrong.shape == (32, 16, 1)
    assert torch.equal(wrong[:, :, 0], picture[:, :, :2].reshape(32, 16, 4).amax(2)), "red and green of two pixels"
