"""Course 07: one kernel over one picture, against loops, polynomials and counting."""

import re

import numpy as np
import pytest
import torch

from common.paths import REPOSITORY


def correlate(image, kernel, stride=1, padding=0):
    """The definition in nested loops, on nested lists: image (H, W), kernel (k, k) -> (H', W')."""
    height, width, k = len(image), len(image[0]), len(kernel)

    def pixel(row, column):
        inside = 0 <= row < height and 0 <= column < width
        return image[row][column] if inside else 0

    return [
        [
            sum(kernel[u][v] * pixel(row + u, column + v) for u in range(k) for v in range(k))
            for column in range(-padding, width + padding - k + 1, stride)
        ]
        for row in range(-padding, height + padding - k + 1, stride)
    ]


def turned(kernel):
    """The kernel turned by 180 degrees."""
    return [row[::-1] for row in kernel[::-1]]


def test_the_worked_example_is_the_one_of_the_nested_loops(lesson):
    image, kernel = lesson["image"].tolist(), lesson["kernel"].tolist()
    assert image == [[1, 2, 0, 3, 1], [0, 1, 2, 3, 1], [1, 2, 1, 0, 0], [5, 2, 3, 1, 1], [2, 1, 0, 1, 1]]
    assert kernel == [[1, 2, 1], [0, 1, 0], [2, 1, 0]]
    assert lesson["by_hand"].tolist() == lesson["output"][0, 0].tolist() == correlate(image, kernel)
    assert correlate(image, kernel) == [[10, 12, 12], [18, 16, 16], [13, 9, 3]]


def test_the_first_number_is_the_sum_of_nine_products(lesson):
    assert lesson["products"].tolist() == [[1, 4, 0], [0, 1, 0], [2, 2, 0]]
    assert lesson["products"].sum() == 10 == lesson["output"][0, 0, 0, 0]


def test_stride_two_and_padding_one_are_those_of_the_loops(lesson):
    image, kernel = lesson["image"].tolist(), lesson["kernel"].tolist()
    assert lesson["strided"][0, 0].tolist() == correlate(image, kernel, stride=2)
    assert lesson["padded"][0, 0].tolist() == correlate(image, kernel, padding=1)


def test_the_size_formula_counts_the_places_where_a_kernel_fits(lesson):
    for size in (5, 6, 11):
        for k in (1, 2, 3, 5):
            for stride in (1, 2, 3):
                for padding in range(3):
                    first_places = range(-padding, size + padding, stride)
                    fits = [place for place in first_places if place + k <= size + padding]
                    assert lesson["conv_size"](size, k, stride, padding) == len(fits), (size, k, stride, padding)


def test_valid_same_and_full_stand_where_their_names_say(lesson):
    image, k = lesson["image"], len(lesson["kernel"])
    touched = torch.nn.functional.pad(torch.ones_like(image), [k - 1] * 4).unfold(0, k, 1).unfold(1, k, 1)
    real_pixels = touched.sum(dim=(2, 3))  # for every place at which the kernel touches the padded picture
    assert lesson["by_mode"]["VALID"].shape[2:] == ((real_pixels == k * k).sum(0).count_nonzero(),) * 2
    assert lesson["by_mode"]["SAME"].shape[2:] == image.shape
    assert lesson["by_mode"]["FULL"].shape[2:] == real_pixels.shape
    assert (real_pixels > 0).all(), "FULL goes no further than the picture"
    assert lesson["by_mode"]["FULL"][0, 0].tolist() == correlate(image.tolist(), lesson["kernel"].tolist(), padding=2)


def test_conv2d_correlates_and_the_flip_makes_it_a_convolution(lesson):
    dot, counting = lesson["dot"][0, 0].tolist(), lesson["counting"][0, 0].tolist()
    assert lesson["correlated"][0, 0].tolist() == correlate(dot, counting) == turned(counting)
    assert lesson["convolved"][0, 0].tolist() == correlate(dot, turned(counting)) == counting


def test_a_correlation_shows_the_kernel_after_a_half_turn_and_not_upside_down(lesson, printed):
    seen, counting = lesson["correlated"][0, 0].tolist(), lesson["counting"][0, 0].tolist()
    upside_down = counting[::-1]
    half_turn = [row[::-1] for row in upside_down]
    assert seen == half_turn != upside_down
    assert "\na half turn: True\na mirror image, top to bottom: False\n" in printed


def test_same_with_an_even_kernel_puts_the_odd_zero_behind(printed):
    lines = re.findall(
        r"^k=(\d): \[(.*)\], as with (\d) zeros left and (\d) right: (True|False)$", printed, re.MULTILINE
    )
    assert sorted(int(k) for k, *_ in lines) == [2, 3, 4, 5]
    for k, numbers, left, right, agrees in lines:
        k, left, right = int(k), int(left), int(right)
        padded = [0] * left + [1, 2, 3, 4] + [0] * right
        assert [int(n) for n in numbers.split(", ")] == [sum(padded[i : i + k]) for i in range(4)]
        assert agrees == "True" and left + right == k - 1 and right - left == (k % 2 == 0)
    assert "\nVALID 2x2 kernel: (4, 4)\nSAME  2x2 kernel: (5, 5)\nFULL  2x2 kernel: (6, 6)\n" in printed


def test_height_and_width_of_a_kernel_that_is_not_square_follow_the_formula_each(lesson, printed):
    shape = tuple(lesson["bee"].shape[2:])
    assert lesson["wide"].shape[2:] == (3, 5)
    fits = [len([i for i in range(size) if i + k <= size]) for size, k in zip(shape, (3, 5), strict=True)]
    assert f"\n{{}} ({fits[0]}, {fits[1]})\n" in printed
    assert f"\n{{'padding': (1, 2)}} {shape}\n" in printed


def test_two_passes_of_seven_weights_are_one_of_forty_nine(lesson):
    padded = np.pad(lesson["bee"][0, 0].double().numpy(), 3)
    mean = sum(padded[u : u + 112, v : v + 112] for u in range(7) for v in range(7)) / 49
    assert np.allclose(lesson["two_passes"][0, 0].numpy(), mean, atol=1e-5)


def test_the_sampled_convolution_comes_nearer_to_the_integral_as_the_samples_do(lesson, printed):
    def integral(t):  # of the box times the turned decay, by the midpoint rule
        tau = (np.arange(10_000) + 0.5) / 10_000
        return np.mean(np.where(tau <= t, np.exp(np.minimum(tau - t, 0)), 0))

    for i in range(0, 3000, 171):  # the last round of the loop: 0.001 apart
        assert lesson["full"][i].item() == pytest.approx(integral(i * 0.001), abs=2e-3)
        assert lesson["exact"][i].item() == pytest.approx(integral(i * 0.001), abs=2e-4)
    errors = [float(e) for e in re.findall(r"^samples every .*: largest error ([\d.]+)$", printed, re.MULTILINE)]
    assert errors == pytest.approx([0.1, 0.01, 0.001], rel=0.05)


def test_a_flipped_full_convolution_multiplies_polynomials(lesson):
    signal, weights = lesson["signal"].tolist(), lesson["weights"].tolist()
    product = [0.0] * (len(signal) + len(weights) - 1)
    for i, a in enumerate(signal):
        for j, b in enumerate(weights):
            product[i + j] += a * b
    assert lesson["ours"].tolist() == lesson["swapped"].tolist() == product


def test_every_filter_of_the_picture_is_the_loop_over_its_pixels(lesson):
    picture = lesson["bee"][0, 0].double().numpy()
    for name, kernel in lesson["kernels"].items():
        k = len(kernel)
        padded = np.pad(picture, (k - 1) // 2)
        shifted = [
            kernel[u, v].item() * padded[u : u + picture.shape[0], v : v + picture.shape[1]]
            for u in range(k)
            for v in range(k)
        ]
        assert np.allclose(lesson["filtered"][name][0, 0].numpy(), sum(shifted), atol=1e-5), name


def test_edge_kernels_are_blind_to_brightness_and_the_others_keep_it(lesson):
    sums = {name: kernel.double().sum().item() for name, kernel in lesson["kernels"].items()}
    assert sums == pytest.approx({"blur": 1, "sharpen": 1, "horizontal edges": 0, "vertical edges": 0}, abs=1e-6)


def test_each_edge_kernel_answers_to_a_step_of_its_own_direction(lesson):
    brighter_below = [[0.0] * 6] * 3 + [[1.0] * 6] * 3
    down, right = (lesson["kernels"][f"{name} edges"].tolist() for name in ("horizontal", "vertical"))
    assert (
        max(map(max, correlate(brighter_below, down))) == 1 == -min(map(min, correlate(brighter_below, turned(down))))
    )
    assert not np.any(correlate(brighter_below, right))


def test_blur_calms_the_picture_and_sharpening_excites_it(lesson):
    def roughness(picture):
        return picture[0, 0, 4:-4, 4:-4].diff().abs().mean()

    filtered = lesson["filtered"]
    assert roughness(filtered["blur"]) < 0.5 * roughness(lesson["bee"]) < 0.5 * roughness(filtered["sharpen"])


def test_zeros_at_the_rim_take_light_away_and_repeated_pixels_do_not(lesson):
    counted = correlate([[1] * 5] * 5, [[1] * 3] * 3, padding=1)
    assert lesson["ninths"].tolist() == counted
    assert counted[0] == [4, 6, 6, 6, 4]
    assert torch.allclose(lesson["repeated"], torch.ones(1, 1, 5, 5))


def test_bytes_begin_again_at_zero(lesson):
    assert lesson["wrong"].item() == 9 * 200 % 256


def test_the_kernels_of_the_notes_are_those_of_the_script(lesson):
    notes = (REPOSITORY / "Course07-Conv/notes.md").read_text(encoding="utf-8")
    shown = re.findall(r"\\text\{(\w+)\}\}\{(\\frac\{1\}\{4\})?\\begin\{bmatrix\}(.*?)\\end\{bmatrix\}", notes)
    assert [name for name, *_ in shown] == ["sharpen", "horizontal", "vertical"]
    for name, quarter, matrix in shown:
        rows = [[float(number) / (4 if quarter else 1) for number in row.split("&")] for row in matrix.split(r"\\")]
        (kernel,) = (k for title, k in lesson["kernels"].items() if title.startswith(name))
        assert kernel.tolist() == rows, name
