"""The drawn pictures: the distances against brute force, then what draw_cifar and draw_insects promise."""

import math

import pytest
import torch

from common import drawn
from common.drawn import CIFAR_CLASSES, INSECT_CLASSES, draw_cifar, draw_insects

LABELS = torch.arange(60) % 10


def grid(side=41, reach=1.5):
    """Points that cover the square -reach .. reach: x and y of shape (1, side, side)."""
    line = torch.linspace(-reach, reach, side)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x[None], y[None]


def distance_to(p, boundary):
    """The distance from each point to the nearest of many points (m, 2) of a boundary."""
    points = torch.stack([p[0].flatten(), p[1].flatten()], dim=1).double()
    return torch.cdist(points, boundary.double()).min(dim=1).values.view_as(p[0])


def sides(corners, samples=2000):
    """Many points on the sides of a closed polygon."""
    t = torch.linspace(0, 1, samples)[:, None]
    a = torch.tensor(corners)
    return torch.cat([start + t * (end - start) for start, end in zip(a, a.roll(-1, 0), strict=True)])


def angles(samples=8000):
    return torch.linspace(0, 2 * math.pi, samples)


def test_the_distance_to_a_circle_is_that_of_brute_force():
    p, t = grid(), angles()
    truth = distance_to(p, torch.stack([0.2 + 0.7 * t.cos(), -0.1 + 0.7 * t.sin()], dim=1))
    truth[(p[0] - 0.2) ** 2 + (p[1] + 0.1) ** 2 < 0.49] *= -1
    assert torch.allclose(drawn.circle(p, (0.2, -0.1), 0.7).double(), truth, atol=1e-3)
    assert torch.allclose(drawn.ellipse(p, (0.2, -0.1), (0.7, 0.7)).double(), truth, atol=1e-3)


def test_the_distance_to_an_ellipse_has_the_right_sign_and_is_right_near_the_edge():
    p, t = grid(), angles()
    truth = distance_to(p, torch.stack([0.9 * t.cos(), 0.4 * t.sin()], dim=1))
    inside = (p[0] / 0.9) ** 2 + (p[1] / 0.4) ** 2 < 1
    d = drawn.ellipse(p, (0.0, 0.0), (0.9, 0.4))
    clear = truth > 1e-3  # on the edge itself the sign is a matter of rounding
    assert torch.equal((d < 0)[clear], inside[clear])
    near = truth < 0.06
    assert near.sum() > 50
    assert torch.allclose(d.abs().double()[near], truth[near], atol=0.012)


def test_the_distance_to_a_box_is_that_of_brute_force():
    p = grid()
    truth = distance_to(p, sides([(-0.6, -0.2), (1.0, -0.2), (1.0, 0.4), (-0.6, 0.4)]))
    truth[((p[0] - 0.2).abs() < 0.8) & ((p[1] - 0.1).abs() < 0.3)] *= -1
    assert torch.allclose(drawn.box(p, (0.2, 0.1), (0.8, 0.3)).double(), truth, atol=1e-3)


def test_the_rounded_corners_of_a_box_lie_within_its_sides():
    p = grid()
    core = drawn.box(p, (0.0, 0.0), (0.6, 0.3))  # a box 0.2 larger all round, but with round corners
    assert torch.allclose(drawn.box(p, (0.0, 0.0), (0.8, 0.5), 0.2)[core > 0], core[core > 0] - 0.2, atol=1e-6)


def test_the_distance_to_a_capsule_is_that_of_brute_force():
    p = grid()
    spine = distance_to(p, sides([(-0.5, -0.3), (0.8, 0.6)]))
    assert torch.allclose(drawn.capsule(p, (-0.5, -0.3), (0.8, 0.6), 0.25).double(), spine - 0.25, atol=1e-3)


def test_a_tapered_capsule_has_the_two_radii_at_its_ends():
    ends = torch.tensor([[[-0.5, 0.5]]]), torch.zeros(1, 1, 2)
    assert drawn.capsule(ends, (-0.5, 0.0), (0.5, 0.0), 0.3, 0.1).flatten().tolist() == pytest.approx([-0.3, -0.1])


@pytest.mark.parametrize("clockwise", [False, True])
def test_the_distance_to_a_polygon_with_a_notch_is_that_of_brute_force(clockwise):
    p = grid()
    corners = [(-1.0, -0.8), (0.9, -0.7), (0.9, 0.8), (0.0, -0.1), (-0.8, 0.9)]
    truth = distance_to(p, sides(corners))
    # Inside: the winding angle around the point, not the crossings that polygon() counts.
    a = torch.tensor(corners)
    to = torch.complex(a[:, 0].view(-1, 1, 1, 1) - p[0], a[:, 1].view(-1, 1, 1, 1) - p[1])
    truth[(to.roll(-1, 0) / to).angle().sum(0) > 3] *= -1
    d = drawn.polygon(p, *(corners[::-1] if clockwise else corners))
    assert torch.allclose(d.double(), truth, atol=1e-3)


def test_a_turned_thing_is_turned_anticlockwise():
    top = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    x, y = drawn.turn(top, 90)  # what pointed right now points up: the top shows what was on the right
    assert (x.item(), y.item()) == pytest.approx((1, 0), abs=1e-6)


def blank(side=40):
    """A black canvas of one picture whose p spans -1 .. 1."""
    line = (2 * torch.arange(side) - side + 1) / side
    numbers = torch.full((1, len(drawn.LAYERS), drawn.NUMBERS), 0.5)
    return drawn.Canvas(
        torch.zeros(1, 3, side, side),
        line.view(1, 1, -1).expand(1, side, side),
        -line.view(1, -1, 1).expand(1, side, side),
        numbers,
        drawn.BACK,
        (0.5, 0.5),
    )


def test_the_painted_pixels_add_up_to_the_area_of_the_shape():
    canvas = blank()
    canvas.paint("ffffff", drawn.circle(canvas.p, (0.03, -0.02), 0.6))
    assert canvas.image[0, 0].sum().item() * (2 / 40) ** 2 == pytest.approx(math.pi * 0.36, rel=2e-3)


def test_paint_covers_what_was_there_by_its_opacity():
    canvas = blank()
    canvas.paint("ffffff", drawn.box(canvas.p, (0, 0), (2, 2)))
    canvas.paint("ff0000", drawn.box(canvas.p, (0, 0), (2, 2)), alpha=0.25)
    assert canvas.image[0, :, 5, 5].tolist() == pytest.approx([1.0, 0.75, 0.75])


def test_the_same_seed_draws_the_same_pictures_and_another_seed_others():
    assert torch.equal(draw_cifar(LABELS, 3), draw_cifar(LABELS, 3))
    difference = (draw_cifar(LABELS, 3).float() - draw_cifar(LABELS, 4).float()).abs().mean(dim=(1, 2, 3))
    assert difference.min() > 12, difference  # grey levels: other scenes, not just other noise


def test_a_picture_does_not_depend_on_how_many_follow_it():
    assert torch.equal(draw_cifar(LABELS[:23], 3), draw_cifar(LABELS, 3)[:23])


def test_a_picture_does_not_depend_on_the_labels_of_the_others():
    changed = LABELS.clone()
    changed[5] = 0
    same = (draw_cifar(LABELS, 3) == draw_cifar(changed, 3)).flatten(1).all(dim=1)
    assert (~same).nonzero().flatten().tolist() == [5]


def test_a_picture_does_not_depend_on_the_chunks_in_which_it_is_drawn(monkeypatch):
    whole = draw_cifar(LABELS, 3)
    monkeypatch.setattr(drawn, "CHUNK_PIXELS", 7 * 32 * 32)
    assert torch.equal(draw_cifar(LABELS, 3), whole)


def test_another_size_shows_the_same_scenes(monkeypatch):
    monkeypatch.setattr(drawn, "expose", lambda canvas, noise: None)  # light and noise left out: noise is per pixel
    small, large = draw_cifar(LABELS, 3, 32).float(), draw_cifar(LABELS, 3, 128).float()
    shrunk = torch.nn.functional.avg_pool2d(large, 4)
    error = (shrunk - small).abs().mean(dim=(1, 2, 3))
    assert error.median() < 3, error  # grey levels of 255
    assert error.max() < 8, error
    assert (shrunk - small.roll(1, 0)).abs().mean() > 30  # what two unrelated pictures differ by


@pytest.mark.parametrize("size", [8, 32, 45])
def test_cifar_pictures_are_bytes_of_the_size_asked_for(size):
    pictures = draw_cifar(LABELS, 3, size)
    assert (pictures.dtype, pictures.shape) == (torch.uint8, (60, 3, size, size))
    assert (pictures.float().std(dim=(1, 2, 3)) > 5).all()  # no picture is one flat colour


def test_insect_pictures_are_bytes_of_the_height_and_width_asked_for():
    pictures = draw_insects(torch.tensor([0, 1, 1, 0] * 5), 3, 60, 80)
    assert (pictures.dtype, pictures.shape) == (torch.uint8, (20, 3, 60, 80))
    assert torch.equal(pictures[:7], draw_insects(torch.tensor([0, 1, 1, 0] * 5)[:7], 3, 60, 80))


def test_drawing_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        draw_cifar(LABELS[:3], 3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_no_labels_give_no_pictures():
    assert draw_cifar(torch.tensor([], dtype=torch.int64), 3).shape == (0, 3, 32, 32)


def test_each_class_has_poses_and_scenes():
    assert tuple(drawn.POSES) == tuple(drawn.LIKELY_SCENES) == CIFAR_CLASSES
    assert INSECT_CLASSES == ("ants", "bees")


def test_the_thing_in_the_picture_follows_the_label():
    """With one background, no light and no noise, what is left to differ between two classes is the thing itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn, "LIKELY_SCENES", dict.fromkeys(CIFAR_CLASSES, (drawn.room,)))
        patch.setattr(drawn, "expose", lambda canvas, noise: None)
        per_class = torch.stack([draw_cifar(torch.full((12,), k), 3).float() for k in range(10)])
    for k in range(10):
        for other in range(k):
            share = ((per_class[k] - per_class[other]).abs().amax(dim=1) > 20).float().mean(dim=(1, 2))
            assert (share > 0.02).all(), (CIFAR_CLASSES[k], CIFAR_CLASSES[other], share)


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: draw_cifar(torch.tensor([0, 10]), 0), r"labels must lie in 0\.\.9, but they span 0\.\.10"),
        (lambda: draw_cifar(torch.tensor([-1]), 0), r"labels must lie in 0\.\.9, but they span -1\.\.-1"),
        (lambda: draw_insects(torch.tensor([2]), 0, 60, 60), r"labels must lie in 0\.\.1, but they span 2\.\.2"),
        (lambda: draw_cifar(torch.tensor([0.0]), 0), "labels must be an int64 tensor"),
        (lambda: draw_cifar(torch.tensor(3), 0), "labels must be an int64 tensor"),
        (lambda: draw_cifar([1, 2], 0), "labels must be an int64 tensor"),
        (lambda: draw_cifar(torch.tensor([0]), 0, size=7), "at least 8 pixels high and wide, not 7"),
        (lambda: draw_insects(torch.tensor([0]), 0, 60, 7), "at least 8 pixels high and wide, not 7"),
    ],
)
def test_bad_input_is_refused_with_one_clear_line(draw, message):
    with pytest.raises(ValueError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)
