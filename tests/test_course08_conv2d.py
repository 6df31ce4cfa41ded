"""Course 08: a convolution layer against loops that anybody can check."""

import pytest
import torch


def convolve(images, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    """The definition, in nested loops. images (N, C, H, W) -> (N, out_channels, H', W'), float64."""
    images = torch.nn.functional.pad(images.double(), [padding] * 4)
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
        assert lesson["conv_size"](size, k, s, p, d) == len(places)


def test_the_parameter_count_in_the_notes_is_the_layers_own(lesson):
    assert lesson["conv"].weight.shape == (6, 3, 3, 3)
    assert sum(p.numel() for p in lesson["conv"].parameters()) == 6 * (3 * 3 * 3 + 1) == 168


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


def test_the_pictures_for_tensorboard_are_grey_and_fill_the_range(lesson):
    pictures = lesson["as_grey_images"]
    assert pictures.shape == (6, 1, 30, 30)
    assert torch.equal(pictures.amin(dim=(1, 2, 3)), torch.zeros(6))
    assert torch.equal(pictures.amax(dim=(1, 2, 3)), torch.ones(6))


def test_the_reshape_shows_channels_of_one_image_as_two_pictures(lesson):
    lies, maps = lesson["lies"], lesson["feature_maps"]
    assert len(lies) == 2 * len(maps)
    assert torch.equal(lies[7], maps[3, 3:])
