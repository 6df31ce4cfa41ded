"""Course 19 · TrainGPU — what makes a training step fast, and by how much?

Run   python Course19-TrainGPU/speed.py           all three times, ten minutes
      python Course19-TrainGPU/speed.py --quick   a look, in half a minute
      python Course19-TrainGPU/speed.py --neighbours 1
                                beside a program that keeps one core busy
      python Course19-TrainGPU/speed.py --device cuda --turns 1
                                the ladder of a GPU
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

A GPU has a ladder of its own, which goes on where train.py ends: each step is
one CUDA graph (trainer/graphs.py). There an epoch takes less than a second, so
each rung repeats it for some seconds, and the median counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
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
from common.paths import atomic_write, output_dir, shown
from trainer.cli import OneLineParser, number, run_cli
from trainer.graphs import GraphedEpochs, record, warm_up
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
GPU_RUNGS = {
    "videos": "the videos' loop",
    "memory": "pictures on the GPU, whole batches",
    "sums": "sums instead of .item() and a list",
    "channels": "channels_last: train.py --no-amp",
    "amp": "bfloat16: train.py",
    "graph": "a step is one CUDA graph",
    "tried": "cuDNN tries which kernels are fast",
    "compile": "torch.compile: larger kernels",
}
FLOORS = {"floor": "its convolutions and products alone", "floor-amp": "the same in bfloat16"}
BATCH_SIZE, TEST_BATCH_SIZE = 64, 250
SAME_LOSS = 1e-3  # how far, relatively, a loss may lie from the first rung's where the mathematics is the same
ROUNDED_LOSS = 0.02  # and where bfloat16 rounds
LOOK_EVERY = 50  # steps after which train.py reads the losses from a GPU
REPEAT_FOR = {"cpu": 0.0, "cuda": 2.0}  # seconds; at least one epoch
FLOOR_SECONDS = 3.0


# ---- One rung --------------------------------------------------------------------------------------------------------


def measure(rung: str, file: str, device_name: str, cifar_files: bool) -> dict:
    """One epoch on the pictures in the file, and an evaluation on a fifth of them, after a warm-up."""
    if rung in FLOORS:
        keep_freed_memory()
        return measure_floor(pick_device(device_name)[0], amp=rung == "floor-amp")
    device, _ = pick_device(device_name)
    ladder = list(ladder_of(device))
    has = set(ladder[: ladder.index(rung) + 1])
    if cifar_files:
        np.ones(31 * 2**20, np.uint8)  # taken and freed at once: glibc learns from it to keep blocks of that size
    if "malloc" in has:
        keep_freed_memory()
    torch.backends.cudnn.benchmark = "tried" in has
    pictures = np.load(file)  # uint8 (N, 32, 32, 3)
    if "graph" not in has:  # which warms up by itself
        train_and_evaluate(has, pictures[:640], device)
    return train_and_evaluate(has, pictures, device, REPEAT_FOR.get(device.type, 0.0))


def measure_floor(device: torch.device, amp: bool) -> dict:
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
        step = partial(compute_layers, layers, name == "speed", amp)
        if device.type == "cuda":  # one graph, or the launches would be measured
            torch.backends.cudnn.benchmark = True
            warm_up(step)
            step = record(step)
        steps, start = 0, time.perf_counter()
        while time.perf_counter() - start < FLOOR_SECONDS:
            step()
            steps += 1
            if device.type == "cuda" and steps % LOOK_EVERY == 0:
                torch.cuda.synchronize()  # or the GPU would still work when the time is over
        if device.type == "cuda":
            torch.cuda.synchronize()
        speeds[name] = steps * batch_size / (time.perf_counter() - start)
    return speeds


def compute_layers(layers: list, training: bool, amp: bool) -> None:
    """Each layer forward on its input, and backward where it is training."""
    for i, (layer, inputs) in enumerate(layers):
        inputs.requires_grad_(training and i > 0)  # the pictures need no gradient
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=amp), torch.set_grad_enabled(training):
            outputs = layer(inputs)
        if training:
            outputs.backward(outputs.detach())
            inputs.grad = layer.weight.grad = layer.bias.grad = None


class AsInTheVideos(Dataset):
    """What torchvision's CIFAR10 does with transform=ToTensor(): one picture at a time, through PIL."""

    def __init__(self, pictures: np.ndarray):
        self.pictures, self.to_tensor = pictures, transforms.ToTensor()  # on purpose

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.to_tensor(Image.fromarray(self.pictures[i])), i % 10


def train_and_evaluate(has: set[str], pictures: np.ndarray, device: torch.device, repeat_for: float = 0.0) -> dict:
    """Losses of the first epoch, pictures a second, the system's share of the time, page faults a step.

    Epoch and evaluation are each repeated for about so many seconds; the median counts.
    """
    torch.manual_seed(0)
    model = build_model("cnn-classic", 10, device)
    if "channels" not in has:
        model = model.to(memory_format=torch.contiguous_format)
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    amp, test_pictures = "amp" in has, pictures[: len(pictures) // 5]
    batches, test_batches = load(pictures, has, device, True), load(test_pictures, has, device, False)
    if "graph" in has:
        graphed = GraphedEpochs(model, batches, loss_fn, optimizer, amp, compiled="compile" in has)

    def epoch() -> float:
        if "graph" in has:
            return graphed.run()[0]
        if "sums" not in has:
            return videos_epoch(model, batches, loss_fn, optimizer)
        metrics = EpochMetrics()

        def look() -> None:  # as train.py does it
            if device.type == "cpu" or metrics.steps % LOOK_EVERY == 0:
                metrics.sync()

        return train_one_epoch(model, batches, loss_fn, optimizer, scheduler, amp, metrics, look)[0]

    def evaluation() -> float:
        if "sums" not in has:
            return videos_evaluation(model, test_batches, loss_fn)
        return evaluate(model, test_batches, loss_fn, amp)[0]

    system, faults = usage()
    loss, (seconds,) = timed(epoch)
    system_after, faults_after = usage()
    test_loss, test_seconds = timed(evaluation, repeat_for)
    all_seconds = [seconds] if repeat_for <= seconds else timed(epoch, repeat_for)[1]
    return {
        "loss": loss,
        "test_loss": test_loss,
        "speed": len(pictures) / statistics.median(all_seconds),
        "test_speed": len(test_pictures) / statistics.median(test_seconds),
        "system": (system_after - system) / seconds,
        "faults": (faults_after - faults) / (len(pictures) / BATCH_SIZE),
    }


def timed(work, repeat_for: float = 0.0) -> tuple[float, list[float]]:
    """What work() returned the first time, and the seconds of each time, until they add up to so many."""
    answers, seconds = [], []
    while not seconds or sum(seconds) < repeat_for:
        start = time.perf_counter()
        answers.append(work())  # a number, so nothing is left to be computed
        seconds.append(time.perf_counter() - start)
    return answers[0], seconds


def usage() -> tuple[float, int]:
    """Seconds that this process has spent inside the system, and its page faults so far. Zeros on Windows."""
    if resource is None:
        return 0.0, 0
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_stime, used.ru_minflt


def load(pictures: np.ndarray, has: set[str], device: torch.device, shuffle: bool):
    """Batches of images and labels on the device, in the same order on every rung."""
    if "memory" not in has:
        return VideosBatches(pictures, device, shuffle)
    images, labels = torch.from_numpy(pictures).permute(0, 3, 1, 2), torch.arange(len(pictures)) % 10
    size = BATCH_SIZE if shuffle else TEST_BATCH_SIZE
    kind = MemoryLoader if "channels" in has else ChannelsFirst
    return kind(images.to(device), labels.to(device), size, [0.0] * 3, [1.0] * 3, shuffle=shuffle)


class VideosBatches:
    """A DataLoader's batches, moved one by one."""

    def __init__(self, pictures: np.ndarray, device: torch.device, shuffle: bool):
        count, generator = len(pictures), torch.Generator().manual_seed(0)
        order = torch.randperm(count, generator=generator) if shuffle else range(count)  # as MemoryLoader's
        self.loader, self.device = DataLoader(AsInTheVideos(pictures), BATCH_SIZE, sampler=order), device

    def __iter__(self):
        return ((images.to(self.device), labels.to(self.device)) for images, labels in self.loader)


class ChannelsFirst(MemoryLoader):
    """Batches in the memory layout that PyTorch has by default."""

    def prepare(self, *numbers: torch.Tensor) -> torch.Tensor:
        return super().prepare(*numbers).contiguous()


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


def ladder_of(device: torch.device) -> dict[str, str]:
    """The rungs of this kind of device: a short name -> what the rung adds to the one above it."""
    return GPU_RUNGS if device.type == "cuda" else RUNGS


def rungs_here(device: torch.device) -> list[str]:
    """The rungs and floors that mean something on this device."""
    if device.type == "cuda" and not has_fast_bfloat16(device):
        return [rung for rung in GPU_RUNGS if not uses_bfloat16(rung)] + ["floor"]
    fast = has_fast_bfloat16(device)
    return [rung for rung in (*ladder_of(device), *FLOORS) if fast or rung not in ("amp", "floor-amp")]


def uses_bfloat16(rung: str) -> bool:
    """Whether the rung rounds to bfloat16. On a GPU, so do all above it."""
    return rung in ("amp", "floor-amp", "graph", "tried", "compile")


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
            allowed = ROUNDED_LOSS if uses_bfloat16(rung) else SAME_LOSS
            if not abs(found / expected - 1) <= allowed:  # not a number is not the same, either
                raise UserError(f"{rung} has a {name} of {found}, and the videos' loop {expected}: not the same work")
    return turn


def summarise(turns: list[dict]) -> dict[str, dict]:
    """Medians over the turns; "times" and "of_floor" are those of ratios to the same turn's first rung and floor."""
    rows = {}
    for rung in turns[0]:
        rows[rung] = {name: statistics.median(turn[rung][name] for turn in turns) for name in turns[0][rung]}
        floor = "floor-amp" if uses_bfloat16(rung) else "floor"
        for name in ("speed", "test_speed"):
            ratios = [turn[rung][name] / turn["videos"][name] for turn in turns]
            rows[rung][name.replace("speed", "times")] = statistics.median(ratios)
            if floor in turns[0]:
                shares = [turn[rung][name] / turn[floor][name] for turn in turns]
                rows[rung][name.replace("speed", "of_floor")] = statistics.median(shares)
    return rows


def draw(rows: dict[str, dict], names: list[str], title: str) -> Figure:
    """Two bars a rung, with these names: how many times as fast as the videos' loop training and evaluation are."""
    figure = Figure(figsize=(8.5, 4.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows))
    for offset, name, label, colour in ((-0.19, "times", "training", BLUE), (0.19, "test_times", "evaluation", ORANGE)):
        bars = axes.barh(places + offset, [row[name] for row in rows.values()], 0.36, color=colour, label=label)
        axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(places, names)
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
    add("--json", metavar="FILE", help="write the rows there, too")
    add(
        "--rung", choices=list(GPU_RUNGS | RUNGS | FLOORS), help=argparse.SUPPRESS
    )  # one alone, for the program's own use
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
    rows, named = summarise(turns), ladder_of(device) | FLOORS
    print(f"{'':36} training            of the  evaluation          of the           system  faults")
    print(f"{'':36} pictures/s  times   floor  pictures/s  times   floor     loss    time  a step")
    for rung, row in rows.items():
        line = f"{named[rung]:36} {row['speed']:10,.0f} {row['times']:6.2f} {row['of_floor']:7.0%} "
        line += f"{row['test_speed']:11,.0f} {row['test_times']:6.2f} {row['test_of_floor']:7.0%}"
        if rung not in FLOORS:
            line += f" {row['loss']:8.5f} {row['system']:7.0%} {row['faults']:7,.0f}"
        print(line)
    where = f"{torch.get_num_threads()} CPU threads, {cpu_capability()}"
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    if "amp" not in rows:
        here = f"this CPU ({cpu_capability()})" if device.type == "cpu" else "this GPU"
        print(f"bfloat16 is left out: {here} has no instructions for it")
    path = output_dir("Course19-TrainGPU") / "speed.png"
    title = f"one epoch of {pictures:,} pictures, classic network, {where}"
    save_figure(draw(rows, [named[rung] for rung in rows], title), path)
    if "json" in options:
        with atomic_write(Path(options["json"])) as beside:
            beside.write_text(json.dumps({"pictures": pictures, "rows": rows, "names": named}, indent=1))
    print(f"{described}\ninstructions: {cpu_capability()}\nbar chart: {shown(path)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error where an option is wrong or two rungs do different work."""
    return run_cli("speed.py", lambda: run(argv))


if __name__ == "__main__":
    sys.exit(main())
