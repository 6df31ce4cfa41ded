"""Course 02 · TensorBoard: the answers, how they are judged, and the mistakes that people make."""

import functools
import io
import shutil
import tempfile
import threading
from pathlib import Path

import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter
from torchvision.transforms.v2.functional import pil_to_tensor
from torchvision.utils import make_grid

from practice import Exercise, Mistake, changed


def read(run):
    """All that was logged for a run (a Path), as in the lesson's cell 1."""
    everything = {"scalars": 0, "images": 0}
    return EventAccumulator(str(run), size_guidance=everything).Reload()


def curve(log, tag):
    """The points (step, value) under a tag; an empty list where there is no such curve."""
    return [(point.step, point.value) for point in log.Scalars(tag)] if tag in log.Tags()["scalars"] else []


def pictures(log, tag):
    """The pictures under a tag by their steps, each (3, H, W) in bytes."""
    logged = log.Images(tag) if tag in log.Tags()["images"] else []
    return {point.step: pil_to_tensor(Image.open(io.BytesIO(point.encoded_image_string))) for point in logged}


def picture_steps(log, tag):
    """The steps of the pictures under a tag, in order; one stands twice where two pictures have it."""
    return sorted(point.step for point in log.Images(tag)) if tag in log.Tags()["images"] else []


def open_writers():
    """The threads of the writers that are not closed: what they hold back can be lost."""
    return [thread for thread in threading.enumerate() if "AsyncWriter" in type(thread).__name__]


def left_open(before):
    """How many writers were opened and not closed. Their threads end here, before their folder is gone."""
    left = [thread for thread in open_writers() if thread not in before]
    for thread in left:
        thread.stop()
        thread.join()
    return len(left)


# ---- 1 ----


def try_shape(shape):
    yield "the shape", shape, tuple(make_grid(torch.zeros(10, 3, 20, 30), nrow=4, padding=3).shape)


# ---- 2 ----


def log_picture(run, picture, step):
    with SummaryWriter(run) as writer:
        writer.add_image("ants/first", (picture + 1) / 2, step)


def try_log_picture(log_picture):
    steps = []
    with tempfile.TemporaryDirectory() as folder:  # one run, to which all of them belong
        for step, height, width, darkest, lightest in [(0, 4, 7, 60, 200), (3, 5, 3, 0, 254), (2, 3, 2, 150, 250)]:
            right = torch.randint(darkest, lightest + 1, (3, height, width), dtype=torch.uint8)
            picture = (right + 0.25) / 127.5 - 1  # a quarter of a byte more: rounded or cut off, the same byte arrives
            original, before = picture.clone(), open_writers()
            log_picture(Path(folder), picture, step)
            yield "writers that are still open afterwards", left_open(before), 0
            log = read(folder)
            steps.append(step)
            yield "the steps of the pictures under ants/first", picture_steps(log, "ants/first"), sorted(steps)
            arrived = pictures(log, "ants/first")
            yield f"the bytes that arrive, from a picture {height}x{width}", arrived[step], right
            yield "picture itself, afterwards", picture, original


# ---- 3 ----


def log_epoch(writer, epoch, loss, images):
    writer.add_scalar("loss", loss, epoch)
    writer.add_image("images", make_grid(images, nrow=4), epoch)


def try_log_epoch(log_epoch):
    safe = torch.arange(20, 230, dtype=torch.uint8)
    safe = safe[(safe.float() / 255 * 255).to(torch.uint8) == safe]  # those that also arrive after a division by 255
    epochs = {1: 2.515625, 2: 1.75, 14: 1.5}
    images = {epoch: safe[torch.randint(len(safe), (5 + epoch, 3, 4, 6))] for epoch in epochs}
    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for epoch, loss in epochs.items():
                log_epoch(writer, epoch, loss, images[epoch].clone())
        log = read(folder)
    yield "the points (step, value) of the curve", curve(log, "loss"), list(epochs.items())
    yield "the steps of the pictures", picture_steps(log, "images"), list(epochs)
    arrived = pictures(log, "images")
    for epoch in epochs:
        yield f"the bytes of the grid at step {epoch}", arrived[epoch], make_grid(images[epoch], nrow=4)


# ---- 4 ----


def ranking(folder, tag):
    ends = {}
    for run in folder.iterdir():
        log = read(run)
        if tag in log.Tags()["scalars"]:
            values = [point.value for point in log.Scalars(tag)][-3:]
            ends[run.name] = sum(values) / len(values)
    return sorted(ends, key=ends.get)


def plain(names):
    """The names as Python's own texts, as they print; NumPy has its own kind. What is no list stays as it came."""
    if not isinstance(names, list | tuple):
        return names
    return [str(name) if isinstance(name, str) else name for name in names]


def by_their_ends(folder, tag):
    ends = {}
    for run in folder.iterdir():
        log = read(run)
        if tag in log.Tags()["scalars"]:
            values = [point.value for point in log.Scalars(tag)][-3:]
            ends[sum(values) / len(values)] = run.name
    return [ends[end] for end in sorted(ends)]


RUNS = {  # from the best to the worst by "loss": the means of the last three are 1, 2, 2.75, 3.5 and 4
    "rate=0.3": [9.0, 8.0, 2.75, 0.125, 0.125],
    "rate=0.02": [0.09375, 9.0, 8.0, 1.5, 2.0, 2.5],
    "adam": [3.5, 2.0],
    "small": [3.75, 3.5, 3.25],
    "big": [0.0625, 8.5, 3.25, 0.25],
}


@functools.cache
def logged_runs():
    """The one log file of each run: {name: content}."""
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, values in {**RUNS, "pictures": []}.items():
            with SummaryWriter(Path(folder, name)) as writer:
                for step, value in enumerate(values):
                    writer.add_scalar("loss", value, 10 * step)
                    if name.startswith("rate"):
                        writer.add_scalar("error", -value, 10 * step)
                if name == "pictures":  # it has no "loss"
                    writer.add_scalar("loss/val", 0.5, 0)
                    writer.add_scalar("val/loss", 0.5, 0)
                writer.add_scalar("seconds", 1.0, 0)
            (path,) = Path(folder, name).iterdir()
            files[name] = path.name, path.read_bytes()
    return files


def try_ranking(ranking):
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, content) in logged_runs().items():
            Path(folder, name).mkdir()
            Path(folder, name, file).write_bytes(content)
        yield "the ranking by loss", plain(ranking(Path(folder), "loss")), list(RUNS)
        yield "the ranking by error", plain(ranking(Path(folder), "error")), ["rate=0.02", "rate=0.3"]
        names = sorted(plain(ranking(Path(folder), "seconds")))
        yield "the sorted names in the ranking by seconds, the same in all runs", names, sorted([*RUNS, "pictures"])
        yield "the ranking by a tag that no run has", ranking(Path(folder), "speed"), []


# ---- 5 ----


def log_walks(folder, f, start, rates, steps):
    shutil.rmtree(folder, ignore_errors=True)
    for rate in rates:
        x = torch.tensor(start, requires_grad=True)
        with SummaryWriter(folder / f"rate={rate}") as writer:
            writer.add_scalar("walk/x", x.item(), 0)
            for step in range(1, steps + 1):
                f(x).backward()
                with torch.no_grad():
                    x -= rate * x.grad
                x.grad = None
                writer.add_scalar("walk/x", x.item(), step)


class Curve:
    """A function that is shown as its formula."""

    def __init__(self, words, function):
        self.words, self.function = words, function

    def __call__(self, x):
        return self.function(x)

    def __repr__(self):
        return self.words


def try_log_walks(log_walks):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "logs")
        for f, slope, start, rates, steps in [
            (Curve("x ** 2 + 2 * x", lambda x: x**2 + 2 * x), lambda x: 2 * x + 2, 3.0, [0.1, 0.7], 3),
            (Curve("(x - 5) ** 2", lambda x: (x - 5) ** 2), lambda x: 2 * x - 10, 1.0, [0.7, 0.25, 0.5], 2),
        ]:
            given, before = list(rates), open_writers()
            log_walks(folder, f, start, given, steps)
            yield "writers that are still open afterwards", left_open(before), 0
            yield "rates itself, afterwards", given, rates
            runs = sorted({path.parent.relative_to(folder).as_posix() for path in folder.rglob("*tfevents*")})
            yield f"the runs with {rates=}", runs, sorted(f"rate={rate}" for rate in rates)
            for rate in rates:
                walk = [start]
                for _ in range(steps):
                    walk.append(walk[-1] - rate * slope(walk[-1]))
                log = read(folder / f"rate={rate}")
                tags = log.Tags()["scalars"]
                yield f"the tags with {rate=}", ["walk/x"] if "walk/x" in tags else tags, ["walk/x"]
                points = curve(log, "walk/x")
                yield f"the points (step, x) with {rate=}, {start=}", points, list(enumerate(walk))


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="shape",
        section=5,
        answer=(3, 72, 135),
        trial=try_shape,
        hints=(
            "Draw it: four pictures stand in a row. How many rows do ten pictures need?",
            "With four pictures in a row there are five lines: three between them, and one at each end.",
        ),
        mistakes=(
            Mistake("The last two pictures have a row of their own.", (3, 49, 135)),
            Mistake("There are lines around the whole, too.", (3, 66, 129)),
            Mistake("Count the lines once more: there is one at each end.", (3, 69, 132)),
            Mistake("The padding stands between the pictures and around the whole.", (3, 60, 120)),
            Mistake("nrow is the number of pictures in a row, not the number of rows.", (3, 95, 102)),
            Mistake("Height comes before width.", (3, 135, 72), 4),
            Mistake("A grid is one picture for PyTorch: the channels come first.", (72, 135, 3), 4),
        ),
    ),
    Exercise(
        number=2,
        name="log_picture",
        section=7,
        answer=log_picture,
        trial=try_log_picture,
        hints=(
            "add_image wants floats from 0 to 1. Where must -1 go, where must 0 go, where must 1 go?",
            "Write with a SummaryWriter in a `with` block, as in section 4: it closes the file at the end.",
        ),
        mistakes=(
            Mistake("Everything below 0 becomes black.", changed(log_picture, "(picture + 1) / 2", "picture")),
            Mistake("-1 is 0 now, but 1 has become 2.", changed(log_picture, "(picture + 1) / 2", "picture + 1")),
            Mistake(
                "-1 must become 0, and not 0.5.",
                changed(log_picture, "(picture + 1) / 2", "picture / 2 + 1"),
            ),
            Mistake(
                "abs() makes black and white the same.", changed(log_picture, "(picture + 1) / 2", "picture.abs()")
            ),
            Mistake(
                "These are floats from 0 to 255: add_image multiplies them by 255 once more.",
                changed(log_picture, "/ 2", "* 127.5"),
            ),
            Mistake(
                "`+=`, `*=` and the like work in place: the picture of the caller has changed.",
                changed(log_picture, "(picture + 1) / 2", "picture.add_(1).div_(2)"),
            ),
            Mistake(
                "Stretching between the darkest and the brightest pixel changes the light of the picture.",
                changed(
                    log_picture, "(picture + 1) / 2", "(picture - picture.min()) / (picture.max() - picture.min())"
                ),
            ),
            Mistake("The step is missing.", changed(log_picture, ", step)\n", ")\n"), 4),
            Mistake(
                "The file is not closed at the end, so some of it may never arrive.",
                changed(log_picture, "with SummaryWriter(run) as writer:", "if writer := SummaryWriter(run):"),
                2,
            ),
        ),
    ),
    Exercise(
        number=3,
        name="log_epoch",
        section=7,
        answer=log_epoch,
        trial=try_log_epoch,
        hints=(
            "Section 2: which three things does add_scalar get?",
            "Bytes arrive as they are. Floats are multiplied by 255. What does .float() change here?",
        ),
        mistakes=(
            Mistake(
                "add_scalar gets a tag, a value and a step; here something is missing.",
                changed(changed(log_epoch, "loss, epoch", "loss"), "images,", "images.float(),"),
                2,
            ),
            Mistake(
                "The curve is right. The pictures are floats from 0 to 255, which add_image multiplies by 255.",
                changed(log_epoch, "images,", "images.float(),"),
            ),
            Mistake(
                "The epoch is the step, and stands behind the value.",
                changed(log_epoch, "loss, epoch", "epoch, loss"),
                2,
            ),
            Mistake(
                "The curve is right. normalize=True stretches the light: the darkest pixel becomes black.",
                changed(log_epoch, "images, nrow=4", "images.float(), nrow=4, normalize=True"),
            ),
            Mistake(
                "That divides the bytes by 256: white becomes a little grey.",
                changed(log_epoch, "images,", "images / 256,"),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="ranking",
        section=3,
        answer=ranking,
        trial=try_ranking,
        hints=(
            "`for run in folder.iterdir():` goes through the runs. run.name is the name, point.value a value.",
            "Make a dictionary of the ends, {name: number}. A list's last three are values[-3:].",
            "`sorted(names, key=…)` sorts by what the function key says of each name.",
        ),
        mistakes=(
            Mistake("That looks at the last value only.", changed(ranking, "[-3:]", "[-1:]")),
            Mistake("That is the mean of the whole curve, not of its end.", changed(ranking, "[-3:]", "")),
            Mistake(
                "That is the lowest point of the curve, which may be chance.",
                changed(
                    ranking,
                    "[-3:]\n            ends[run.name] = sum(values) / len(values)",
                    "\n            ends[run.name] = min(values)",
                ),
            ),
            Mistake("The highest comes first.", changed(ranking, "key=ends.get", "key=ends.get, reverse=True")),
            Mistake("The names are sorted by the alphabet.", changed(ranking, ", key=ends.get", "")),
            Mistake(
                "That is the highest of the last three, not their mean.",
                changed(ranking, "sum(values) / len(values)", "max(values)"),
            ),
            Mistake("A curve with only two values has a mean of two.", changed(ranking, "len(values)", "3")),
            Mistake(
                "A dictionary has one value for each key: if two runs end alike, only one of them is left.",
                by_their_ends,
            ),
            Mistake(
                "Some runs have no curve with this tag. Ask before you read its points.",
                changed(ranking, 'tag in log.Tags()["scalars"]', "True"),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="log_walks",
        section=3,
        answer=log_walks,
        trial=try_log_walks,
        hints=(
            "Two loops: over the rates, and in it over the steps. Where is x made, and where the writer?",
            "Empty the folder once, before the first walk.",
            "The first point is logged before anything moves. That is one point more than there are steps.",
        ),
        mistakes=(
            Mistake(
                "All walks are in one run, so their points make one curve that runs back and forth.",
                changed(log_walks, 'SummaryWriter(folder / f"rate={rate}")', "SummaryWriter(folder)"),
                8,
            ),
            Mistake(
                "The walks of the first call are still there.",
                changed(log_walks, "shutil.rmtree(folder, ignore_errors=True)", "pass"),
                8,
            ),
            Mistake(
                "Each rate empties the folder, so only the last walk is left.",
                changed(
                    changed(log_walks, "    shutil.rmtree(folder, ignore_errors=True)\n", ""),
                    "in rates:\n",
                    "in rates:\n        shutil.rmtree(folder, ignore_errors=True)\n",
                ),
                8,
            ),
            Mistake(
                "The point where the walk starts is missing.",
                changed(log_walks, '            writer.add_scalar("walk/x", x.item(), 0)\n', ""),
            ),
            Mistake(
                "The steps are numbered from 0, but step 0 is where the walk starts.",
                changed(
                    changed(log_walks, '            writer.add_scalar("walk/x", x.item(), 0)\n', ""),
                    "range(1, steps + 1)",
                    "range(steps)",
                ),
            ),
            Mistake(
                "The files are not closed at the end, so some points may never arrive.",
                changed(
                    log_walks,
                    'with SummaryWriter(folder / f"rate={rate}") as writer:',
                    'if writer := SummaryWriter(folder / f"rate={rate}"):',
                ),
                2,
            ),
            Mistake(
                "The gradient of the step before is not cleared.",
                changed(log_walks, "                x.grad = None\n", ""),
                "Course00 9",
            ),
            Mistake(
                "The second walk goes on where the first one ended.",
                changed(
                    changed(log_walks, "        x = torch.tensor(start, requires_grad=True)\n", ""),
                    "    for rate in rates:",
                    "    x = torch.tensor(start, requires_grad=True)\n    for rate in rates:",
                ),
            ),
            Mistake(
                "Two curves share a chart if their tags are the same: the rate belongs in the name of the folder.",
                changed(log_walks, '"walk/x"', 'f"walk/x {rate}"'),
            ),
        ),
    ),
]
