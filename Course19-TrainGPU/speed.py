"""Course 19 · TrainGPU — what makes a training step fast, and by how much?

Run   python Course19-TrainGPU/speed.py           all three times, ten minutes
      python Course19-TrainGPU/speed.py --quick   a look, in half a minute
      python Course19-TrainGPU/speed.py --neighbours 1
                                beside a program that keeps one core busy
See   outputs/Course19-TrainGPU/speed.png
Read  notes.md, section 9

A ladder from the loop of the video courses to train.py's own, one change a
rung. Each rung trains the classic network for one epoch and then evaluates it,
in a process of its own, because threads and memory are settled when a process
starts. The rungs take turns, so that whatever else the machine does meets them
all: what counts are ratios in a turn. Beside them stands the floor: the
network's convolutions and matrix products alone. No trainer can be faster.
Where the CPU has no bfloat16 instructions, the rung that needs them is left
out, because train.py leaves it out, too.
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
from train import EpochMetrics, build_model, evaluate, train_one_epoch

from common import UserError
from common.data import open_data
from common.device import DEVICES, cpu_capability, has_fast_bfloat16, pick_device
from common.paths import output_dir, shown
from trainer.cli import OneLineParser, number, run_cli
from trainer.loader import MemoryLoader
from trainer.plots import BLUE, ORANGE, save_figure
from trainer.startup import SLEEP_SOON, keep_freed_memory

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
FLOORS = {"floor": "its convolutions and products alone", "floor-amp": "the same in bfloat16"}
BATCH_SIZE, TEST_BATCH_SIZE = 64, 250
SAME_LOSS = 1e-3  # how far, relatively, a loss may lie from the first rung's where the mathematics is the same


# ---- One rung --------------------------------------------------------------------------------------------------------


def measure(rung: str, file: str, device_name: str, cifar_files: bool) -> dict:
    """One epoch on the pictures in the file, and an evaluation on a fifth of them, after a warm-up."""
    if rung in FLOORS:
        keep_freed_memory()
        return measure_floor(pick_device(device_name)[0], amp=rung == "floor-amp")
    has = set(list(RUNGS)[: list(RUNGS).index(rung) + 1])
    if cifar_files:
        np.ones(31 * 2**20, np.uint8)  # taken and freed at once: glibc learns from it to keep blocks of that size
    if "malloc" in has:
        keep_freed_memory()
    device, _ = pick_device(device_name)
    pictures = np.load(file)  # uint8 (N, 32, 32, 3)
    train_and_evaluate(has, pictures[:640], device)
    return train_and_evaluate(has, pictures, device)


def measure_floor(device: torch.device, amp: bool, seconds: float = 3.0) -> dict:
    """Pictures a second where nothing is computed but the convolutions and matrix products, forward and backward."""
    speeds = {}
    for name, batch_size in (("speed", BATCH_SIZE), ("test_speed", TEST_BATCH_SIZE)):
        x = torch.rand(batch_size, 3, 32, 32, device=device).to(memory_format=torch.channels_last)
        layers = []
        with torch.no_grad():
            for layer in build_model("cnn-classic", 10, device).model:
                if list(layer.parameters()):
                    layers.append((layer, x.clone()))  # with what this layer gets to see
                x = layer(x)
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for i, (layer, inputs) in enumerate(layers):
                inputs.requires_grad_(name == "speed" and i > 0)  # the pictures need no gradient
                with torch.autocast(device.type, torch.bfloat16, enabled=amp), torch.set_grad_enabled(name == "speed"):
                    outputs = layer(inputs)
                if name == "speed":
                    outputs.backward(outputs.detach())
                    inputs.grad = layer.weight.grad = layer.bias.grad = None
            if device.type == "cuda":
                torch.cuda.synchronize()
            steps += 1
        speeds[name] = steps * batch_size / (time.perf_counter() - start)
    return speeds


class AsInTheVideos(Dataset):
    """What torchvision's CIFAR10 does with transform=ToTensor(): one picture at a time, through PIL."""

    def __init__(self, pictures: np.ndarray):
        self.pictures, self.to_tensor = pictures, transforms.ToTensor()  # on purpose

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
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    test_pictures = pictures[: len(pictures) // 5]
    train_batches, test_batches = load(pictures, has, device, True), load(test_pictures, has, device, False)
    amp, metrics = "amp" in has, EpochMetrics()
    each_step = metrics.sync if device.type == "cpu" else None  # train.py, too, looks at each step on a CPU

    (system, faults), start = usage(), time.perf_counter()
    if "sums" in has:
        loss, _ = train_one_epoch(model, train_batches, loss_fn, optimizer, scheduler, amp, metrics, each_step)
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
    size = BATCH_SIZE if shuffle else TEST_BATCH_SIZE
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


def rungs_here(device: torch.device) -> list[str]:
    """The rungs and floors that mean something on this device."""
    fast = has_fast_bfloat16(device)
    return [rung for rung in (*RUNGS, *FLOORS) if fast or rung not in ("amp", "floor-amp")]


def climb(rungs: list[str], arguments: list[str]) -> dict[str, dict]:
    """One turn: every rung measured once. rung -> what measure() found. UserError where two rungs do different work."""
    turn = {}
    for rung in rungs:
        environment = dict(os.environ)
        if rung in ("sleep", "amp", *FLOORS):
            environment |= SLEEP_SOON
        command = [sys.executable, __file__, "--rung", rung, *arguments]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise UserError(f"the rung {rung!r} failed, see above")
        turn[rung] = json.loads(done.stdout)
        if rung in FLOORS:
            continue
        for name in ("loss", "test_loss"):
            found, expected = turn[rung][name], turn["videos"][name]
            if rung != "amp" and abs(found / expected - 1) > SAME_LOSS:
                raise UserError(f"{rung} has a {name} of {found}, and the videos' loop {expected}: not the same work")
    return turn


def summarise(turns: list[dict]) -> dict[str, dict]:
    """Medians over the turns; "times" and "of_floor" are those of ratios to the same turn's first rung and floor."""
    rows = {}
    for rung in turns[0]:
        rows[rung] = {name: statistics.median(turn[rung][name] for turn in turns) for name in turns[0][rung]}
        floor = "floor-amp" if "amp" in rung else "floor"
        for name in ("speed", "test_speed"):
            ratios = [turn[rung][name] / turn["videos"][name] for turn in turns]
            rows[rung][name.replace("speed", "times")] = statistics.median(ratios)
            if floor in turns[0]:
                shares = [turn[rung][name] / turn[floor][name] for turn in turns]
                rows[rung][name.replace("speed", "of_floor")] = statistics.median(shares)
    return rows


def draw(rows: dict[str, dict], title: str) -> Figure:
    """Two bars a rung: how many times as fast as the videos' loop training and evaluation are."""
    figure = Figure(figsize=(8.5, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, name, label, colour in ((-0.19, "times", "training", BLUE), (0.19, "test_times", "evaluation", ORANGE)):
        bars = axes.barh(places + offset, [row[name] for row in rows.values()], 0.36, color=colour, label=label)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(places, [(RUNGS | FLOORS)[rung] for rung in rows])
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
    add("--rung", choices=[*RUNGS, *FLOORS], help=argparse.SUPPRESS)  # one alone, for the program's own use
    add("--file", help=argparse.SUPPRESS)
    options = vars(parser.parse_args(argv))
    if "rung" in options:
        if not Path(options.get("file", "")).is_file():
            raise UserError("--rung measures the pictures in a --file, which the ladder makes: leave --rung out")
        print(json.dumps(measure(options["rung"], options["file"], options["device"], options["cifar_files"])))
        return 0
    device, described = pick_device(options["device"])

    pictures = options.get("pictures", 1_280 if options["quick"] else 50_000)
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options["neighbours"])]
    turns = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pictures.npy"
        np.save(file, np.resize(open_data("drawn", "train").data, (pictures, 32, 32, 3)))  # repeated as often as needed
        arguments = ["--file", str(file), "--device", options["device"]] + ["--cifar-files"] * options["cifar_files"]
        try:
            for turn in range(options.get("turns", 1 if options["quick"] else 3)):
                turns.append(climb(rungs_here(device), arguments))
                print(f"turn {turn + 1}: videos' loop {turns[-1]['videos']['speed']:,.0f} pictures/s", file=sys.stderr)
        finally:
            for neighbour in neighbours:
                neighbour.kill()
    rows = summarise(turns)
    print(f"{'':36} training            of the  evaluation          of the           system  faults")
    print(f"{'':36} pictures/s  times   floor  pictures/s  times   floor     loss    time  a step")
    for rung, row in rows.items():
        line = f"{(RUNGS | FLOORS)[rung]:36} {row['speed']:10,.0f} {row['times']:6.2f} {row['of_floor']:7.0%} "
        line += f"{row['test_speed']:11,.0f} {row['test_times']:6.2f} {row['test_of_floor']:7.0%}"
        if rung in RUNGS:
            line += f" {row['loss']:8.5f} {row['system']:7.0%} {row['faults']:7,.0f}"
        print(line)
    where = f"{torch.get_num_threads()} CPU threads, {cpu_capability()}" if device.type == "cpu" else "a GPU"
    if "amp" not in rows:
        print(f"bfloat16 is left out: this CPU ({cpu_capability()}) has no instructions for it")
    path = output_dir("Course19-TrainGPU") / "speed.png"
    save_figure(draw(rows, f"one epoch of {pictures:,} pictures, classic network, {where}"), path)
    print(f"{described}\ninstructions: {cpu_capability()}\nbar chart: {shown(path)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error where an option is wrong or two rungs do different work."""
    return run_cli("speed.py", lambda: run(argv))


if __name__ == "__main__":
    sys.exit(main())
