"""Course 16 · ModifyNN — how much does transfer help, and with how many pictures?

Run   python Course16-ModifyNN/transfer_helps.py              25 minutes
      python Course16-ModifyNN/transfer_helps.py --ants-bees  5 minutes
      python Course16-ModifyNN/transfer_helps.py --quick      half a minute
See   outputs/Course16-ModifyNN/transfer.png and .json
Read  notes.md, section 9 and "Measured"

The same network, ResNet-20, learns the same task in four ways, with more and
more pictures of each class. Five times each: a seed chooses the pictures, the
random weights and the order. Where the CPU has bfloat16 instructions, training
the whole network uses them, as train.py --amp does: that is faster.
"""

import json
import re
import sys
import time
from datetime import date
from statistics import mean

import torch
import torchvision
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from common import UserError
from common.data import ants_bees, in_memory, open_data
from common.device import has_fast_bfloat16
from common.models import make_model
from common.paths import atomic_write, output_dir, shown
from common.pretrained import load_course_network
from trainer.cli import OneLineParser, number, run_cli
from trainer.plots import save_figure

WAYS = {  # -> colour; "trained weights" are those of the course's network
    "fine-tuned": "#0072B2",
    "head on trained weights": "#56B4E9",
    "from scratch": "#D55E00",
    "head on random weights": "#999999",
}
FINE_TUNED, FROZEN, SCRATCH, RANDOM = WAYS
COUNTS = {False: [1, 3, 10, 30, 100, 300], True: [3, 10, 30, 60, 120]}  # --ants-bees -> pictures of each class
EPOCHS = {
    1: 100,
    3: 60,
    10: 30,
    30: 20,
    60: 25,
    100: 12,
    120: 25,
    300: 8,
}  # pictures of each class -> how often each is seen
# The highest learning rate of a run. Seed 100, ten drawings of each class, 600 of the test drawings: fine-tuned with
# 0.005, 0.02 and 0.06: 54.8, 55.3 and 37.3 % right; from scratch with 0.03, 0.1 and 0.3: 17.8, 17.5 and 16.2 %.
HIGHEST_RATE = {FINE_TUNED: 0.02, SCRATCH: 0.1}
device = torch.device("cpu")


def some_of_each(labels: Tensor, count: int, seed: int) -> Tensor:
    """The indices of `count` pictures of each class, or all where there are fewer, chosen at random."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return torch.cat([order[labels[order] == label][:count] for label in labels.unique()])


def train_everything(model: nn.Module, images: Tensor, labels: Tensor, epochs: int, highest_rate: float) -> None:
    """SGD with momentum; the learning rate rises to the highest, then falls (Course 15). No augmentation."""
    model.train()
    batch_size = 20 if len(labels) <= 1000 else 64
    batches = -(-len(labels) // batch_size)
    optimizer = torch.optim.SGD(model.parameters(), highest_rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, highest_rate, total_steps=epochs * batches)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).tensor_split(batches):  # of almost the same size each
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16(device)):
                loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def train_head(head: nn.Linear, features: Tensor, labels: Tensor, steps: int = 300) -> None:
    """As in the lesson's section 7, with more steps, for those with many pictures."""
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(features), labels).backward()
        optimizer.step()


@torch.no_grad()
def features_of(model: nn.Module, images: Tensor) -> Tensor:
    """What arrives at the head of a ResNet-20: (N, 3, H, W) -> (N, 64)."""
    parts = [model.stages(model.stem(part)).mean(dim=(2, 3)) for part in images.split(100)]
    return torch.cat(parts)


@torch.no_grad()
def accuracy_of(model: nn.Module, features: Tensor, labels: Tensor) -> float:
    return (model.fc(features).argmax(dim=1) == labels).double().mean().item()


def learn(way: str, images: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    """A network that has learned these pictures in one of the WAYS, with a head for their classes. In eval mode."""
    num_classes = len(labels.unique())
    if way in (FINE_TUNED, FROZEN):
        model = load_course_network().trained.model
        model.fc = nn.Linear(model.fc.in_features, num_classes)
    else:
        model = make_model("resnet20", num_classes).eval()
    if way != SCRATCH:
        train_head(model.fc, features_of(model, images), labels)
    if way in HIGHEST_RATE:
        train_everything(model, images, labels, epochs, HIGHEST_RATE[way])
    return model


def as_text(measured: dict) -> str:
    """JSON in which the accuracies of all seeds stand in one line."""
    return re.sub(r"\n +(?=[\d\]])", "", json.dumps(measured, indent=1)) + "\n"


def draw_line(axes: Axes, way: str, by_count: dict[str, list[float]]) -> None:
    """The mean of the seeds over the pictures of each class, in a band from the worst seed to the best. In per cent."""
    counts = [int(count) for count in by_count]
    rows = [[100 * share for share in shares] for shares in by_count.values()]
    axes.fill_between(counts, [min(row) for row in rows], [max(row) for row in rows], color=WAYS[way], alpha=0.2, lw=0)
    axes.plot(counts, [mean(row) for row in rows], "o-", color=WAYS[way], lw=2.5, markersize=6, label=way)


def draw(measured: dict) -> Figure:
    """Above, the accuracy of each way; below, what trained weights gain over "from scratch" with the same seed."""
    figure = Figure(figsize=(9, 7.6), dpi=100, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    accuracies = measured["accuracies"]
    for way, by_count in accuracies.items():
        draw_line(above, way, by_count)
    for way in (FINE_TUNED, FROZEN):
        pairs = {count: zip(accuracies[way][count], accuracies[SCRATCH][count], strict=True) for count in by_count}
        draw_line(below, way, {count: [one - other for one, other in rows] for count, rows in pairs.items()})
    below.axhline(0, color=WAYS[SCRATCH], lw=2.5)

    above.set_title(f"ResNet-20 learns {measured['what']} in four ways", fontsize=15, loc="left")
    above.set_ylabel("right, in %", fontsize=14)
    above.legend(frameon=False, fontsize=13)
    below.set_ylabel("gain over scratch,\nin points", fontsize=14)
    below.set_xlabel("pictures of each class to learn from", fontsize=14)
    below.set_xscale("log")
    below.set_xticks([int(count) for count in by_count], by_count)
    below.minorticks_off()
    for axes in (above, below):
        axes.tick_params(labelsize=13)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def run(argv: list[str] | None) -> int:
    """Measure, print, draw. 0."""
    parser = OneLineParser(__doc__)
    parser.add_argument("--ants-bees", action="store_true", help="learn ants and bees in place of the ten drawn kinds")
    parser.add_argument("--image-size", type=number(int, 8, 224), help="pixels of ants and bees (32)")
    parser.add_argument("--counts", type=int, choices=EPOCHS, nargs="+", help="only so many pictures of each class")
    parser.add_argument("--seeds", type=number(int, 1), help="how often each (5)")
    parser.add_argument("--quick", action="store_true", help="a trial: seen twice, two counts, 200 pictures to test")
    parser.set_defaults(ants_bees=False, image_size=32, counts=None, seeds=5, quick=False)
    options = parser.parse_args(argv)
    if options.image_size != 32 and not options.ants_bees:
        raise UserError("the drawings have 32 pixels: use --image-size with --ants-bees")

    if options.ants_bees:
        sets, name, what = (ants_bees("train"), ants_bees("val")), "ants-bees", "ants and bees"
    else:
        sets, name, what = (open_data("drawn", "train"), open_data("drawn", "test")), "", "ten kinds of drawings"
    (images, labels), (test_images, test_labels) = (in_memory(dataset, options.image_size) for dataset in sets)
    if options.quick:
        test_images, test_labels = test_images[-200:], test_labels[-200:]
    known = load_course_network().trained
    center, spread = (torch.tensor(numbers).view(3, 1, 1) for numbers in (known.mean, known.std))
    images, test_images = (images / 255 - center) / spread, (test_images / 255 - center) / spread
    counts = options.counts or COUNTS[options.ants_bees][: 2 if options.quick else None]
    most = labels.bincount().min().item()
    if max(counts) > most:
        raise UserError(f"there are {most} pictures of a class, not {max(counts)}: choose smaller --counts")

    accuracies = {way: {} for way in WAYS}
    for count in sorted(set(counts)):
        for way in WAYS:
            start, shares = time.perf_counter(), []
            for seed in range(options.seeds):
                mine = some_of_each(labels, count, seed)
                torch.manual_seed(seed)
                model = learn(way, images[mine], labels[mine], 2 if options.quick else EPOCHS[count])
                shares.append(accuracy_of(model, features_of(model, test_images), test_labels))
            accuracies[way][str(count)] = [round(share, 4) for share in shares]
            numbers = f"{mean(shares):5.1%} ({min(shares):.1%} to {max(shares):.1%})"
            print(f"{count:5,}  {way:25}{numbers:25}{time.perf_counter() - start:5.0f} s", flush=True)

    measured = {
        "what": what,
        "date": str(date.today()),
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "bfloat16": has_fast_bfloat16(device),
        "test pictures": len(test_labels),
        "accuracies": accuracies,
    }
    parts = ["transfer", name, str(options.image_size) if name else "", "quick" if options.quick else ""]
    file = output_dir("Course16-ModifyNN") / f"{'-'.join(filter(None, parts))}.json"
    with atomic_write(file) as beside:
        beside.write_text(as_text(measured), encoding="utf-8")
    save_figure(draw(measured), file.with_suffix(".png"))
    print(f"saved {shown(file)} and {file.with_suffix('.png').name}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error where an option is wrong."""
    return run_cli("transfer_helps.py", lambda: run(argv))


if __name__ == "__main__":
    sys.exit(main())
