"""Course 09: pooling against loops over windows, against counting, and against the pictures moved by hand."""

import math
import runpy

import pytest
import torch
from lessons import run_lesson
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from common.paths import REPOSITORY, home


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
    assert lesson["largest"][0, 0].tolist() == of_each(rows, max) == [[4, 6], [8, 7]]
    assert lesson["mean"][0, 0].tolist() == of_each(rows, mean)
    for size in (2, 3, 4):
        by_hand = lesson["pool_by_hand"](lesson["image"], size, torch.max)
        assert by_hand.tolist() == of_each(windows(lesson["image"].tolist(), size, size), max)


def test_the_stride_that_is_not_given_is_the_width_of_the_window(lesson):
    assert lesson["max_pool"].stride == lesson["max_pool"].kernel_size == 2
    assert nn.AvgPool2d(5).stride == 5


def test_each_example_has_an_output_of_its_own(lesson):
    image = lesson["image"].tolist()
    expected = [of_each(windows(image, size, stride), max) for size, stride in [(2, 2), (3, 3), (3, 2), (3, 1)]]
    expected.append(of_each(windows(image, 3, 3, hang_over=True), max))
    expected.append(lesson["to_three"](lesson["batch"])[0, 0].tolist())
    assert all(a != b for i, a in enumerate(expected) for b in expected[:i])


def test_ceil_mode_lets_windows_reach_over_the_edge_and_see_what_is_there(lesson):
    image = lesson["image"].tolist()
    rows = windows(image, 3, 3, hang_over=True)
    assert lesson["by_mode"][False][0, 0].tolist() == of_each(windows(image, 3, 3), max) == [[8]]
    assert lesson["by_mode"][True][0, 0].tolist() == of_each(rows, max) == [[8, 7], [6, 9]]
    assert lesson["overhang"][0, 0].flatten().tolist() == pytest.approx(sum(of_each(rows, mean), []))


def test_the_picture_of_the_videos_gives_the_numbers_of_the_videos(lesson, printed):
    known = lesson["known"].tolist()
    assert of_each(windows(known, 3, 3), max) == [[2]]
    assert of_each(windows(known, 3, 3, hang_over=True), max) == [[2, 3], [5, 1]]
    assert "ceil_mode=False: [[2]]\nceil_mode=True: [[2, 3], [5, 1]]" in printed


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
    places = {(0, 1), (1, 2), (2, 1), (2, 3)}  # 4, 6, 8 and 7
    assert {divmod(index, 5) for index in lesson["indices"].flatten().tolist()} == places
    for row in range(5):
        for column in range(5):
            assert unpooled[row, column] == (image[row, column] if (row, column) in places else 0)


def test_adaptive_windows_begin_and_end_where_the_formula_says(lesson):
    features = lesson["features"][0, :3]  # (3, 30, 45)

    def spans(n, parts):
        return [(math.floor(i * n / parts), math.ceil((i + 1) * n / parts)) for i in range(parts)]

    assert spans(5, 3) == [(0, 2), (1, 4), (3, 5)] == lesson["spans"](5, 3)
    for layer, reduce in [(nn.AdaptiveAvgPool2d(4), torch.mean), (nn.AdaptiveMaxPool2d(4), torch.max)]:
        for i, (top, bottom) in enumerate(spans(30, 4)):
            for j, (left, right) in enumerate(spans(45, 4)):
                expected = torch.stack([reduce(channel[top:bottom, left:right]) for channel in features])
                assert torch.allclose(layer(features)[:, i, j], expected, atol=1e-6)
    image = lesson["image"]
    by_hand = [[image[t:b, u:v].max().item() for u, v in spans(5, 3)] for t, b in spans(5, 3)]
    assert lesson["to_three"](lesson["batch"])[0, 0].tolist() == by_hand == lesson["adaptive"].tolist()
    assert torch.allclose(lesson["whole"].flatten(), lesson["features"].flatten(2).mean(2).flatten(), atol=1e-6)


def test_pooling_keeps_pictures_and_channels_apart(lesson):
    images, pooled = lesson["images"], lesson["pooled"]
    assert pooled.shape == (64, 3, 16, 16)
    tiles = images.reshape(64, 3, 16, 2, 16, 2)  # every axis of H and W cut into (place, pixel inside the window)
    assert torch.equal(pooled, tiles.amax(dim=(3, 5)))


def test_of_the_drawn_pools_max_is_nowhere_darker_and_somewhere_brighter(lesson):
    for size in lesson["sizes"][1:]:
        largest, means = (pool(lesson["images"][2], size) for pool in lesson["kinds"].values())
        assert (largest >= means).all() and largest.mean() > means.mean() + 0.01


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


def test_after_a_pooling_a_convolution_does_a_quarter_of_the_work(lesson):
    assert lesson["products"] // 64 == 16 * 16 * 8 * 3 * 3 * 3
    assert lesson["conv"](lesson["images"][:1]).numel() * 27 == 4 * 16 * 16 * 8 * 27


def test_a_pool_doubles_the_step_and_not_the_receptive_field(lesson):
    """Each field against the rule, and against switching on one pixel after the other."""
    for name, layers in lesson["stacks"].items():
        field, step = 1, 1
        for layer in layers:
            window, stride = (3, 1) if isinstance(layer, nn.Conv2d) else (2, 2)
            field, step = field + (window - 1) * step, step * stride
        x = torch.zeros(33, 1, 32, 32)
        x[range(32), 0, step, range(32)] = 1  # number 1 of the output begins at row `step`; the last picture is empty
        with torch.no_grad():
            for layer in layers:
                x = layer(x)
        assert lesson["fields"][name] == field == int((x[:32, 0, 1, 1] != x[32, 0, 1, 1]).sum())
    assert lesson["fields"]["conv, conv"] == 5
    assert lesson["fields"]["conv, pool, conv"] == 8 != 2 * lesson["fields"]["conv, conv"]


def test_the_gradient_goes_to_the_maximum_only_and_adds_up_where_windows_overlap(lesson):
    image = lesson["image"].tolist()

    def poked(size, stride, reduce, row, column, by=1e-3):
        """The finite difference of the sum of all outputs."""
        changed = [list(line) for line in image]
        changed[row][column] += by
        after, before = (sum(sum(of_each(windows(x, size, stride), reduce), [])) for x in (changed, image))
        return (after - before) / by

    for name, size, stride, reduce in [
        ("max, window 2", 2, 2, max),
        ("average, window 2", 2, 2, mean),
        ("max, window 3, stride 2", 3, 2, max),
    ]:
        for row in range(5):
            for column in range(5):
                expected = poked(size, stride, reduce, row, column)
                assert lesson["slopes"][name][row, column].item() == pytest.approx(expected, abs=1e-6)
    assert (lesson["slopes"]["max, window 2"] != 0).sum() == 4
    assert lesson["slopes"]["max, window 3, stride 2"][2, 1] == 2 and image[2][1] == 8
    assert lesson["tie"].grad.sum() == 1, "of equal pixels, one gets everything"


def test_an_average_of_whole_numbers_is_cut_off(lesson):
    means = of_each(windows(lesson["image"].tolist(), 2, 2), mean)
    assert means == [[2.5, 2.25], [3.5, 3.25]]
    assert lesson["truncated"][0, 0].tolist() == [[int(m) for m in row] for row in means]


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_only_max_pooling_with_a_window_takes_whole_numbers(lesson, dtype):
    numbers = lesson["batch"].to(dtype)
    assert nn.MaxPool2d(2)(numbers).tolist() == lesson["largest"].tolist()
    failing = [nn.AdaptiveMaxPool2d(2), nn.AdaptiveAvgPool2d(2)] + [nn.AvgPool2d(2)] * (dtype != torch.int64)
    for layer in failing:
        with pytest.raises(NotImplementedError):
            layer(numbers)


def test_unpooling_without_the_size_puts_values_where_width_four_says(lesson):
    expected = torch.zeros(4, 4)
    for index, value in zip(lesson["indices"].flatten().tolist(), [4, 6, 8, 7], strict=True):
        expected[index // 4, index % 4] = value
    assert torch.equal(lesson["guessed"][0, 0], expected)
    assert lesson["unpooled"][0, 0, 1, 2] == 6 and lesson["guessed"][0, 0, 1, 2] == 0, "the 6 is not where it was"


def test_the_drawn_windows_are_those_of_the_lessons_picture(lesson):
    run_lesson("Course09-Pool")
    drawing = runpy.run_path(str(REPOSITORY / "Course09-Pool/drawing.py"))
    assert torch.equal(drawing["image"], lesson["image"])
    rows = {"window_2": (2, 2, False), "window_3_stride_2": (3, 2, False), "ceil_mode": (3, 3, True)}
    for name, layer, spans in drawing["panels"]:
        if name in rows:
            size, stride, over = rows[name]
            assert drawing["results"][name] == of_each(windows(lesson["image"].tolist(), size, stride, 0, 1, over), max)
            assert [start for start, _ in spans] == [0, stride] and {b - a for a, b in spans} == {size}
        else:
            assert spans == lesson["spans"](5, layer.output_size)


def test_channels_last_pools_the_colours_without_a_word(lesson):
    picture = lesson["channels_last"]
    assert torch.equal(torch.stack([picture[..., k] for k in range(3)]), lesson["images"][0]), "height, width, channels"
    wrong = lesson["max_pool"](picture)
    assert wrong.shape == (32, 16, 1)
    assert torch.equal(wrong[:, :, 0], picture[:, :, :2].reshape(32, 16, 4).amax(2)), "red and green of two pixels"
