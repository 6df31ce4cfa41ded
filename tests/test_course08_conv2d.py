"""Course 08: a convolution layer against loops that anybody can check."""

import re

import pytest
import torch


def convolve(images, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    """The definition, in nested loops. images (N, C, H, W) -> (N, out_channels, H', W'), float64."""
    rows_added, columns_added = padding if isinstance(padding, tuple) else (padding, padding)
    images = torch.nn.functional.pad(images.double(), [columns_added] * 2 + [rows_added] * 2)
    weight = weight.double()
    out_channels, depth, height, width = weight.shape
    rows = range(0, images.shape[2] - dilation * (height - 1), stride)
    columns = range(0, images.shape[3] - dilation * (width - 1), stride)
    out = torch.zeros(len(images), out_channels, len(rows), len(columns), dtype=torch.float64)
    for o in range(out_channels):
        first = o // (out_channels // groups) * depth
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                for c in range(depth):
                    for u in range(height):
                        for v in range(width):
                            pixel = images[:, first + c, row + u * dilation, column + v * dilation]
                            out[:, o, i, j] += weight[o, c, u, v] * pixel
        out[:, o] += bias[o]
    return out


def test_the_feature_maps_are_the_nested_loop_convolution(lesson):
    conv, images = lesson["conv"], lesson["images"]
    with torch.no_grad():
        expected = convolve(images[:2], conv.weight, conv.bias)
    assert torch.allclose(lesson["feature_maps"][:2].double(), expected, atol=1e-5)


@pytest.mark.parametrize(("k", "s", "p", "d"), [(3, 1, 0, 1), (5, 1, 2, 1), (3, 2, 1, 1), (3, 1, 0, 2), (4, 3, 2, 2)])
def test_the_size_formula_counts_the_places_where_a_kernel_fits(lesson, k, s, p, d):
    for size in (9, 12, 32):
        places = [i for i in range(0, size + 2 * p, s) if i + d * (k - 1) < size + 2 * p]
        assert lesson["conv_size"](size, d * (k - 1) + 1, s, p) == len(places)


def test_every_printed_prediction_of_a_size_came_true(printed):
    lines = re.findall(r"predicted (\d+), actual (?:\(64, 6, (\d+), \d+\)|(\d+))$", printed, re.MULTILINE)
    assert len(lines) == 7
    assert all(predicted in (full, side) for predicted, full, side in lines)


def test_the_layer_written_by_hand_is_the_layer(lesson, printed):
    handmade, conv, images = lesson["handmade"], torch.nn.Conv2d(3, 6, kernel_size=3), lesson["images"][:2]
    assert not isinstance(handmade, torch.nn.Conv2d)
    assert {name: p.shape for name, p in handmade.named_parameters()} == {
        name: p.shape for name, p in conv.named_parameters()
    }
    with torch.no_grad():
        expected = convolve(images, handmade.weight, handmade.bias)
        assert torch.allclose(handmade(images).double(), expected, atol=1e-5)
    handmade.zero_grad()
    handmade(images).sum().backward()
    assert handmade.bias.grad.tolist() == [2 * 30 * 30] * 6, "each bias is added to every place of each image"
    assert "\nthe same before loading: False\nloading: <All keys matched successfully>\nthe same after" in printed


def test_a_kernel_that_is_not_square_has_its_rows_first(lesson):
    layer, images = lesson["same_size"], lesson["images"][:1, :, :8, :8]
    assert layer.weight.shape == (6, 3, 3, 5)
    with torch.no_grad():
        expected = convolve(images, layer.weight, layer.bias, padding=(1, 2))
        assert torch.allclose(layer(images).double(), expected, atol=1e-5)
    assert lesson["flat_kernel"](lesson["images"]).shape[2:] == (32 - 2, 32 - 4)


def test_a_convolution_never_mixes_images_and_batch_norm_does_while_it_trains(lesson, printed):
    images, conv = lesson["images"][:4].clone(), lesson["conv"]
    with torch.no_grad():
        before = conv(images)
        images[3] = 0.5
        assert torch.equal(conv(images)[:3], before[:3]) and not torch.equal(conv(images)[3], before[3])
    lines = re.findall(r"^training=(\w+), (\w+): the same alone and in company: (\w+)$", printed, re.MULTILINE)
    assert len(lines) == 4
    for training, layer, same in lines:
        assert (same == "False") == (training == "True" and layer == "BatchNorm2d")


def test_the_parameter_count_in_the_notes_is_the_layers_own(lesson):
    assert lesson["conv"].weight.shape == (6, 3, 3, 3)
    assert sum(p.numel() for p in lesson["conv"].parameters()) == 6 * (3 * 3 * 3 + 1) == 168


def test_one_output_number_is_the_sum_of_27_products_and_the_bias(lesson, printed):
    pixels = [lesson["images"][0, c, 10 + u, 20 + v].item() for c in range(3) for u in range(3) for v in range(3)]
    weights = lesson["handmade"].weight[4].flatten().tolist()  # the layer's own, before the cell of section 6
    expected = sum(pixel * weight for pixel, weight in zip(pixels, weights, strict=True))
    assert lesson["by_hand"].item() == pytest.approx(expected + lesson["handmade"].bias[4].item(), abs=1e-5)
    assert "\npatch (3, 3, 3) products 27\n" in printed


def test_dilation_spreads_nine_weights_over_five_by_five_pixels(lesson):
    expected = convolve(lesson["dot"], torch.ones(1, 1, 3, 3), [0.0], padding=2, dilation=2)
    with torch.no_grad():
        assert torch.equal(lesson["spread"](lesson["dot"]).double(), expected)
    seen = expected[0, 0].nonzero()
    assert len(seen) == 9
    assert (seen.max(dim=0).values - seen.min(dim=0).values + 1).tolist() == [5, 5]


def test_a_depthwise_layer_never_mixes_channels(lesson):
    layer, images = lesson["depthwise"], torch.rand(2, 6, 5, 5)
    with torch.no_grad():
        expected = convolve(images, layer.weight, torch.zeros(6), padding=1, groups=6)
        assert torch.allclose(layer(images).double(), expected, atol=1e-6)
    assert lesson["changed"].tolist() == [True] + [False] * 5


def test_the_edge_kernels_answer_to_edges_of_their_direction_only(lesson):
    names = list(lesson["kernels"])
    upper_half_dark = torch.zeros(1, 3, 8, 8)
    upper_half_dark[:, :, 4:] = 1
    with torch.no_grad():
        maps = lesson["conv"](upper_half_dark)[0].abs().amax(dim=(1, 2))
    assert maps[names.index("horizontal edges")] > 0.9
    assert maps[names.index("vertical edges")] < 1e-6


def test_the_pictures_for_tensorboard_are_grey_and_share_one_scale_that_fills_the_range(lesson):
    pictures, maps = lesson["as_grey_images"][:, 0], lesson["first"]
    assert lesson["as_grey_images"].shape == (6, 1, 30, 30)
    assert pictures.min() == 0 and pictures.max() == 1
    slope = 1 / (maps.max() - maps.min())
    for one in range(6):  # the same difference of two numbers is the same difference of two greys, in every map
        assert torch.allclose(pictures[one] - pictures[0], (maps[one] - maps[0]) * slope, atol=1e-5)


def test_the_reshape_shows_channels_of_one_image_as_two_images(lesson, printed):
    lies, maps = lesson["lies"], lesson["feature_maps"]
    assert len(lies) == 2 * len(maps)
    assert torch.equal(lies[7], maps[3, 3:])
    assert "\nimage 1 of the output: channels 3 to 5 of image 0\n" in printed
    assert printed.count("of the output: channels") == 1, "no other place holds the same numbers"
