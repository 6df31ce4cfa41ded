"""Course 00 · Tensors: the answers, how they are judged, and the mistakes that people make."""

import torch

from practice import Exercise, Mistake, changed

# ---- 1 ----


def try_shape(shape):
    images = torch.zeros(64, 3, 32, 48)
    yield "the shape", shape, tuple(images[8, :, 4:30, ::2].permute(1, 2, 0).unsqueeze(0).shape)


# ---- 2 ----


def middle_squares(pictures, size):
    _, height, width, _ = pictures.shape
    top, left = (height - size) // 2, (width - size) // 2
    squares = pictures[:, top : top + size, left : left + size]
    return squares.permute(0, 3, 1, 2).float() / 255


def try_middle_squares(middle_squares):
    for (n, height, width), size in [((2, 6, 9), 4), ((3, 9, 5), 2), ((1, 5, 6), 5)]:
        pictures = torch.randint(256, (n, height, width, 3), dtype=torch.uint8)
        right = torch.zeros(n, 3, size, size)
        for i in range(size):
            for j in range(size):
                right[:, :, i, j] = pictures[:, (height - size) // 2 + i, (width - size) // 2 + j] / 255
        before = pictures.clone()
        yield f"pictures of shape {tuple(pictures.shape)}, size {size}", middle_squares(pictures, size), right
        yield "pictures itself, afterwards", pictures, before


# ---- 3 ----


def mse(answers, targets):
    if answers.shape != targets.shape:
        raise ValueError("answers and targets have different shapes")
    return ((answers - targets) ** 2).mean()


def repaired(answers, targets):
    return ((answers.reshape(-1)[: len(targets)] - targets) ** 2).mean()


def raised(mse, answers, targets):
    """The exception with which the two were refused. (PyTorch's own, a RuntimeError, goes on to the learner.)"""
    try:
        mse(answers, targets)
    except (ValueError, AssertionError) as error:
        return ValueError if isinstance(error, ValueError) else type(error)  # one of its own kinds is one, too
    return "nothing"


def try_mse(mse):
    for shape in [(3,), (4, 1), (2, 3, 5)]:
        answers, targets = torch.randn(shape, requires_grad=True), torch.randn(shape)
        pairs = list(zip(answers.flatten().tolist(), targets.flatten().tolist(), strict=True))
        right = sum((answer - target) ** 2 for answer, target in pairs) / len(pairs)
        before = answers.detach().clone(), targets.clone()
        loss = mse(answers, targets)
        yield f"mse of two tensors of shape {shape}", loss, torch.tensor(right)
        loss.backward()
        slopes = torch.tensor([2 * (answer - target) / len(pairs) for answer, target in pairs])
        yield f"the slopes that backward() leaves in answers {shape}", answers.grad, slopes.reshape(shape)
        yield "answers itself, afterwards", answers, before[0]
        yield "targets itself, afterwards", targets, before[1]
    different = [((4,), (3,)), ((3, 1), (3,)), ((3,), (3, 1)), ((1, 3), (2, 3)), ((3, 1), (1, 3)), ((3, 1), (3, 4))]
    for first, second in [*different, ((2, 3, 1), (2, 3, 4)), ((3,), ()), ((), (3,))]:
        what = f"what mse raises for the shapes {first} and {second}"
        yield what, raised(mse, torch.randn(first), torch.randn(second)), ValueError


# ---- 4 ----


def walk(f, start, rate, steps):
    x = torch.tensor(start, requires_grad=True)
    for _ in range(steps):
        f(x).backward()
        with torch.no_grad():
            x -= rate * x.grad
        x.grad = None
    return x.item()


class Curve:
    """A function that is shown as its formula."""

    def __init__(self, words, function):
        self.words, self.function = words, function

    def __call__(self, x):
        return self.function(x)

    def __repr__(self):
        return self.words


def try_walk(walk):
    for f, slope, start, rate, steps in [
        (Curve("x ** 2", lambda x: x**2), lambda x: 2 * x, 1.0, 0.1, 2),
        (Curve("x ** 2 + 2 * x", lambda x: x**2 + 2 * x), lambda x: 2 * x + 2, 3.0, 0.2, 30),
        (Curve("(x - 5) ** 2", lambda x: (x - 5) ** 2), lambda x: 2 * (x - 5), 0.0, 0.3, 5),
        (Curve("x ** 4 - x", lambda x: x**4 - x), lambda x: 4 * x**3 - 1, -0.5, 0.05, 7),
        (Curve("x ** 2 + 2 * x", lambda x: x**2 + 2 * x), lambda x: 2 * x + 2, 3.0, 1.02, 10),  # x climbs
        (Curve("x ** 2", lambda x: x**2), lambda x: 2 * x, 1.5, 0.1, 0),
    ]:
        x = start
        for _ in range(steps):
            x -= rate * slope(x)
        yield f"walk down {f} from {start}, {rate=}, {steps=}", walk(f, start, rate, steps), x


# ---- 5 ----


def fit_line(inputs, targets, rate, steps):
    weight = torch.tensor(0.0, requires_grad=True)
    bias = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        answers = weight * inputs.squeeze(1) + bias
        loss = ((answers - targets) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= rate * weight.grad
            bias -= rate * bias.grad
        weight.grad = None
        bias.grad = None
    return weight.item(), bias.item()


def try_fit_line(fit_line):
    for slope, n, rate, steps in [(3, 5, 0.1, 1), (-1, 5, 0.2, 3), (3, 7, 0.3, 60), (3, 1, 0.3, 60), (3, 5, 0.1, 0)]:
        inputs = 2 * torch.rand(n, 1) - 1
        targets = slope * inputs.squeeze(1) - 2 + 0.1 * torch.randn(n)
        before = inputs.clone(), targets.clone()
        points = list(zip(inputs.flatten().tolist(), targets.tolist(), strict=True))
        weight = bias = 0.0
        for _ in range(steps):  # the slopes by the rules of school
            errors = [weight * x + bias - y for x, y in points]
            slopes = (
                sum(2 * e * x for e, (x, _) in zip(errors, points, strict=True)) / n,
                sum(2 * e for e in errors) / n,
            )
            weight, bias = weight - rate * slopes[0], bias - rate * slopes[1]
        pair = [float(number) for number in fit_line(inputs, targets, rate, steps)]
        yield f"weight and bias after {steps=} with {rate=}, number of points: {n}", pair, [weight, bias]
        yield "inputs itself, afterwards", inputs, before[0]
        yield "targets itself, afterwards", targets, before[1]


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="shape",
        section=5,
        answer=(1, 26, 24, 3),
        trial=try_shape,
        hints=(
            "Begin with the brackets. Section 4: a position removes its axis, a range keeps it.",
            "Three axes are left for permute: the colours, the rows and the columns, in this order.",
        ),
        mistakes=(
            Mistake("The last step is missing: unsqueeze(0) adds an axis.", (26, 24, 3)),
            Mistake("The range 4:30 ends before 30.", (1, 27, 24, 3), 4),
            Mistake("::2 takes every other column.", (1, 26, 48, 3), 4),
            Mistake("permute comes before unsqueeze and moves the colours.", (1, 3, 26, 24)),
            Mistake("permute lists the old axes: its first number says which old axis comes first.", (1, 24, 3, 26)),
        ),
    ),
    Exercise(
        number=2,
        name="middle_squares",
        section=7,
        answer=middle_squares,
        trial=try_middle_squares,
        hints=(
            "Three steps: cut rows and columns, bring the axes into a new order, change the numbers.",
            "Cut with `pictures[:, …:…, …:…]`: a range ends before its second number.",
            "(N, H, W, 3) becomes (N, 3, H, W): which old axis comes second? Section 5 lists them for permute.",
        ),
        mistakes=(
            Mistake(
                "reshape keeps the order of the numbers, so the colours are mixed.",
                changed(middle_squares, "permute(0, 3, 1, 2)", "reshape(-1, 3, size, size)"),
                5,
            ),
            Mistake("Rows and columns have changed places.", changed(middle_squares, "0, 3, 1, 2", "0, 3, 2, 1"), 5),
            Mistake(
                "The square is cut out of the corner, not out of the middle.",
                changed(middle_squares, "(height - size) // 2, (width - size) // 2", "0, 0"),
            ),
            Mistake(
                "A range goes from its first number to before its second: the square ends `size` after its beginning.",
                changed(changed(middle_squares, "top + size", "size"), "left + size", "size"),
                4,
            ),
            Mistake(
                "That cuts off the same on both sides, though one row or column more can be left over.",
                changed(
                    changed(middle_squares, "top : top + size", "top : height - top"),
                    "left : left + size",
                    "left : width - left",
                ),
            ),
            Mistake(
                "`//` rounds down. round() does not, and CenterCrop calls round().",
                changed(
                    middle_squares,
                    "(height - size) // 2, (width - size) // 2",
                    "round((height - size) / 2), round((width - size) / 2)",
                ),
            ),
            Mistake(
                "Subtract first, then divide: `height // 2 - size // 2` rounds down twice.",
                changed(
                    middle_squares,
                    "(height - size) // 2, (width - size) // 2",
                    "height // 2 - size // 2, width // 2 - size // 2",
                ),
            ),
            Mistake(
                "The numbers still go up to 255.",
                changed(middle_squares, " / 255", ""),
            ),
            Mistake("White is the byte 255, and must become 1.", changed(middle_squares, "255", "256")),
            Mistake("The colours are still last.", changed(middle_squares, ".permute(0, 3, 1, 2)", "")),
        ),
    ),
    Exercise(
        number=3,
        name="mse",
        section=11,
        answer=mse,
        trial=try_mse,
        hints=(
            "`answers.shape` and `targets.shape` can be compared with `==` or `!=`.",
            "Compare first, and compute only after that. `.item()` would make a Python number, without its record.",
        ),
        mistakes=(
            Mistake("That is the sum, not the mean.", changed(mse, ".mean()", ".sum()")),
            Mistake(
                "The differences must be squared.", changed(mse, "((answers - targets) ** 2)", "(answers - targets)")
            ),
            Mistake(
                "The mean comes last. Before it, differences of both signs must not cancel out.",
                changed(mse, "((answers - targets) ** 2).mean()", "(answers - targets).mean() ** 2"),
            ),
            Mistake(
                "A Python number has no backward(): return the tensor.", changed(mse, ".mean()", ".mean().item()"), 8
            ),
            Mistake(
                "The record of the computation is cut off, so backward() has nothing to walk back through.",
                changed(mse, "(answers - targets)", "(answers.detach() - targets)"),
                8,
            ),
            Mistake(
                "PyTorch stopped here, and not your own line. It stops for some shapes and computes for others.",
                changed(mse, "answers.shape != targets.shape", "False"),
            ),
            Mistake(
                "These shapes differ, though they have the same length, and the same number of numbers.",
                changed(mse, "answers.shape != targets.shape", "len(answers) != len(targets)"),
            ),
            Mistake(
                "The program goes on. A line that begins with `raise` stops it; return or print does not.",
                changed(mse, "raise ValueError", "return ValueError"),
            ),
            Mistake(
                "`assert` is for mistakes of your own. For wrong arguments, raise a ValueError.",
                changed(
                    mse,
                    "if answers.shape != targets.shape:\n"
                    '        raise ValueError("answers and targets have different shapes")',
                    "assert answers.shape == targets.shape",
                ),
            ),
            Mistake("Don't repair the shapes: you can't know what was meant. Refuse.", repaired),
        ),
    ),
    Exercise(
        number=4,
        name="walk",
        section=10,
        answer=walk,
        trial=try_walk,
        hints=(
            "Print x and x.grad in each step of the curve x ** 2. Which way does x go?",
            "After the first step the slopes are too large. Section 9 says why.",
        ),
        mistakes=(
            Mistake(
                "x climbs, and that is only the first of the two mistakes: look at x.grad in the second step.",
                changed(changed(walk, "-=", "+="), "        x.grad = None\n", ""),
            ),
            Mistake("x climbs: a step goes against the slope.", changed(walk, "-=", "+=")),
            Mistake(
                "backward() adds to the slope of the step before.", changed(walk, "        x.grad = None\n", ""), 9
            ),
            Mistake(
                "`x = …` makes a new tensor, and this one records nothing. Change x itself.",
                changed(walk, "x -= rate * x.grad", "x = x - rate * x.grad"),
            ),
            Mistake(
                "The step itself must not be recorded: it stands under `torch.no_grad()`.",
                changed(walk, "with torch.no_grad():", "if True:"),
            ),
            Mistake(
                "x.grad is None here: it is cleared before the step, or `x = …` has made a new tensor.",
                changed(walk, "f(x).backward()", "f(x).backward()\n        x.grad = None"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="fit_line",
        section=10,
        answer=fit_line,
        trial=try_fit_line,
        hints=(
            "Begin with the walk of section 10. Now two tensors require a gradient, and one loss gives both slopes.",
            "What is the shape of weight * inputs + bias? Compare it with that of targets, as section 11 says.",
            "Both numbers take their step from the same backward(). Then both gradients are cleared.",
        ),
        mistakes=(
            Mistake("A column minus a row: every answer meets every target.", changed(fit_line, ".squeeze(1)", ""), 11),
            Mistake("The bias takes no step.", changed(fit_line, "            bias -= rate * bias.grad\n", "")),
            Mistake(
                "The old slopes are still there when backward() adds the new ones.",
                changed(fit_line, "        weight.grad = None\n        bias.grad = None\n", ""),
                9,
            ),
            Mistake("Two gradients must be cleared, not one.", changed(fit_line, "        bias.grad = None\n", ""), 9),
            Mistake("The loss is the mean of the squares, not their sum.", changed(fit_line, ".mean()", ".sum()")),
            Mistake("The loss grows: a step goes against the slope.", changed(fit_line, "-=", "+=")),
            Mistake("Both numbers start at 0.", changed(fit_line, "0.0", "1.0")),
            Mistake(
                "`weight = …` makes a new tensor, and this one records nothing. Change weight and bias themselves.",
                changed(
                    changed(fit_line, "weight -= rate", "weight = weight - rate"), "bias -= rate", "bias = bias - rate"
                ),
            ),
            Mistake(
                "`weight = …` makes a new tensor, and it has no .grad. Change weight and bias themselves.",
                changed(
                    changed(
                        changed(fit_line, "weight -= rate", "weight = weight - rate"),
                        "bias -= rate",
                        "bias = bias - rate",
                    ),
                    "with torch.no_grad():",
                    "if True:",
                ),
            ),
            Mistake(
                "The step itself must not be recorded: it stands under `torch.no_grad()`.",
                changed(fit_line, "with torch.no_grad():", "if True:"),
            ),
        ),
    ),
]
