"""Drawn pictures: stand-ins for CIFAR-10 and for the "ants and bees" photographs, made without any download.

Every picture is a small scene: a background, some clutter, the thing itself, now and then something in front of it,
then light and noise. Everything is drawn with signed distance functions (SDFs): d(p) is the distance from the point p
to the edge of a shape, negative inside. From d alone follows how much of a pixel the shape covers, so edges are
antialiased at every picture size. The formulas are those of Inigo Quilez, "2D distance functions",
https://iquilezles.org/articles/distfunctions2d/.

Coordinates: x to the right, y up; the shorter side of a picture spans -1 .. 1. A point p is a pair (x, y) of tensors of
shape (n, height, width), for a whole batch is drawn at once; a number that differs from picture to picture has shape
(n, 1, 1). The things are drawn in object coordinates (placed, scaled, turned, mirrored), where they too fill -1 .. 1
and look to the right. Colours are RGB from 0 to 1, of shape (n, 3, 1, 1), written as "rrggbb" in the code.

All of it is + - * / and square roots of float32 numbers, which come out the same to the last bit on every machine.
"""

import math
from contextlib import contextmanager

import torch
from torch import Tensor

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
INSECT_CLASSES = ("ants", "bees")

CHUNK_PIXELS = 2**19  # drawn at a time: bounds the memory, changes no picture
LAYERS = PLACE, BACK, THING, FRONT = range(4)  # of a picture: where things are, then what is painted, back to front
NUMBERS = 128  # random numbers kept ready for each layer of a picture

# ------------------------------------------------------------------------------------------ signed distance functions


def ellipse(p, centre, radii):
    """Distance to an ellipse: the sign is exact, the size to first order near the edge. Exact for a circle."""
    (x, y), (cx, cy), (rx, ry) = p, centre, radii
    u, v = (x - cx) / rx, (y - cy) / ry
    k = (u**2 + v**2).sqrt() + 1e-9  # 0 at the centre, 1 on the edge; the small number saves the centre from 0 / 0
    slope = ((u / rx) ** 2 + (v / ry) ** 2).sqrt() + 1e-9
    return k * (k - 1) / slope


def circle(p, centre, radius):
    """Distance to a circle."""
    return ((p[0] - centre[0]) ** 2 + (p[1] - centre[1]) ** 2).sqrt() - radius


def box(p, centre, half, radius=0.0):
    """Distance to a box with half the width and height `half`, its corners rounded with `radius`."""
    u = (p[0] - centre[0]).abs() - (half[0] - radius)
    v = (p[1] - centre[1]).abs() - (half[1] - radius)
    outside = (u.clamp(min=0) ** 2 + v.clamp(min=0) ** 2).sqrt()
    return outside + torch.maximum(u, v).clamp(max=0) - radius


def capsule(p, a, b, radius, radius_b=None):
    """Distance to a thick line from a to b with round ends. Given radius_b it tapers, then nearly exact."""
    x, y, bx, by = p[0] - a[0], p[1] - a[1], b[0] - a[0], b[1] - a[1]
    along = ((x * bx + y * by) / (bx * bx + by * by)).clamp(0, 1)
    distance = ((x - bx * along) ** 2 + (y - by * along) ** 2).sqrt()
    return distance - (radius if radius_b is None else radius + (radius_b - radius) * along)


def polyline(p, points, radius, radius_end=None):
    """Distance to a chain of capsules through the points, tapering from radius to radius_end: tails, legs, antlers."""
    end = radius if radius_end is None else radius_end
    radii = [radius + (end - radius) * i / (len(points) - 1) for i in range(len(points))]
    return union(*(capsule(p, *points[i : i + 2], *radii[i : i + 2]) for i in range(len(points) - 1)))


def polygon(p, *points):
    """Distance to a polygon with any number of corners, convex or not."""
    x, y = p
    square, inside = None, None
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        ex, ey, wx, wy = bx - ax, by - ay, x - ax, y - ay
        along = ((wx * ex + wy * ey) / (ex * ex + ey * ey)).clamp(0, 1)
        to_edge = (wx - ex * along) ** 2 + (wy - ey * along) ** 2
        # A ray from p to the right crosses this edge; p is inside if it crosses an odd number of edges.
        crosses = ((y >= ay) != (y >= by)) & ((ex * wy > ey * wx) == (by > ay))
        square = to_edge if square is None else torch.minimum(square, to_edge)
        inside = crosses if inside is None else inside ^ crosses
    return torch.where(inside, -1.0, 1.0) * square.sqrt()


def union(*distances):
    """Distance to several shapes together."""
    nearest = distances[0]
    for distance in distances[1:]:
        nearest = torch.minimum(nearest, distance)
    return nearest


def turn(p, degrees):
    """The coordinates in which a thing appears turned anticlockwise by `degrees`."""
    # cos and sin may differ in the last bit from machine to machine; in float64 that bit is rounded away afterwards.
    angle = torch.as_tensor(degrees).double() * (math.pi / 180)
    cos, sin = angle.cos().float(), angle.sin().float()
    return p[0] * cos + p[1] * sin, p[1] * cos - p[0] * sin


def mirrored(p):
    """Coordinates with which what is drawn on the right appears on the left too."""
    return p[0].abs(), p[1]


# ------------------------------------------------------------------------------------------------------------- canvas


def rgb(code):
    """A colour "rrggbb" as a tensor of shape (3, 1, 1) from 0 to 1."""
    return torch.tensor([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]).view(3, 1, 1)


class Canvas:
    """A batch of n pictures while they are painted.

    image: (n, 3, height, width). p: the coordinates x and y of each pixel, each (n, height, width). pixel: how wide an
    edge is, in the units of p; a little blurred in some pictures. numbers: (n, LAYERS, NUMBERS), even in 0 .. 1; all
    that is random about a picture comes from them, so neither its neighbours nor its size matter.
    """

    def __init__(self, image, x, y, numbers, layer, sizes):
        self.image = image
        self.p = x.expand(len(image), -1, -1), y.expand(len(image), -1, -1)
        self.use(numbers[:, PLACE])
        self.size = self.rand(*sizes)
        self.centre = tuple(self.rand(-1, 1) * (1.1 - self.size) for _ in "xy")
        self.flip = 1 - 2 * self.chance(0.5)
        self.horizon = self.centre[1] + self.size * self.rand(-0.55, 0.45)
        self.pixel = self.rand(-0.08, 0.08).clamp(min=2 / min(image.shape[2:]))
        self.use(numbers[:, layer])

    def use(self, numbers):
        """Take the random numbers from here on from the columns of this table (n, NUMBERS)."""
        self.numbers = iter(numbers.unbind(1))

    def enter_object(self):
        """Go over to the coordinates of the thing: placed, scaled, and in half of the pictures mirrored."""
        (x, y), (cx, cy) = self.p, self.centre
        self.p = (x - cx) / (self.size * self.flip), (y - cy) / self.size
        self.pixel = self.pixel / self.size

    def sink(self):
        """Let the thing stand on the lower edge of the picture, for portraits: they are cut off there."""
        x, y = self.p
        self.p = x, y + (self.centre[1] + 1) / self.size - 1

    def rand(self, low=0.0, high=1.0):
        """One number per picture, even in low .. high: (n, 1, 1)."""
        return low + (high - low) * next(self.numbers)[:, None, None]

    def chance(self, probability):
        """1.0 in the given share of the pictures, else 0.0: (n, 1, 1)."""
        return (self.rand() < probability).float()

    def pick(self, codes, jitter=0.1):
        """One of the colours "rrggbb rrggbb ..." for each picture, a little lighter or darker: (n, 3, 1, 1)."""
        colours = torch.stack([rgb(code) for code in codes.split()])
        index = (self.rand() * len(colours)).long().flatten()
        return colours[index] * self.rand(1 - jitter, 1 + jitter)[:, None] + self.rand(-jitter, jitter)[:, None] / 2

    def paint(self, colour, *shapes, alpha=1.0, rim=0.0, thin=None):
        """Paint the union of the shapes (distances) over the image.

        alpha: how opaque, 0 to 1. rim: how much darker the edge is than the middle, which makes a thing look round.
        thin: the radius of a part that may be finer than a pixel; it then fades, as it would in a photograph.
        """
        colour = rgb(colour) if isinstance(colour, str) else colour
        d = union(*shapes)
        cover = (0.5 - d / self.pixel).clamp(0, 1) * alpha
        if thin is not None:
            cover = cover * (2 * thin / self.pixel).clamp(max=1)
        light = cover * (1 - rim * (1 + d * 7).clamp(0, 1)) if rim else cover
        self.image.mul_(1 - cover[:, None]).add_(colour * light[:, None])

    def eye(self, p, at, radius, iris="15100c"):
        """An eye with a pupil and a highlight."""
        self.paint(iris, circle(p, at, radius), thin=radius)
        self.paint("15100c", circle(p, at, radius * 0.6), thin=radius * 0.6)
        self.paint("ffffff", circle(p, (at[0] + radius * 0.3, at[1] + radius * 0.35), radius * 0.3), thin=radius * 0.3)

    def shadow(self, y, width, alpha=0.4):
        """The shadow of a thing on the ground."""
        self.paint("101418", ellipse(self.p, (0.0, y), (width, 0.09)), alpha=alpha)


# -------------------------------------------------------------------------------------------------------- backgrounds

SKIES = "6fb1e8 8fc4ea 4f93d6 b9d3e6 c9d0d6 f0b58a e9a7b0 5b7fae "
GREENS = "5f9e3f 7fb04a 4c8a3c 93b04e a8a552 3f7d45 "
WATERS = "2f6fa8 3c8c9e 27557f 5a8fa8 4f7f86 "


def split(c, upper, lower, fade=0.25, drop=0.0):
    """Two colours above and below the horizon (or `drop` lower), paler towards it."""
    y = c.p[1] - c.horizon + drop
    below = (0.5 - y / c.pixel).clamp(0, 1)[:, None]
    near = (1 - y.abs() * 0.7).clamp(0, 1)[:, None]
    c.image.copy_((upper + fade * (1 - upper) * near) * (1 - below) + lower * (0.75 + 0.35 * near) * below)


def clouds(c, share=0.6, drop=0.0):
    """A cloud, in the given share of the pictures."""
    x, y, size = c.rand(-0.9, 0.9), c.horizon - drop + c.rand(0.3, 0.9), c.rand(0.7, 1.3)
    puffs = ((0, 0, 0.32), (-0.12, 0.09, 0.16), (0.12, 0.07, 0.2))
    parts = (ellipse(c.p, (x + dx * size, y + dy * size), (rx * size, 0.11 * size)) for dx, dy, rx in puffs)
    c.paint("ffffff", *parts, alpha=0.75 * c.chance(share))


def clutter(c):
    """Up to three odd things behind: a stone, a crate, a bush."""
    for shape in (ellipse, box, ellipse):
        at, size = (c.rand(-1, 1), c.horizon - c.rand(-0.1, 0.7)), c.rand(0.08, 0.3)
        colour = c.pick("8a8f80 5f7f4a b07f55 c05a4a 4a6a9a d9c26a e8e4da 4a4a50")
        c.paint(colour, shape(c.p, at, (size, size * c.rand(0.6, 1.2))), alpha=c.chance(0.4), rim=0.35)


def sky(c):
    """Nothing but sky, hazy below."""
    colour = c.pick(SKIES)
    split(c, colour, colour * 0.5 + 0.45, fade=0.5, drop=0.8)
    c.paint("fff3c4", circle(c.p, (c.rand(-0.9, 0.9), c.rand(0.4, 0.9)), 0.16), alpha=0.9 * c.chance(0.3))
    clouds(c, drop=0.6)
    clouds(c, drop=1.0)


def meadow(c):
    split(c, c.pick(SKIES), c.pick(GREENS))
    clouds(c, share=0.5)
    hill = ellipse(c.p, (c.rand(-1, 1), c.horizon - 0.1), (c.rand(0.5, 1.0), c.rand(0.2, 0.45)))
    c.paint(c.pick("6f9a5a 5d8a70 86a060 7a8fa0"), hill, alpha=c.chance(0.6) * (c.p[1] > c.horizon))
    roots = [(c.rand(-1, 1), c.horizon - c.rand(0.1, 1.0)) for _ in range(5)]
    tufts = (capsule(c.p, (x, y), (x + 0.03, y + 0.1), 0.03, 0.01) for x, y in roots)
    c.paint(c.pick("3f7a35 f4e04d e86a6a f2f2f2 558a3a"), *tufts, alpha=0.8)
    clutter(c)


def sea(c):
    split(c, c.pick(SKIES), c.pick(WATERS))
    clouds(c)
    crests = [(c.rand(-1, 0.9), c.horizon - c.rand(0.05, 1.0), c.rand(0.1, 0.3)) for _ in range(6)]
    c.paint("eaf4f8", *(capsule(c.p, (x, y), (x + length, y), 0.015) for x, y, length in crests), alpha=0.55)
    clutter(c)


def beach(c):
    split(c, c.pick(SKIES), c.pick("e3cf9f d9bd8a c9b08a ead9b5"))
    clouds(c)
    c.paint(c.pick(WATERS), box(c.p, (0.0, c.horizon - 0.1), (3.0, 0.1)))
    c.paint("f6f8f4", capsule(c.p, (-1.5, c.horizon - c.rand(0.18, 0.24)), (1.5, c.horizon - c.rand(0.18, 0.24)), 0.02))
    clutter(c)


def street(c):
    split(c, c.pick(SKIES), c.pick("6d7073 85827d 5a5d63 a09a90"))
    walls = c.pick("b98f73 9a9fa8 c9b79a 8a6f66 7a8794 d0c8bd")
    for side in (-0.75, -0.2, 0.3, 0.8):
        height = c.rand(0.1, 0.45)
        house = box(c.p, (side + c.rand(-0.1, 0.1), c.horizon + height), (c.rand(0.17, 0.27), height))
        c.paint(walls * c.rand(0.8, 1.1)[:, None], house, alpha=c.chance(0.65))
    lane = (box(c.p, (x, c.horizon - 0.55), (0.13, 0.025)) for x in (-0.75, 0.0, 0.75))
    c.paint("f2efe2", *lane, alpha=c.chance(0.6))
    clutter(c)


def forest(c):
    leaves = c.pick("3f6b3a 567d3e 2f5540 7c8a45 a5803f")
    split(c, leaves, c.pick("6b7a3a 7a6a45 58773f 8a7a55"))
    for _ in range(4):
        crown = circle(c.p, (c.rand(-1, 1), c.horizon + c.rand(0.2, 1.2)), 0.35)
        c.paint(leaves * c.rand(0.6, 1.3)[:, None], crown, rim=0.3)
    trunks = [box(c.p, (x + c.rand(-0.2, 0.2), c.horizon + 0.9), (c.rand(0.04, 0.1), 1.0)) for x in (-0.7, 0.0, 0.7)]
    c.paint(c.pick("5b4636 7a6a5a 463a30 c9c4ba"), *trunks, rim=0.3)
    clutter(c)


def room(c):
    """A wall with a picture, a floor with a rug."""
    wall, floor = c.pick("d9c9a8 b8c4c9 c9a9a0 9fb09a e3ddd0 8a93a8"), c.pick("a8794f 8a6242 b9a58a 7d7f86 9a5f55")
    split(c, wall, floor, fade=0.1)
    at, half, hung = (c.rand(-0.8, 0.8), c.horizon + c.rand(0.4, 0.9)), c.rand(0.18, 0.35), c.chance(0.7)
    c.paint("f4f0e6", box(c.p, at, (half + 0.05, half * 0.8 + 0.05)), alpha=hung)
    c.paint(c.pick(SKIES + GREENS), box(c.p, at, (half, half * 0.8)), alpha=hung)
    rug = ellipse(c.p, (c.rand(-0.3, 0.3), c.horizon - 0.6), (0.8, 0.2))
    c.paint(c.pick("b5544a 4a6fa5 d9b45a 6a8f6a"), rug, alpha=c.chance(0.5))
    clutter(c)


# Where each class is likely to be seen. The lists overlap, so that no background gives a class away.
LIKELY_SCENES = {
    "airplane": (sky, sky, sky, sea, beach, meadow, street),
    "automobile": (street, street, street, meadow, forest, beach, room),
    "bird": (sky, sky, forest, forest, meadow, sea, beach),
    "cat": (room, room, room, meadow, street, forest, beach),
    "deer": (forest, forest, meadow, meadow, meadow, sky, beach),
    "dog": (meadow, meadow, room, street, beach, forest, sky),
    "frog": (meadow, forest, forest, sea, sea, room, beach),
    "horse": (meadow, meadow, meadow, forest, street, beach, sky),
    "ship": (sea, sea, sea, sea, beach, beach, sky),
    "truck": (street, street, street, meadow, forest, beach, room),
}


# -------------------------------------------------------------------------------------------- things that people make

PAINTS = "c8352e 2f5fa8 e3e3df 2b2d31 e0a92e 3f8a57 8f9499 7a2f3a 57a3c9 d96f2e f0ead8 6a4a8a "
GLASS = "a9cfe0"


def wheels(c, p, xs, y, radius):
    """A row of wheels with hubs, at the places xs."""
    c.paint("1d1d20", *(circle(p, (x, y), radius) for x in xs))
    c.paint("b9bcc0", *(circle(p, (x, y), radius * 0.5) for x in xs), thin=radius * 0.5)


def airliner(c):
    """From the side."""
    p = turn(c.p, c.rand(-22, 28))
    body, trim = c.pick("eceff1 d5dbe0 f3f0e6 b9c4cf e3c04a c9503f 5f86b8"), c.pick(PAINTS)
    c.paint(body * 0.75, polygon(p, (0.2, 0.1), (-0.12, 0.45), (-0.27, 0.45), (-0.12, 0.1)))
    c.paint(trim, polygon(p, (-0.95, 0.52), (-0.72, 0.52), (-0.42, 0.1), (-0.85, 0.05)))
    c.paint(
        body,
        capsule(p, (-0.85, 0.06), (-0.35, 0.0), 0.07, 0.17),
        capsule(p, (-0.35, 0), (0.75, 0), 0.17, 0.15),
        rim=0.3,
    )
    c.paint("3a4a5c", *(circle(p, (x * 0.14 - 0.5, 0.05), 0.03) for x in range(8)), thin=0.045)
    c.paint("3a4a5c", polygon(p, (0.72, 0.12), (0.84, 0.1), (0.88, 0.03), (0.74, 0.03)))
    c.paint(trim * 0.8, capsule(p, (0.0, -0.27), (0.2, -0.27), 0.075))
    c.paint(body * 0.85, polygon(p, (0.3, -0.06), (-0.3, -0.58), (-0.48, -0.58), (-0.12, -0.08)))
    c.paint(body * 0.8, polygon(p, (-0.6, 0.08), (-0.85, -0.12), (-0.97, -0.12), (-0.85, 0.08)))


def jet(c):
    """From below, in any direction."""
    p = turn(c.p, c.rand(0, 360))
    m, sweep = mirrored(p), c.rand(0.1, 0.45)
    body, trim = c.pick("dfe4e8 b9c2cb 8d99a6 eceff1 6f7f78 d9b84a"), c.pick(PAINTS)
    c.paint(trim, capsule(m, (0.42, 0.1 - sweep / 2), (0.42, 0.3 - sweep / 2), 0.07))
    c.paint(body * 0.85, polygon(m, (0.0, 0.35), (0.95, 0.1 - sweep), (0.95, -0.05 - sweep), (0.0, -0.1)), rim=0.2)
    c.paint(trim, polygon(m, (0.0, -0.55), (0.36, -0.78), (0.36, -0.9), (0.0, -0.85)), rim=0.2)
    c.paint(body, capsule(p, (0.0, 0.75), (0.0, -0.8), 0.14, 0.07), rim=0.35)
    c.paint("2f3d4c", ellipse(p, (0.0, 0.76), (0.07, 0.06)))


def car(c):
    """From the side, from a hatchback to a limousine."""
    c.shadow(-0.5, 0.95)
    p = turn(c.p, c.rand(-12, 12))
    body, roof, rear = c.pick(PAINTS), c.rand(0.34, 0.5), c.rand(-0.75, -0.4)
    c.paint(
        body,
        polygon(p, (rear - 0.1, 0.0), (rear + 0.12, roof), (0.22, roof), (0.55, 0.0)),
        box(p, (0.0, -0.17), (0.92, 0.23), 0.12),
        rim=0.3,
    )
    c.paint(
        GLASS,
        polygon(p, (rear + 0.05, 0.05), (rear + 0.18, roof - 0.08), (-0.12, roof - 0.08), (-0.12, 0.05)),
        polygon(p, (-0.04, 0.05), (-0.04, roof - 0.08), (0.18, roof - 0.08), (0.4, 0.05)),
    )
    c.paint("ffe9a0", ellipse(p, (0.86, -0.1), (0.06, 0.07)))
    c.paint("d0342c", box(p, (-0.89, -0.08), (0.04, 0.07)))
    c.paint(body * 0.5, box(p, (-0.08, -0.15), (0.012, 0.17)), box(p, (-0.2, -0.08), (0.06, 0.015)), thin=0.012)
    wheels(c, p, (-0.55, 0.55), -0.4, c.rand(0.17, 0.22))


def car_front(c):
    """From the front: two lamps, a low roof."""
    c.shadow(-0.62, 0.85)
    p = turn(c.p, c.rand(-10, 10))
    m, body, roof = mirrored(p), c.pick(PAINTS), c.rand(0.4, 0.6)
    c.paint("1d1d20", box(m, (0.56, -0.5), (0.13, 0.18), 0.05))
    c.paint(
        body,
        polygon(p, (-0.6, 0.0), (-0.42, roof), (0.42, roof), (0.6, 0.0)),
        box(p, (0.0, -0.2), (0.74, 0.28), 0.14),
        ellipse(m, (0.72, 0.1), (0.1, 0.06)),
        rim=0.3,
    )
    c.paint(GLASS, polygon(p, (-0.5, 0.06), (-0.36, roof - 0.08), (0.36, roof - 0.08), (0.5, 0.06)))
    c.paint("fff2b8", circle(m, (0.54, -0.15), 0.12))
    c.paint("2a2c30", box(p, (0.0, -0.22), (0.32, 0.09), 0.04))
    c.paint("f4f4f0", box(p, (0.0, -0.4), (0.16, 0.05)))


def lorry(c):
    """A cab and a big box, from the side."""
    c.shadow(-0.66, 1.0)
    p = turn(c.p, c.rand(-12, 12))
    cab, cargo, top = c.pick(PAINTS), c.pick(PAINTS + "f3f1ea f3f1ea d5dbe0"), c.rand(0.4, 0.65)
    c.paint("33363b", box(p, (0.0, -0.38), (0.92, 0.08)))
    c.paint(cargo, box(p, (-0.33, (top - 0.3) / 2), (0.62, (top + 0.3) / 2), 0.03), rim=0.25)
    c.paint(c.pick(PAINTS), box(p, (-0.33, 0.05), (0.5, 0.1)), alpha=c.chance(0.5))
    c.paint(cab, polygon(p, (0.34, -0.42), (0.34, 0.36), (0.72, 0.36), (0.93, 0.0), (0.95, -0.42)), rim=0.25)
    c.paint(GLASS, polygon(p, (0.5, 0.02), (0.5, 0.26), (0.69, 0.26), (0.83, 0.02)))
    c.paint("ffe9a0", box(p, (0.91, -0.22), (0.04, 0.06)))
    wheels(c, p, (-0.7, -0.3, 0.64), -0.48, 0.19)


def tipper(c):
    """A cab and an open, loaded bed, from the side."""
    c.shadow(-0.62, 1.0)
    p = turn(c.p, c.rand(-12, 12))
    body, bed, load = c.pick(PAINTS), c.pick(PAINTS), c.rand(0.05, 0.3)
    c.paint("33363b", box(p, (0.0, -0.34), (0.92, 0.08)))
    c.paint(c.pick("8a6a45 6d6a66 b59a6a 5a7a45"), ellipse(p, (-0.35, 0.15), (0.5, load + 0.05)), rim=0.3)
    c.paint(bed, polygon(p, (-1.0, 0.24), (-0.85, -0.28), (0.15, -0.28), (0.22, 0.24)), rim=0.3)
    c.paint(body, box(p, (0.58, 0.05), (0.34, 0.42), 0.1), rim=0.25)
    c.paint(GLASS, box(p, (0.66, 0.22), (0.2, 0.14), 0.04))
    c.paint("ffe9a0", box(p, (0.89, -0.2), (0.04, 0.06)))
    wheels(c, p, (-0.68, -0.26, 0.6), -0.42, 0.2)


def lorry_front(c):
    """Tall and square, with mirrors on arms."""
    c.shadow(-0.84, 0.75)
    p = turn(c.p, c.rand(-10, 10))
    m, cab, top = mirrored(p), c.pick(PAINTS), c.rand(0.7, 0.95)
    c.paint("1d1d20", box(m, (0.44, -0.72), (0.13, 0.18), 0.04))
    c.paint(c.pick(PAINTS + "f3f1ea d5dbe0"), box(p, (0.0, (top - 0.5) / 2), (0.64, (top + 0.5) / 2), 0.03), rim=0.25)
    c.paint("26282c", capsule(m, (0.5, 0.3), (0.78, 0.3), 0.02), box(m, (0.78, 0.18), (0.06, 0.15), 0.03))
    c.paint(cab, box(p, (0.0, -0.12), (0.56, 0.56), 0.08), rim=0.25)
    c.paint(GLASS, box(p, (0.0, 0.14), (0.47, 0.2), 0.05))
    c.paint("2a2c30", *(box(p, (0.0, y), (0.3, 0.035)) for y in (-0.2, -0.32, -0.44)))
    c.paint("fff2b8", circle(m, (0.42, -0.5), 0.09))


def steamer(c):
    """A ship with decks and a funnel."""
    p = turn(c.p, c.rand(-12, 12))
    hull, funnel, decks, x = c.pick(PAINTS), c.pick(PAINTS), c.rand(0.1, 0.2), c.rand(-0.35, 0.1)
    c.paint("0f2436", ellipse(p, (0.0, -0.52), (0.9, 0.1)), alpha=0.4)
    c.paint(funnel, box(p, (x, 0.45), (0.1, 0.28)), rim=0.2)
    c.paint("26282c", box(p, (x, 0.68), (0.1, 0.06)))
    c.paint("f4f1e8", box(p, (x, -0.02), (0.5, decks)), box(p, (x, 0.1 + decks), (0.32, decks * 0.7)), rim=0.2)
    c.paint("34485c", *(circle(p, (x + i * 0.16, 0.0), 0.045) for i in (-2, -1, 0, 1, 2)), thin=0.045)
    c.paint("4a4038", capsule(p, (0.7, -0.1), (0.66, 0.5), 0.025))
    c.paint(hull, polygon(p, (-0.92, -0.1), (0.98, -0.02), (0.72, -0.52), (-0.78, -0.52)), rim=0.25)
    c.paint("f2f2ee", capsule(p, (-0.8, -0.53), (0.75, -0.53), 0.035), alpha=0.8)


def sailing_boat(c):
    """A mast and two sails."""
    p = turn(c.p, c.rand(-14, 14))
    sail, belly = c.pick("f7f4ea f7f4ea e9dcc0 d9553f 3f74b0 e8b84a"), c.rand(0.45, 0.75)
    c.paint("0f2436", ellipse(p, (0.0, -0.72), (0.7, 0.09)), alpha=0.4)
    c.paint("5a4632", capsule(p, (0.0, -0.5), (0.0, 0.92), 0.03))
    c.paint(sail, polygon(p, (-0.05, 0.9), (-0.05, -0.32), (-belly, -0.32)), rim=0.15)
    c.paint(c.pick("f7f4ea e9dcc0 d9553f e8b84a"), polygon(p, (0.06, 0.75), (0.06, -0.3), (0.62, -0.36)), rim=0.15)
    c.paint(
        c.pick(PAINTS + "8a5a35 8a5a35"),
        polygon(p, (-0.75, -0.42), (0.85, -0.42), (0.55, -0.72), (-0.6, -0.72)),
        rim=0.3,
    )
    c.paint("f2f2ee", capsule(p, (-0.65, -0.73), (0.6, -0.73), 0.03), alpha=0.8)


# ------------------------------------------------------------------------------------------------------------ animals

FURS = "8a5a34 6b4226 b98552 d9b98a 3a322c 8f8a84 e6dccb 5c5650 c77f42"


def four_legs(c, p, fur, back, front, hip, foot, radius):
    """Paint the two far legs and give the distance of the two near ones, to be painted with the body."""
    near = []
    for x in (back, front):
        stride, thigh = c.rand(-0.2, 0.2), radius * 1.5
        c.paint(fur * 0.65, capsule(p, (x + 0.1, hip), (x + 0.1 - stride, foot + 0.04), thigh, radius))
        near.append(capsule(p, (x, hip), (x + stride, foot), thigh, radius))
    return union(*near)


def horse(c):
    """From the side: a long neck, a mane, a long tail. It grazes, stands or trots."""
    c.shadow(-0.9, 0.75)
    p = turn(c.p, c.rand(-12, 15))
    fur, hair = c.pick("8a5a34 6b4226 b98552 3a322c 8f8a84 e6dccb a8703f"), c.pick("2a211b 3f2d20 e0cfae 1f1c1a")
    up = c.rand(0, 1.4).clamp(max=1)  # how high the head is
    neck = 0.78 - 0.14 * up, -0.2 + 0.82 * up
    muzzle = neck[0] + 0.08 + 0.18 * up, neck[1] - 0.3 + 0.06 * up
    tail = c.rand(-0.15, 0.1)
    c.paint(hair, polyline(p, ((-0.6, 0.12), (-0.78, -0.02), (-0.84 + tail, -0.5)), 0.05, 0.09))
    legs = four_legs(c, p, fur, -0.5, 0.3, -0.05, -0.88, 0.05)
    c.paint(hair, capsule(p, (0.2, 0.22), (neck[0] - 0.12, neck[1] + 0.1), 0.08))
    c.paint(
        fur,
        legs,
        capsule(p, (-0.42, 0.02), (0.3, 0.03), 0.25, 0.22),
        capsule(p, (0.33, 0.1), neck, 0.2, 0.12),
        capsule(p, neck, muzzle, 0.12, 0.075),
        capsule(p, neck, (neck[0] - 0.02, neck[1] + 0.2), 0.045, 0.02),
        rim=0.3,
    )
    c.eye(p, (neck[0] + 0.07, neck[1] + 0.02), 0.035)


def horse_head(c):
    """The head and the neck of a horse, from the side."""
    c.sink()
    p = turn(c.p, c.rand(-15, 15))
    fur, hair = c.pick("8a5a34 6b4226 b98552 3a322c 8f8a84 e6dccb a8703f"), c.pick("2a211b 3f2d20 e0cfae 1f1c1a")
    c.paint(hair, polyline(p, ((-0.05, 0.75), (-0.4, 0.4), (-0.6, -0.2), (-0.68, -0.7)), 0.1, 0.16))
    c.paint(
        fur,
        polygon(p, (0.08, 0.75), (-0.3, 0.5), (-0.6, -0.3), (-0.8, -1.6), (0.4, -1.6), (0.05, -0.2), (0.3, 0.1)),
        capsule(p, (0.06, 0.5), (0.62, -0.12), 0.24, 0.15),
        polygon(p, (-0.08, 0.66), (0.02, 1.0), (0.14, 0.66)),
        rim=0.3,
    )
    c.paint("f2ece0", capsule(p, (0.28, 0.5), (0.62, 0.05), 0.05, 0.03), alpha=c.chance(0.5))
    c.paint(fur * 0.6, circle(p, (0.66, -0.16), 0.13), alpha=0.7)
    c.paint("1a1512", circle(p, (0.7, -0.13), 0.035))
    c.eye(p, (0.16, 0.5), 0.06)


def antlers(c, p, x, y, size):
    """Seen from the front; p is mirrored."""
    beam = [(x + dx * size, y + dy * size) for dx, dy in ((0, 0), (0.3, 0.2), (0.46, 0.42), (0.42, 0.7))]
    tips = [(x + dx * size, y + dy * size) for dx, dy in ((0.2, 0.58), (0.72, 0.62))]
    tines = (capsule(p, a, b, 0.045, 0.025) for a, b in zip(beam[1:3], tips, strict=True))
    c.paint(c.pick("e3d0a8 cdb085 8a6f4f"), polyline(p, beam, 0.055, 0.03), *tines, rim=0.2)


def deer(c):
    """From the side: slender, with antlers, spots and a white tail."""
    c.shadow(-0.92, 0.6)
    p = turn(c.p, c.rand(-13, 13))
    fur = c.pick("a8703f 8f5f38 b98552 7a5638 9a7a58 c08a55")
    low = c.chance(0.25) * 0.35  # some look down
    hx, hy = 0.6 + low / 3, 0.42 - low
    c.paint("f6f0e4", ellipse(p, (-0.58, 0.04), (0.1, 0.14)))
    legs = four_legs(c, p, fur, -0.42, 0.3, -0.1, -0.9, 0.03)
    beam = [(hx - 0.04, hy + 0.1), (hx - 0.16, hy + 0.32), (hx - 0.02, hy + 0.58)]
    other = [(x + 0.16, y) for x, y in beam]
    tines = [capsule(p, (x, y), (x + 0.16, y + 0.12), 0.025, 0.015) for x, y in (beam[1], other[1])]
    c.paint(c.pick("e3d0a8 cdb085 8a6f4f"), polyline(p, beam, 0.045, 0.03), polyline(p, other, 0.045, 0.03), *tines)
    c.paint(
        fur,
        legs,
        capsule(p, (-0.38, 0.0), (0.28, 0.0), 0.19, 0.17),
        capsule(p, (0.3, 0.05), (hx - 0.03, hy), 0.13, 0.09),
        capsule(p, (hx, hy), (hx + 0.26, hy - 0.12), 0.1, 0.05),
        capsule(p, (hx - 0.06, hy + 0.06), (hx - 0.24, hy + 0.1), 0.05),
        rim=0.3,
    )
    c.paint(
        "f3e8d2",
        *(circle(p, xy, 0.035) for xy in ((-0.42, 0.08), (-0.28, 0.0), (-0.14, 0.1), (0.0, 0.02), (0.13, 0.1))),
        alpha=0.85 * c.chance(0.7),
        thin=0.035,
    )
    c.paint("1a1512", circle(p, (hx + 0.28, hy - 0.12), 0.035))
    c.eye(p, (hx + 0.06, hy + 0.01), 0.035)


def deer_head(c):
    """From the front: antlers, ears held out, a long face."""
    c.sink()
    p = turn(c.p, c.rand(-12, 12))
    m, fur = mirrored(p), c.pick("a8703f 8f5f38 b98552 7a5638 9a7a58 c08a55")
    antlers(c, m, 0.1, 0.28, c.rand(0.8, 1.15))
    c.paint(fur * 0.85, polygon(p, (-0.22, 0.0), (0.22, 0.0), (0.55, -1.6), (-0.55, -1.6)), rim=0.2)
    c.paint(fur, capsule(m, (0.15, 0.2), (0.5, 0.27), 0.08, 0.05), rim=0.3)
    c.paint(fur, capsule(p, (0.0, 0.15), (0.0, -0.38), 0.25, 0.13), rim=0.3)
    c.paint("f3e8d2", ellipse(p, (0.0, -0.42), (0.12, 0.12)), alpha=0.8)
    c.paint("1a1512", ellipse(p, (0.0, -0.4), (0.075, 0.055)))
    c.eye(m, (0.16, 0.08), 0.06)


def dog(c):
    """From the side: a muzzle, a hanging ear, a raised tail, a collar."""
    c.shadow(-0.76, 0.7)
    p = turn(c.p, c.rand(-13, 13))
    fur, ear, wag = c.pick(FURS), c.pick(FURS), c.rand(-0.12, 0.15)
    legs = four_legs(c, p, fur, -0.42, 0.3, -0.15, -0.74, 0.065)
    c.paint(
        fur,
        legs,
        capsule(p, (-0.38, 0.0), (0.3, 0.02), 0.2, 0.22),
        capsule(p, (0.34, 0.1), (0.52, 0.38), 0.17, 0.15),
        circle(p, (0.54, 0.42), 0.2),
        capsule(p, (0.6, 0.38), (0.88, 0.33), 0.12, 0.09),
        polyline(p, ((-0.52, 0.1), (-0.74, 0.3), (-0.74 + wag, 0.56)), 0.06, 0.04),
        rim=0.3,
    )
    c.paint(ear, ellipse(p, (-0.2, 0.08), (0.2, 0.13)), alpha=c.chance(0.4))
    c.paint(c.pick("d0342c 2f6fb8 e0b02e 3f9a5a"), capsule(p, (0.3, 0.24), (0.56, 0.17), 0.045))
    c.paint("e8788a", capsule(p, (0.78, 0.22), (0.78, 0.1), 0.05), alpha=c.chance(0.5))
    c.paint(ear * 0.75, capsule(p, (0.44, 0.52), (0.36, 0.24), 0.08, 0.1), rim=0.2)
    c.paint("15110e", circle(p, (0.94, 0.38), 0.06))
    c.eye(p, (0.62, 0.47), 0.04)


def dog_sitting(c):
    """From the front: hanging ears, a big nose, the tongue out."""
    c.shadow(-0.86, 0.6)
    p = turn(c.p, c.rand(-14, 14))
    m, fur, ear = mirrored(p), c.pick(FURS), c.pick(FURS)
    muzzle = fur * 0.4 + 0.55
    c.paint(fur * 0.8, ellipse(m, (0.3, -0.6), (0.22, 0.26)), rim=0.2)
    c.paint(
        fur, capsule(p, (0.0, -0.05), (0.0, -0.55), 0.28, 0.34), capsule(m, (0.14, -0.4), (0.16, -0.84), 0.1), rim=0.3
    )
    c.paint(muzzle, ellipse(p, (0.0, -0.28), (0.16, 0.2)), alpha=c.chance(0.6))
    c.paint(c.pick("d0342c 2f6fb8 e0b02e 3f9a5a"), capsule(m, (0.0, -0.08), (0.26, 0.0), 0.055))
    c.paint(fur, ellipse(p, (0.0, 0.36), (0.36, 0.36)), rim=0.3)
    c.paint(ear * 0.75, capsule(m, (0.33, 0.56), (0.44, 0.1), 0.11, 0.13), rim=0.25)
    c.paint("e8788a", capsule(p, (0.0, 0.05), (0.0, -0.08), 0.075), alpha=c.chance(0.7))
    c.paint(muzzle, ellipse(p, (0.0, 0.2), (0.21, 0.17)), rim=0.1)
    c.paint("15110e", ellipse(p, (0.0, 0.28), (0.1, 0.075)))
    c.eye(m, (0.16, 0.46), 0.065)


def cat_face(c, p, fur, x, y, size):
    """Pointed ears, big eyes, whiskers, seen from the front; drawn about its own middle and `size` times as large."""
    p = (p[0] - x) / size, (p[1] - y) / size
    c.pixel = c.pixel / size
    m = mirrored(p)
    c.paint(fur, ellipse(p, (0.0, 0.0), (0.42, 0.36)), polygon(m, (0.08, 0.3), (0.36, 0.68), (0.42, 0.05)), rim=0.3)
    c.paint("e3a0a0", polygon(m, (0.2, 0.32), (0.33, 0.54), (0.36, 0.22)))
    c.paint(
        fur * 0.55,
        *(capsule(p, (dx, 0.33), (dx * 0.7, 0.2), 0.03) for dx in (-0.12, 0.0, 0.12)),
        alpha=0.8 * c.chance(0.6),
    )
    c.paint("f7f0e6", ellipse(m, (0.08, -0.15), (0.12, 0.1)), alpha=0.8)
    c.eye(m, (0.18, 0.04), 0.1, c.pick("a9cc4f e0b030 7fb8d0"))
    c.paint("d9727a", polygon(p, (-0.06, -0.08), (0.06, -0.08), (0.0, -0.15)))
    c.paint("fbfbfb", *(capsule(m, (0.16, -0.14), (0.6, dy), 0.012) for dy in (-0.04, -0.16, -0.27)), thin=0.025)
    c.pixel = c.pixel * size


def cat_sitting(c):
    """From the front, the tail curled round."""
    c.shadow(-0.86, 0.6)
    p = turn(c.p, c.rand(-14, 14))
    fur, side = c.pick(FURS), c.rand(0.5, 0.72)
    m = mirrored(p)
    c.paint(
        fur * 0.85, polyline(p, ((0.2, -0.72), (side, -0.7), (side + 0.16, -0.4), (side, -0.1)), 0.075, 0.06), rim=0.2
    )
    c.paint(
        fur, capsule(p, (0.0, 0.05), (0.0, -0.5), 0.22, 0.34), capsule(m, (0.12, -0.5), (0.13, -0.82), 0.09), rim=0.3
    )
    c.paint("f7f0e6", ellipse(p, (0.0, -0.22), (0.14, 0.22)), alpha=c.chance(0.4))
    stripes = (capsule(m, (0.34, y), (0.2, y + 0.03), 0.03) for y in (-0.25, -0.4, -0.55))
    c.paint(fur * 0.6, *stripes, alpha=c.chance(0.5))
    cat_face(c, p, fur, c.rand(-0.1, 0.1), 0.36, 0.9)


def cat_walking(c):
    """From the side, the long tail up, the face to the viewer."""
    c.shadow(-0.7, 0.7)
    p = turn(c.p, c.rand(-13, 13))
    fur, sway = c.pick(FURS), c.rand(-0.2, 0.2)
    legs = four_legs(c, p, fur, -0.45, 0.25, -0.2, -0.68, 0.055)
    c.paint(
        fur,
        legs,
        capsule(p, (-0.4, -0.05), (0.25, -0.03), 0.2),
        capsule(p, (0.25, 0.0), (0.45, 0.2), 0.16),
        polyline(p, ((-0.55, 0.05), (-0.8, 0.25), (-0.82 + sway / 2, 0.55), (-0.7 + sway, 0.8)), 0.06, 0.05),
        rim=0.3,
    )
    stripes = (capsule(p, (x, 0.14), (x + 0.02, -0.02), 0.03) for x in (-0.4, -0.22, -0.04))
    c.paint(fur * 0.6, *stripes, alpha=c.chance(0.5))
    cat_face(c, p, fur, 0.55, 0.28, 0.75)


def songbird(c):
    """On a branch, from the side."""
    p = turn(c.p, c.rand(-20, 20))
    back = c.pick("4a7fb8 8a5a3a 5f6f4a c8452f 3a3d45 d9b03a 7a8a94 a06a9a")
    breast = c.pick("f0e2c4 e38b4a f4f0e6 d9c26a b9a08a")
    c.paint("5f4631", capsule(p, (-1.1, -0.76), (1.1, -0.7), 0.06, 0.045), alpha=c.chance(0.75), rim=0.2)
    c.paint("d99a3a", capsule(p, (-0.02, -0.4), (-0.04, -0.72), 0.025), capsule(p, (0.12, -0.4), (0.12, -0.72), 0.025))
    c.paint(back * 0.8, polygon(p, (-0.4, -0.02), (-0.98, -0.42), (-0.88, -0.6), (-0.25, -0.3)))
    c.paint("e8a02e", polygon(p, (0.5, 0.52), (0.86, 0.38), (0.52, 0.3)))
    c.paint(breast, capsule(p, (-0.25, -0.18), (0.18, 0.0), 0.28, 0.34), rim=0.3)
    c.paint(back, capsule(p, (0.1, 0.2), (0.32, 0.42), 0.22, 0.24), rim=0.25)
    c.paint(back * 0.85, capsule(p, (0.05, 0.0), (-0.55, -0.24), 0.22, 0.06), rim=0.35)
    c.eye(p, (0.4, 0.48), 0.06)


def bird_in_flight(c):
    """The wings raised or lowered."""
    p = turn(c.p, c.rand(-20, 20))
    body, tip = c.pick("f2f2ee f2f2ee 3a3d45 8a5a3a 4a7fb8 c8452f 8f979c"), c.rand(0.5, 0.95) * (1 - 2 * c.chance(0.35))
    c.paint(body * 0.6, polygon(p, (0.4, 0.0), (0.62, tip * 0.7), (0.5, tip), (0.1, tip * 0.6), (0.05, 0.0)))
    c.paint("e8a02e", polygon(p, (0.68, 0.2), (0.98, 0.06), (0.66, 0.02)))
    c.paint(body * 0.8, polygon(p, (-0.3, 0.06), (-0.95, 0.2), (-0.82, 0.0), (-0.95, -0.2), (-0.3, -0.12)), rim=0.2)
    c.paint(body, capsule(p, (-0.35, -0.02), (0.3, 0.0), 0.1, 0.21), circle(p, (0.54, 0.12), 0.19), rim=0.25)
    c.paint(
        body * 0.85,
        polygon(p, (0.34, 0.04), (0.22, tip * 0.7), (-0.3, tip), (-0.62, tip * 0.95), (-0.28, tip * 0.5), (-0.25, 0.0)),
        rim=0.35,
    )
    c.eye(p, (0.6, 0.17), 0.055)


FROGS = "5fa83f 7fb83a 3f8a45 96a83f 7a7a3a 8f7a45 4aa87a c9a03a 8a5a3f b5523a 4a7fa8"


def frog(c):
    """From the front: bulging eyes, a wide mouth, folded legs."""
    p = turn(c.p, c.rand(-15, 15))
    skin = c.pick(FROGS)
    belly, m = skin * 0.4 + rgb("f2ecb8") * 0.6, mirrored(p)
    c.paint(c.pick("2f6f3f 4f8f4a 6a5a45 7f8a8f"), ellipse(p, (0.0, -0.62), (0.95, 0.2)), alpha=c.chance(0.75), rim=0.2)
    c.paint(skin * 0.8, ellipse(m, (0.58, -0.3), (0.24, 0.34)), capsule(m, (0.5, -0.58), (0.86, -0.62), 0.07), rim=0.3)
    c.paint(
        skin,
        ellipse(p, (0.0, -0.2), (0.52, 0.42)),
        ellipse(p, (0.0, 0.1), (0.58, 0.34)),
        circle(m, (0.32, 0.4), 0.2),
        rim=0.3,
    )
    c.paint(belly, ellipse(p, (0.0, -0.32), (0.34, 0.26)))
    c.paint(
        skin * 0.9,
        capsule(m, (0.26, -0.25), (0.24, -0.6), 0.07),
        capsule(m, (0.24, -0.62), (0.38, -0.66), 0.05),
        rim=0.2,
    )
    c.paint(skin * 0.35, polyline(m, ((0.0, -0.06), (0.28, -0.02), (0.48, 0.12)), 0.025), thin=0.03)
    c.eye(m, (0.33, 0.42), 0.14, "f0d860")


def frog_from_above(c):
    """Four bent legs around a stout body, in any direction."""
    p = turn(c.p, c.rand(0, 360))
    m, skin = mirrored(p), c.pick(FROGS)
    c.paint(c.pick("2f6f3f 3f8052 4f8f4a"), circle(p, (0.0, 0.0), 0.95), alpha=c.chance(0.4), rim=0.1)
    c.paint(
        skin * 0.85,
        polyline(m, ((0.2, -0.4), (0.62, -0.12), (0.56, -0.6), (0.8, -0.8)), 0.12, 0.06),
        polyline(m, ((0.25, 0.2), (0.62, 0.2), (0.66, 0.55)), 0.09, 0.06),
        rim=0.3,
    )
    c.paint(
        skin,
        ellipse(p, (0.0, -0.12), (0.38, 0.48)),
        ellipse(p, (0.0, 0.36), (0.32, 0.34)),
        circle(m, (0.24, 0.52), 0.13),
        rim=0.3,
    )
    c.paint(skin * 0.6, *(circle(m, xy, 0.06) for xy in ((0.16, 0.1), (0.2, -0.2), (0.08, -0.38))), alpha=c.chance(0.6))
    c.eye(m, (0.26, 0.55), 0.085, "f0d860")


POSES = {
    "airplane": (airliner, jet),
    "automobile": (car, car_front),
    "bird": (songbird, bird_in_flight),
    "cat": (cat_sitting, cat_walking),
    "deer": (deer, deer_head),
    "dog": (dog, dog_sitting),
    "frog": (frog, frog_from_above),
    "horse": (horse, horse_head),
    "ship": (steamer, sailing_boat),
    "truck": (lorry, tipper, lorry_front),
}

# ------------------------------------------------------------------------------------------------------------ insects


def leaf(c):
    p = turn(c.p, c.rand(0, 360))
    green = c.pick(GREENS)
    c.image[:] = green * 0.45
    c.paint(green, ellipse(p, (c.rand(-0.3, 0.3), c.rand(-0.3, 0.3)), (1.7, c.rand(0.9, 1.4))), rim=0.35)
    veins = [capsule(mirrored(p), (0.0, y), (0.9, y + 0.5), 0.022, 0.008) for y in (-1.1, -0.6, -0.1, 0.4)]
    c.paint(green * 0.5 + 0.4, capsule(p, (0.0, -2.0), (0.0, 2.0), 0.035), *veins, alpha=0.7)


def soil(c):
    x, y = c.p
    c.image.copy_(c.pick("a58560 8a6a4a b89a72 9a8f80 c9ae84") * (1 + 0.1 * y[:, None]))
    for _ in range(9):
        size = c.rand(0.04, 0.2)
        at = c.rand(-1.2, 1.2), c.rand(-1.1, 1.1)
        pebble = ellipse(c.p, at, (size, size * c.rand(0.5, 1.0)))
        c.paint(c.pick("8a8075 6b5a48 b9a890 5a4a3a c4b8a4"), pebble, rim=0.4)


def bark(c):
    p = turn(c.p, c.rand(-30, 30))
    brown = c.pick("8a6a50 75604f 9a8570 6a5442 a89888")
    c.image[:] = brown
    for x in (-1.2, -0.8, -0.4, 0.0, 0.4, 0.8, 1.2):
        kinks = [(x + c.rand(-0.15, 0.15), y) for y in (-1.8, -0.7, 0.3, 1.8)]
        c.paint(brown * 0.6, polyline(p, kinks, 0.05), rim=0.2)


def flower(c):
    """Petals around a yellow heart, in front of leaves."""
    c.image.copy_(c.pick(GREENS) * (0.6 + 0.15 * c.p[1][:, None]))
    for _ in range(3):
        blade = ellipse(turn(c.p, c.rand(0, 180)), (c.rand(-1, 1), c.rand(-1, 1)), (0.7, 0.2))
        c.paint(c.pick(GREENS), blade, rim=0.3)
    p, spin = (c.p[0] - c.rand(-0.5, 0.5), c.p[1] - c.rand(-0.7, 0.1)), c.rand(0, 45)
    petals = c.pick("f4f2f6 e58ab4 b58ad6 f0c63a e8704f 8aa4e0")
    for i in range(8):
        c.paint(petals, ellipse(turn(p, spin + 45 * i), (0.6, 0.0), (0.45, 0.21)), rim=0.25)
    c.paint(c.pick("e0a92e c98a2a 8a5a2e"), circle(p, (0.0, 0.0), 0.28), rim=0.35)


def ant(c):
    """From above: head, thorax and abdomen, six jointed legs, bent antennae; it looks up and is turned anywhere."""
    p = turn(c.p, c.rand(0, 360))
    m, colour = mirrored(p), c.pick("2a1a14 3a2018 1c1a1c 6a2e18 8a3d1c 4a2a1a")
    step, bulk, below = c.rand(-0.1, 0.1), c.rand(0.85, 1.15), (m[0], m[1] + 0.05)
    c.paint("000000", ellipse(below, (0, -0.5), (0.26 * bulk, 0.38)), circle(below, (0, 0.5), 0.2), alpha=0.3)
    c.paint(
        colour * 0.8,
        polyline(m, ((0.06, 0.2), (0.38, 0.4), (0.5, 0.72 + step)), 0.03, 0.015),
        polyline(m, ((0.06, 0.1), (0.44, 0.12), (0.72, -0.02 - step)), 0.03, 0.015),
        polyline(m, ((0.06, 0.0), (0.4, -0.18), (0.62, -0.66 + step)), 0.03, 0.015),
        polyline(m, ((0.07, 0.6), (0.24, 0.76), (0.16, 0.98)), 0.025, 0.015),  # antennae
        polyline(m, ((0.08, 0.66), (0.1, 0.76), (0.02, 0.8)), 0.03, 0.015),  # jaws
    )
    abdomen, waist = ellipse(p, (0, -0.5), (0.24 * bulk, 0.36)), circle(p, (0, -0.1), 0.07)
    c.paint(colour, abdomen, waist, ellipse(p, (0, 0.14), (0.13, 0.22)), ellipse(p, (0, 0.52), (0.19, 0.17)), rim=0.45)
    rings = ((-0.62, 0.16), (-0.48, 0.18), (-0.34, 0.15))
    c.paint(colour + 0.18, *(capsule(m, (0, y), (w * bulk, y + 0.03), 0.012) for y, w in rings), alpha=0.7)
    c.paint(colour + 0.35, ellipse(p, (-0.08, -0.42), (0.05, 0.12)), ellipse(p, (-0.06, 0.56), (0.04, 0.05)), alpha=0.5)
    c.eye(m, (0.14, 0.55), 0.04)


def bee(c):
    """From above: a striped body, a furry thorax and two pairs of clear wings."""
    p = turn(c.p, c.rand(0, 360))
    m, yellow, fur = mirrored(p), c.pick("e8b02e d99a26 f0c44a c9862a"), c.pick("c9862a 8a5a2a d9a84a 6a4a30")
    c.paint("000000", ellipse((p[0], p[1] + 0.06), (0.03, -0.35), (0.36, 0.5)), alpha=0.25)
    knees = ((0.3, 0.14), (0.15, -0.08), (0.05, -0.2))
    legs = (polyline(m, ((0.15, y), (0.4, y + dy), (0.5, y + 2.2 * dy)), 0.03, 0.02) for y, dy in knees)
    c.paint("241a12", *legs, polyline(m, ((0.06, 0.72), (0.16, 0.86), (0.24, 0.98)), 0.025))
    abdomen = ellipse(p, (0, -0.42), (0.32, 0.5))
    c.paint(yellow, abdomen, rim=0.4)
    stripes = [polyline(m, ((0, y - 0.02), (0.2, y), (0.4, y + 0.06)), 0.055) for y in (-0.8, -0.6, -0.4, -0.2)]
    c.paint("241a12", torch.maximum(union(*stripes), abdomen))  # the larger distance: only where both are
    hairs = (capsule(turn((p[0], p[1] - 0.2), 30 * i + 15), (0.2, 0), (0.33, 0.02), 0.05, 0.015) for i in range(12))
    c.paint(fur, circle(p, (0, 0.2), 0.28), *hairs, rim=0.45)
    c.paint("2a1e15", ellipse(p, (0, 0.58), (0.23, 0.18)), rim=0.3)
    c.eye(m, (0.17, 0.62), 0.075, "4a3426")
    hinge = turn((m[0] - 0.12, m[1] - 0.2), c.rand(-25, 15))
    for radii, angle, length in (((0.42, 0.17), 12, 0.4), ((0.3, 0.13), -30, 0.28)):
        wing = turn(hinge, angle)
        c.paint("eaf2f6", ellipse(wing, (length, 0), radii), alpha=0.55)
        veins = (capsule(wing, (0, 0), (length * 1.7, y), 0.01) for y in (0.03, -0.07))
        c.paint("5a5048", *veins, alpha=0.6, thin=0.01)


# ----------------------------------------------------------------------------------------------------------- pictures


def in_front(c):
    """Now and then something hides a part of the thing: a twig or a pole across, a leaf nearby."""
    x, lean = c.rand(-0.8, 0.8), c.rand(-0.6, 0.6)
    pole = capsule(c.p, (x - lean, -1.5), (x + lean, 1.5), c.rand(0.03, 0.1))
    c.paint(c.pick("5b4636 8a8f94 3f4a3a c9c4ba 2f3338"), pole, alpha=c.chance(0.15), rim=0.2)
    p, x, y, size, there = (
        turn(c.p, c.rand(0, 360)),
        c.rand(0.3, 0.9),
        c.rand(-0.3, 0.3),
        c.rand(0.3, 0.65),
        c.chance(0.2),
    )
    blade = torch.maximum(circle(p, (x, y + size * 0.6), size), circle(p, (x, y - size * 0.6), size))  # where both are
    colour = c.pick(GREENS + "b5853a a8552f 8d857c")
    c.paint(colour, blade, alpha=there, rim=0.3)
    c.paint(colour * 0.7, capsule(p, (x - size * 0.9, y), (x + size * 0.7, y), 0.015), alpha=there, thin=0.015)


def expose(c, noise):
    """What light and camera do: saturation, contrast, brightness, the light's direction and colour, then noise."""
    (x, y), image = c.p, c.image
    grey = (image[:, 0] + image[:, 1] + image[:, 2])[:, None] / 3
    image.sub_(grey).mul_(c.rand(0.6, 1.15)[:, None]).add_(grey)
    light = c.rand(0.8, 1.2) + c.rand(-0.25, 0.25) * x + c.rand(-0.25, 0.25) * y
    tint = torch.stack([c.rand(0.9, 1.1) for _ in "rgb"], dim=1)
    image.sub_(0.5).mul_(c.rand(0.75, 1.1)[:, None]).add_(0.5).mul_(light[:, None] * tint)
    image.add_(noise * c.rand(0.02, 0.09)[:, None])


@contextmanager
def one_thread():
    """Use one thread: on a busy machine, threads that wait for each other over small operations take far longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def _draw(labels, seed, height, width, poses, scenes, sizes):
    """One picture per label: uint8 (N, 3, height, width). poses, scenes: for each class a tuple of painters."""
    short = min(height, width)
    x = ((2 * torch.arange(width) - width + 1) / short).view(1, 1, -1)
    y = ((height - 1 - 2 * torch.arange(height)) / short).view(1, -1, 1)
    grid = x.expand(1, height, width), y.expand(1, height, width)
    numbers = torch.rand(len(labels), len(LAYERS), NUMBERS, generator=torch.Generator().manual_seed(seed))
    choice = numbers[:, PLACE, -2:].tolist()
    noise = torch.Generator().manual_seed(-1 - seed)  # a stream of its own, or the noise would change with N

    def chosen(options, rows, column):
        """The rows of the pictures for each painter: {painter: row indices in the chunk}."""
        groups = {}
        for row, (label, u) in enumerate(zip(labels[rows].tolist(), choice[rows], strict=True)):
            painters = options[label]
            groups.setdefault(painters[int(u[column] * len(painters))], []).append(row)
        return groups.items()

    pictures = torch.empty(len(labels), 3, height, width, dtype=torch.uint8)
    step = max(1, CHUNK_PIXELS // (height * width))
    for start in range(0, len(labels), step):
        rows = slice(start, start + step)
        image = torch.empty(len(labels[rows]), 3, height, width)
        for scene, mine in chosen(scenes, rows, 0):
            canvas = Canvas(image[mine], *grid, numbers[rows][mine], BACK, sizes)
            scene(canvas)
            image[mine] = canvas.image
        for pose, mine in chosen(poses, rows, 1):
            canvas = Canvas(image[mine], *grid, numbers[rows][mine], THING, sizes)
            canvas.enter_object()
            pose(canvas)
            image[mine] = canvas.image
        canvas = Canvas(image, *grid, numbers[rows], FRONT, sizes)
        in_front(canvas)
        expose(canvas, torch.rand(image.shape, generator=noise) - 0.5)
        pictures[rows] = image.clamp_(0, 1).mul_(255).round_().to(torch.uint8)
    return pictures


def _check(labels, classes, *sides):
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.ndim != 1:
        raise ValueError("labels must be an int64 tensor of shape (N,)")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must lie in 0..{classes - 1}, but they span {labels.min()}..{labels.max()}")
    if min(sides) < 8:
        raise ValueError(f"a picture must be at least 8 pixels high and wide, not {min(sides)}")


def draw_cifar(labels: Tensor, seed: int, size: int = 32) -> Tensor:
    """Pictures of the ten classes of CIFAR-10, one per label: uint8 of shape (N, 3, size, size), 0 to 255.

    Picture i follows from seed, i and labels[i] alone. Another size shows the same scenes, sharper.
    """
    _check(labels, len(CIFAR_CLASSES), size)
    poses = [POSES[name] for name in CIFAR_CLASSES]
    scenes = [LIKELY_SCENES[name] for name in CIFAR_CLASSES]
    return _draw(labels, seed, size, size, poses, scenes, sizes=(0.36, 0.88))


def draw_insects(labels: Tensor, seed: int, height: int, width: int) -> Tensor:
    """Pictures of ants (0) and bees (1), one per label: uint8 of shape (N, 3, height, width), 0 to 255."""
    _check(labels, len(INSECT_CLASSES), height, width)
    scenes = [(leaf, leaf, soil, bark, flower), (leaf, flower, flower, bark, sky)]
    return _draw(labels, seed, height, width, [(ant,), (bee,)], scenes, sizes=(0.5, 0.95))
