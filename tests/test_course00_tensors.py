"""Course 00: tensors against loops in plain Python, and slopes against tiny steps."""

import itertools
import math

import numpy as np
import pytest
import torch
from lessons import run_lesson

from common.data import cifar10


def shape_of(nested):
    """The shape of nested lists, by opening one box after the other."""
    return (len(nested), *shape_of(nested[0])) if isinstance(nested, list) else ()


def broadcast(one, other):
    """The rule of section 6, in plain Python: the common shape, or None where the two do not fit."""
    pairs = itertools.zip_longest(reversed(one), reversed(other), fillvalue=1)
    lengths = [max(a, b) if a == b or 1 in (a, b) else None for a, b in pairs]
    return None if None in lengths else tuple(reversed(lengths))


def test_rank_and_shape_count_the_brackets(lesson):
    for name in ("one_number", "row", "row_in_a_box", "two_rows", "picture", "batch"):
        tensor = lesson[name]
        shape = shape_of(tensor.tolist())
        assert tuple(tensor.shape) == shape, name
        text = str(tensor.tolist())
        assert tensor.ndim == len(text) - len(text.lstrip("[")), name
        assert tensor.numel() == math.prod(shape)
    assert lesson["row_in_a_box"].shape == (1, 3)


def test_whole_numbers_become_decimals_when_they_are_divided(lesson):
    assert lesson["whole"].dtype == torch.int64 and (lesson["whole"] / 2).dtype == torch.float32
    assert (lesson["whole"] / 2).tolist() == [n / 2 for n in (1, 2, 3)]


def test_from_numpy_shares_and_tensor_copies(lesson):
    assert lesson["array"].tolist() == [100, 2, 3]
    assert lesson["shared"].tolist() == [100, 2, 3]
    assert lesson["copied"].tolist() == [1, 2, 3]


def test_a_byte_starts_again_at_zero_and_a_float_does_not(lesson, printed):
    assert f"250 + 10 as uint8:   {(250 + 10) % 256}\n" in printed
    assert f"250 + 10 as float32: {250.0 + 10}\n" in printed
    in_bytes, in_floats = lesson["bright"] + 10, lesson["bright"].float() + 10
    assert in_bytes.dtype == torch.uint8 and in_floats.dtype == torch.float32, "both sums are PyTorch's, not Python's"


def test_the_table_tells_row_and_column_of_each_number(lesson):
    table = lesson["table"]
    assert table.tolist() == [[10 * i + j for j in range(4)] for i in range(3)]
    assert f"table\n {table}\n" in run_lesson("Course00-Tensors").printed, "shown before the question"
    assert "table[table > 12] tensor([13, 20, 21, 22, 23])" in run_lesson("Course00-Tensors").printed


def test_a_write_through_a_view_changes_the_original_and_no_clone(lesson):
    assert lesson["copy"][0].tolist() == [0, 1, 2, 99]
    assert lesson["copy"].untyped_storage().data_ptr() == lesson["top"].untyped_storage().data_ptr()
    assert lesson["table"][0].tolist() == [0, 1, 2, 3]


def test_reshape_keeps_the_order_of_reading_and_permute_moves_each_number_with_its_axes(lesson):
    rows = lesson["rows"].tolist()
    assert lesson["view"].tolist() == rows
    assert [number for row in rows for number in row] == list(range(6))
    assert lesson["turned"].tolist() == [[rows[i][j] for i in range(2)] for j in range(3)]
    assert lesson["turned"].tolist() != lesson["rows"].reshape(3, -1).tolist()


def test_the_strides_find_each_number_in_the_line_in_memory(lesson):
    view, line = lesson["view"], lesson["six"].tolist()
    assert view.stride() == (3, 1), "a row further is three numbers further, a column one"
    for tensor in (view, view.permute(1, 0)):
        rows, columns = tensor.stride()
        for i, j in itertools.product(*map(range, tensor.shape)):
            assert tensor[i, j] == line[i * rows + j * columns]
    assert view.data_ptr() == lesson["six"].data_ptr()


def test_broadcast_shapes_follow_the_rule_of_the_notes(lesson, printed):
    cases = [line for line in printed.splitlines() if " with (" in line and "->" in line]
    assert len(cases) == 4
    for case in cases:
        one, rest = case.split(" with ")
        other, result = rest.split(" -> ")
        numbers = [tuple(int(n) for n in text.strip(" ()").split(",") if n) for text in (one, other, result)]
        assert broadcast(*numbers[:2]) == numbers[2], case
    per_colour = lesson["per_colour"]
    assert broadcast(lesson["batch"].shape, per_colour.shape) == lesson["batch"].shape
    assert broadcast((3, 1), (4,)) == (3, 4) == lesson["table"].shape
    assert broadcast((3, 4), (3, 1)) == (3, 4) and "with unsqueeze(1): (3, 4)\n" in printed
    assert broadcast((3, 4), (3,)) is None and "must match the size of tensor b (3)" in printed


def test_the_batch_is_the_array_with_the_colours_first(lesson):
    data = cifar10(train=False).data[:64]
    images = lesson["images"]
    assert images.shape == (64, 3, 32, 32) and images.dtype == torch.uint8
    assert np.array_equal(images.numpy(), np.moveaxis(data, -1, 1))


def test_the_mean_is_one_number_a_colour_over_all_pictures_and_pixels(lesson):
    data = cifar10(train=False).data[:64].astype(np.float64) / 255
    by_colour = [data[..., colour].sum() / (64 * 32 * 32) for colour in range(3)]
    assert lesson["mean"].flatten().tolist() == pytest.approx(by_colour, abs=1e-5)
    expected = data - np.array(by_colour)
    assert np.allclose(lesson["centred"].permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)


def test_the_pictures_of_the_figure_are_what_their_titles_say(lesson):
    image, panels = lesson["image"].numpy(), lesson["panels"]
    assert np.array_equal(panels["image"].numpy(), image)
    assert np.array_equal(panels["image[:, 4:28, 4:28]"].numpy(), [plane[4:28, 4:28] for plane in image])
    assert np.array_equal(panels["image[:, ::4, ::4]"].numpy(), [plane[::4, ::4] for plane in image])
    assert np.array_equal(panels["image.flip(2)"].numpy(), image[:, :, ::-1])
    assert np.array_equal(panels["image.permute(0, 2, 1)"].numpy(), np.swapaxes(image, 1, 2))
    assert np.array_equal(panels["255 - image"].numpy().astype(int), 255 - image.astype(int))
    assert np.array_equal(panels["image + 100"].numpy().astype(int), (image.astype(int) + 100) % 256)
    assert (image.astype(int) + 100).max() > 255, "some bytes start again at 0, as the notes say"
    wrong = panels["image.reshape(32, 32, 3)"]
    assert wrong.shape == image.shape and not np.array_equal(wrong.numpy(), image)


@pytest.mark.parametrize("at", [-4.0, -1.0, 0.0, 3.0])
def test_autograd_agrees_with_a_tiny_step_and_with_the_formula(lesson, at):
    f = lesson["f"]
    x = torch.tensor(at, dtype=torch.float64, requires_grad=True)
    f(x).backward()
    assert x.grad.item() == pytest.approx((f(at + 1e-6) - f(at - 1e-6)) / 2e-6, abs=1e-6)
    assert x.grad.item() == pytest.approx(2 * at + 2)


def test_the_gradient_of_a_weighted_sum_is_the_inputs(lesson):
    assert lesson["weights"].grad.shape == lesson["weights"].shape
    assert torch.equal(lesson["weights"].grad, lesson["inputs"])


def test_gradients_add_up_until_they_are_cleared(lesson):
    slope = 2 * 3.0 + 2
    assert lesson["first_loop"] == [slope, 2 * slope, 3 * slope]
    assert lesson["second_loop"] == [slope] * 3


def test_backward_on_a_result_computed_anew_adds_the_slope_at_the_same_place(printed):
    assert f"x.grad after two backwards that worked: {2 * (2 * 3.0 + 2)}\n" in printed, "x is 3, whatever ran before"


def test_the_graph_is_an_addition_of_a_power_and_a_product_that_end_in_the_same_leaf(lesson, printed):
    x = torch.tensor(3.0, requires_grad=True)
    node = lesson["f"](x).grad_fn
    ways = [before for before, _ in node.next_functions]
    assert [type(way).__name__ for way in (node, *ways)] == ["AddBackward0", "PowBackward0", "MulBackward0"]
    leaves = [before.variable for way in ways for before, _ in way.next_functions if before is not None]
    assert len(leaves) == 2 and all(leaf is x for leaf in leaves)
    tree = printed[printed.index("AddBackward0\n   Pow") :].splitlines()[:5]
    depths = [(len(line) - len(line.lstrip())) // 3 for line in tree]
    assert depths == [0, 1, 2, 1, 2] and [line.strip() for line in tree].count("AccumulateGrad") == 2


def test_what_is_detached_counts_as_a_plain_number():
    printed = run_lesson("Course00-Tensors").printed
    h = 1e-4
    both = ((3 + h) ** 2 - (3 - h) ** 2) / (2 * h)
    one = ((3 + h) * 3 - (3 - h) * 3) / (2 * h)
    assert f"slope of x * x:          {both:.1f}\n" in printed
    assert f"slope of x * x.detach(): {one:.1f}\n" in printed


def test_ten_steps_arrive_creep_or_climb_as_the_formula_says():
    printed = run_lesson("Course00-Tensors").printed
    for rate in (0.02, 0.2, 1.02):
        x = 3.0
        for _ in range(10):
            x -= rate * (2 * x + 2)
        assert f"rate {rate:4}: x arrives at {x:4.1f}\n" in printed
    assert abs(x + 1) > 4, "the last rate climbs"


def test_row_against_column_compares_everything_with_everything(lesson):
    answers, targets = lesson["answers"].flatten().tolist(), lesson["targets"].tolist()
    assert lesson["difference"].tolist() == [[a - t for t in targets] for a in answers]
    assert answers == targets and (lesson["difference"] ** 2).mean() > 1
    assert torch.equal(lesson["in_line"], lesson["targets"])


def test_no_single_step_along_the_line_reads_the_turned_table(lesson):
    order = lesson["turned"].flatten().tolist()  # where its numbers, row by row, stand in memory
    assert order == [0, 3, 1, 4, 2, 5]
    assert len({after - before for before, after in itertools.pairwise(order)}) > 1, "a view would need one stride"


def test_the_matrix_product_is_rows_times_columns(lesson):
    left, right = lesson["two_rows"].tolist(), lesson["from_numpy"].tolist()
    expected = [[sum(left[i][k] * right[k][j] for k in range(3)) for j in range(2)] for i in range(2)]
    assert lesson["product"].tolist() == expected
    assert lesson["product"].dtype == torch.float32


def test_what_travels_arrives_on_the_picked_device_unchanged(lesson):
    assert lesson["there"].device.type == lesson["device"].type
    assert lesson["there"].tolist() == lesson["here"].tolist() == [1, 1, 1]


def test_a_step_under_no_grad_leaves_a_leaf_and_a_plain_step_does_not(lesson):
    assert lesson["w"].is_leaf and lesson["w"].requires_grad
    assert lesson["w"].item() == pytest.approx(3 - 0.2 * 8)
    assert not lesson["not_a_leaf"].is_leaf


def test_data_gives_a_wrong_slope_and_no_error(lesson):
    h = 1e-4
    right = (math.exp(h) - math.exp(-h)) / (2 * h)
    assert right == pytest.approx(1)
    assert lesson["z"].grad.item() == pytest.approx(5 * right), "wrong by the factor that was slipped in"
