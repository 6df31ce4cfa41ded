"""Course 19 · TrainGPU — what makes a training step fast, and by how much?

Run   python Course19-TrainGPU/speed.py                 every rung three times, about nine minutes
      python Course19-TrainGPU/speed.py --quick         a look, in half a minute
      python Course19-TrainGPU/speed.py --neighbours 1  beside another program that keeps one core busy
See   outputs/Course19-TrainGPU/speed.png
Read  notes.md, section 9

A ladder from the loop of the video courses to train.py's own, one change a rung. Each rung trains the classic network
for one epoch and then evaluates it, in a process of its own, since threads and memory are settled when a process
starts. The rungs take turns, so that whatever else the machine does meets them all: what counts are ratios in a turn.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from train import Tally, build_model, evaluate, train_one_epoch

from common import UserError
from common.cli import OneLineParser, exit_code, number
from common.cpu import SLEEP_SOON, keep_freed_memory
from common.data import MemoryLoader, open_data
from common.device import DEVICES, pick_device
from common.figures import BLUE, ORANGE, save_figure
from common.paths import output_dir, shown

try:
    import resource
except ImportError:  # on Windows
    resource = None

RUNGS = {  # a short name -> what the rung adds to the one above it
    "videos": "the videos' loop",
    "malloc": "freed memory kept",
    "memory": "pictures in memory, whole batches",
    "channels": "channels_last",
    "sums": "sums instead of .item() and a list",
    "sleep": "waiting threads sleep: train.py",
    "amp": "bfloat16: train.py --amp",
}
BATCH_SIZE = 64
SAME_LOSS = 1e-3  # how far, relatively, a loss may lie from the first rung's where the mathematics is the same


# ---- One rung --------------------------------------------------------------------------------------------------------


def measure(rung: str, file: str, device_name: str, cifar_files: bool) -> dict:
    """One epoch on the pictures in the file, and an evaluation on a fifth of them, after a warm-up."""
    has = set(list(RUNGS)[: list(RUNGS).index(rung) + 1])
    if cifar_files:
        np.ones(31 * 2**20, np.uint8)  # taken and freed at once: glibc learns from it to keep blocks of that size
    if "malloc" in has:
        keep_freed_memory()
    device, _ = pick_device(device_name)
    pictures = np.load(file)  # uint8 (N, 32, 32, 3)
    train_and_evaluate(has, pictures[:640], device)
    return train_and_evaluate(has, pictures, device)


class AsInTheVideos(Dataset):
    """What torchvision's CIFAR10 does with transform=ToTensor(): one picture at a time, through PIL."""

    def __init__(self, pictures: np.ndarray):
        self.pictures, self.to_tensor = pictures, transforms.ToTensor()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.to_tensor(Image.fromarray(self.pictures[i])), i % 10


def train_and_evaluate(has: set[str], pictures: np.ndarray, device: torch.device) -> dict:
    """Losses, pictures a second, the system's share of the time, page faults a step."""
    torch.manual_seed(0)
    model = build_model("cnn-classic", 10, device)
    if "channels" not in has:
        model = model.to(memory_format=torch.contiguous_format)
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    test_pictures = pictures[: len(pictures) // 5]
    train_batches, test_batches = load(pictures, has, device, True), load(test_pictures, has, device, False)
    amp, tally = "amp" in has, Tally()
    each_step = tally.settle if device.type == "cpu" else None  # train.py, too, looks at each step on a CPU

    (system, faults), start = usage(), time.perf_counter()
    if "sums" in has:
        loss, _ = train_one_epoch(model, train_batches, loss_fn, optimizer, schedule, amp, tally, each_step)
    else:
        loss = videos_epoch(model, train_batches, loss_fn, optimizer)
    middle, (system_after, faults_after) = time.perf_counter(), usage()
    if "sums" in has:
        test_loss, _ = evaluate(model, test_batches, loss_fn, amp)
    else:
        test_loss = videos_evaluation(model, test_batches, loss_fn)
    seconds, test_seconds = middle - start, time.perf_counter() - middle
    return {
        "loss": loss,
        "test_loss": test_loss,
        "speed": len(pictures) / seconds,
        "test_speed": len(test_pictures) / test_seconds,
        "system": (system_after - system) / seconds,
        "faults": (faults_after - faults) / (len(pictures) / BATCH_SIZE),
    }


def usage() -> tuple[float, int]:
    """Seconds that this process has spent inside the system, and its page faults so far. Zeros on Windows."""
    if resource is None:
        return 0.0, 0
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_stime, used.ru_minflt


def load(pictures: np.ndarray, has: set[str], device: torch.device, shuffle: bool):
    """Batches of images and labels on the device, in the same order on every rung."""
    if "memory" not in has:
        count, generator = len(pictures), torch.Generator().manual_seed(0)
        order = torch.randperm(count, generator=generator) if shuffle else range(count)  # as MemoryLoader's
        loader = DataLoader(AsInTheVideos(pictures), BATCH_SIZE, sampler=order)
        return ((images.to(device), labels.to(device)) for images, labels in loader)
    images, labels = torch.from_numpy(pictures).permute(0, 3, 1, 2), torch.arange(len(pictures)) % 10
    size = BATCH_SIZE if shuffle else 250
    loader = MemoryLoader(images.to(device), labels.to(device), size, [0.0] * 3, [1.0] * 3, shuffle=shuffle)
    return loader if "channels" in has else ((images.contiguous(), labels) for images, labels in loader)


def videos_epoch(model, batches, loss_fn, optimizer) -> float:
    """The loop of many video courses: a loss and an accuracy read at every step, into lists that grow."""
    losses, accuracies, sizes = [], [], []
    model.train()
    for images, labels in batches:
        outputs = model(images)
        loss = loss_fn(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        accuracies.append((outputs.argmax(1) == labels).float().mean().item())
        sizes.append(len(labels))
    return float(np.average(losses, weights=sizes))  # theirs is the plain mean; this one can be compared


def videos_evaluation(model, batches, loss_fn) -> float:
    """Their test loop, in the same way."""
    losses, accuracies, sizes = [], [], []
    model.eval()
    with torch.no_grad():
        for images, labels in batches:
            outputs = model(images)
            losses.append(loss_fn(outputs, labels).item())
            accuracies.append((outputs.argmax(1) == labels).float().mean().item())
            sizes.append(len(labels))
    return float(np.average(losses, weights=sizes))


# ---- The ladder ------------------------------------------------------------------------------------------------------


def climb(arguments: list[str]) -> dict[str, dict]:
    """One turn: every rung measured once. rung -> what measure() found. UserError where two rungs do different work."""
    turn = {}
    for rung in RUNGS:
        environment = dict(os.environ)
        if list(RUNGS).index(rung) >= list(RUNGS).index("sleep"):
            environment |= SLEEP_SOON
        command = [sys.executable, __file__, "--rung", rung, *arguments]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(f"the rung {rung!r} failed, see above")
        turn[rung] = json.loads(done.stdout)
        for name in ("loss", "test_loss"):
            found, expected = turn[rung][name], turn["videos"][name]
            if rung != "amp" and abs(found / expected - 1) > SAME_LOSS:
                raise UserError(f"{rung} has a {name} of {found}, and the videos' loop {expected}: not the same work")
    return turn


def summarise(turns: list[dict]) -> dict[str, dict]:
    """Medians over the turns; of "times" and "test_times", of the ratios to the videos' loop in the same turn."""
    rows = {}
    for rung in RUNGS:
        rows[rung] = {name: statistics.median(turn[rung][name] for turn in turns) for name in turns[0][rung]}
        for name in ("speed", "test_speed"):
            ratios = [turn[rung][name] / turn["videos"][name] for turn in turns]
            rows[rung][name.replace("speed", "times")] = statistics.median(ratios)
    return rows


def draw(rows: dict[str, dict], title: str) -> Figure:
    """Two bars a rung: how many times as fast as the videos' loop training and evaluation are."""
    figure = Figure(figsize=(8.5, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, name, label, colour in ((-0.19, "times", "training", BLUE), (0.19, "test_times", "evaluation", ORANGE)):
        bars = axes.barh(places + offset, [row[name] for row in rows.values()], 0.36, color=colour, label=label)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(places, [RUNGS[rung] for rung in rows])
    axes.invert_yaxis()
    axes.set(title=title, xlabel="pictures per second, in multiples of the videos' loop")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)
    axes.legend(frameon=False, loc="upper right")
    return figure


def run(argv: list[str] | None) -> int:
    """Measure one rung and print it as JSON (--rung), or climb the ladder, print the table and draw it."""
    parser = OneLineParser(__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", default=False, help="1,280 pictures and one turn, for a look")
    add("--turns", type=number(int, 1), help="how often to climb the ladder (default: 3)")
    add("--pictures", metavar="N", type=number(int, 64), help="in an epoch (default: 50,000)")
    add("--neighbours", metavar="N", type=number(int, 0), default=0, help="processes that keep a core busy meanwhile")
    add("--device", choices=DEVICES, default="auto", help="where to compute (default: auto)")
    add("--cifar-files", action="store_true", default=False, help="start as a reader of CIFAR-10's files does")
    add("--rung", choices=list(RUNGS), help="one rung alone, in this process (with --file; for the program's own use)")
    add("--file", help=argparse.SUPPRESS)
    options = vars(parser.parse_args(argv))
    if "rung" in options:
        how = (options.get(name) for name in ("rung", "file", "device", "cifar_files"))
        print(json.dumps(measure(*how)))
        return 0

    pictures = options.get("pictures", 1_280 if options["quick"] else 50_000)
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options["neighbours"])]
    turns = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npy"
        np.save(file, np.resize(open_data("drawn", "train").data, (pictures, 32, 32, 3)))  # repeated as often as needed
        arguments = ["--file", str(file), "--device", options["device"]] + ["--cifar-files"] * options["cifar_files"]
        try:
            for turn in range(options.get("turns", 1 if options["quick"] else 3)):
                turns.append(climb(arguments))
                print(f"turn {turn + 1}: videos' loop {turns[-1]['videos']['speed']:,.0f} pictures/s", file=sys.stderr)
        finally:
            for neighbour in neighbours:
                neighbour.kill()
    rows = summarise(turns)
    print(f"{'':36} training                               evaluation")
    print(f"{'':36} pictures/s  times  system  faults/step  pictures/s  times     loss")
    for rung, row in rows.items():
        print(
            f"{RUNGS[rung]:36} {row['speed']:10,.0f} {row['times']:6.2f} {row['system']:7.0%} {row['faults']:12,.0f} "
            f"{row['test_speed']:11,.0f} {row['test_times']:6.2f} {row['loss']:8.5f}"
        )
    device, described = pick_device(options["device"])
    where = f"{torch.get_num_threads()} CPU threads" if device.type == "cpu" else "a GPU"
    path = output_dir("Course19-TrainGPU") / "speed.png"
    save_figure(draw(rows, f"one epoch of {pictures:,} pictures, classic network, {where}"), path)
    print(f"{described}\nbar chart: {shown(path)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error where an option is wrong or two rungs do different work."""
    return exit_code("speed.py", lambda: run(argv))


if __name__ == "__main__":
    sys.exit(main())
