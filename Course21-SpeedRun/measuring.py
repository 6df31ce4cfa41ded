"""Course 21 · SpeedRun — what a measurement needs and the lesson does not: options, pictures, machine, file."""

import dataclasses
import datetime
import json
import platform
import shlex
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from common import UserError
from common.data import mean_and_std, resolve_data, stratified
from common.device import DEVICES, cpu_capability, pick_device
from common.models import count_parameters
from common.paths import atomic_write, make_folder, output_dir, shown
from trainer.cli import OneLineParser, number, run_cli
from trainer.pictures import read_pictures

DEFAULTS = {"data": "auto", "runs": 25, "epochs": None, "width": 64, "limit": None, "device": "auto", "out": None}
QUICK = {"runs": 2, "epochs": 2, "width": 8, "limit": 320}
QUICK_TEST = 100  # test pictures of --quick


class Ladder(NamedTuple):
    """What speedrun.py has to be measured."""

    description: str  # for --help
    adds: dict[str, str]  # name of a rung -> what it adds
    recipe_of: Callable  # (rung, device, number of training pictures) -> settings
    build: Callable  # (recipe, width, number of classes, device) -> network
    run_once: Callable  # (network, recipe, pictures, seed) -> accuracy (0…1) and seconds


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given. A CPU always has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def parse(ladder: Ladder, argv: list[str] | None) -> dict:
    """The options, with their defaults; "rungs" is None where none was named."""
    parser = OneLineParser(ladder.description)
    add = parser.add_argument
    add("--quick", action="store_true", default=False, help="few pictures, a small network: does every rung run?")
    add("--data", help="auto: the real CIFAR-10 if it is in data/, else drawn (default) | drawn | cifar10 | FOLDER")
    add("--rungs", nargs="+", choices=list(ladder.adds), metavar="RUNG", help=f"only these: {', '.join(ladder.adds)}")
    add("--runs", metavar="N", type=number(int, 1), help="of each rung, with seeds 1…N (default: 25)")
    add("--epochs", type=number(float, 0.1, 1000), help="of each run (default: the rung's)")
    add("--width", metavar="N", type=number(int, 1, 1024), help="channels of the first 3x3 convolution (default: 64)")
    add("--limit", metavar="N", type=number(int, 32), help="only N training pictures, classes balanced")
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add("--out", metavar="FILE", help="what was measured; rungs that are in it stay (default: under outputs/)")
    typed = vars(parser.parse_args(argv))
    return DEFAULTS | {"rungs": None} | (QUICK if typed["quick"] else {}) | typed


def read(options: dict, device: torch.device) -> tuple[dict, int]:
    """All pictures on the device, as bytes (N, H, W, 3), with what normalises them; and the number of classes."""
    wanted = {"data": options["data"], "image_size": 32}
    classes, images, labels, test_images, test_labels = read_pictures(wanted, device)
    used = stratified(labels, options["limit"] or len(labels), seed=0)
    tested = stratified(test_labels, QUICK_TEST if options["quick"] else len(test_labels), seed=0)
    if len(used) < 32:
        raise UserError(f"{len(used)} training pictures are too few: 32 are needed")
    mean, std = (torch.tensor(values, device=device) for values in mean_and_std(images[used]))
    tensors = {"images": images[used], "labels": labels[used]}
    tensors |= {"test images": test_images[tested], "test labels": test_labels[tested]}
    for name in ("images", "test images"):
        tensors[name] = tensors[name].permute(0, 2, 3, 1).contiguous()
    pictures = {name: tensor.to(device) for name, tensor in tensors.items()} | {"mean": mean, "std": std}
    print(f"data: {options['data']} ({len(used):,} train, {len(tested):,} test; {len(classes)} classes)")
    return pictures, len(classes)


def setting_of(options: dict, device: torch.device, pictures: dict) -> dict:
    """What must be the same for all rungs of a file: machine, versions, pictures, width."""
    if device.type == "cuda":
        where = {"device": torch.cuda.get_device_name(device), "cuda": torch.version.cuda}
        where["cudnn"] = torch.backends.cudnn.version()
    else:
        where = {"device": device.type, "instructions": cpu_capability(), "threads": torch.get_num_threads()}
    where |= {"torch": torch.__version__, "python": platform.python_version()}
    data = options["data"] if options["data"] in ("drawn", "cifar10") else "a folder"
    counts = {"train": len(pictures["labels"]), "test": len(pictures["test labels"])}
    return where | {"data": data, **counts, "width": options["width"]}


def load_rows(path: Path, setting: dict) -> dict[str, dict]:
    """The rungs that were measured before, by name. UserError where the file is no such file, or of another setting."""
    if not path.exists():
        return {}
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        before, rows = saved["setting"], saved["rungs"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{shown(path)} is no file of this program: choose another --out") from None
    if differ := sorted(key for key in {*before, *setting} if before.get(key) != setting.get(key)):
        what = ", ".join(f"{key} {before.get(key)}" for key in differ)
        raise UserError(f"{shown(path)} was measured with {what}: delete it, or choose another --out")
    return rows


def row_of(accuracies: list[float], seconds: list[float]) -> dict:
    """Mean accuracy (0…1) with its standard error (None for a single run), and the median of the seconds."""
    error = statistics.stdev(accuracies) / len(accuracies) ** 0.5 if len(accuracies) > 1 else None
    row = {"runs": len(accuracies), "accuracy": statistics.fmean(accuracies), "standard_error": error}
    return row | {"seconds": statistics.median(seconds), "accuracies": accuracies, "all_seconds": seconds}


def line_of(rung: str, adds: str, row: dict) -> str:
    """A row as it is printed."""
    error = "" if row["standard_error"] is None else f"± {row['standard_error']:.2%}"
    return f"{rung:10}{adds:39}{row['accuracy']:7.2%} {error:8}{row['seconds']:10.2f} s"


def command_of(argv: list[str]) -> str:
    """What was typed, without the names of somebody's folders."""
    words = ["python", "Course21-SpeedRun/speedrun.py"]
    for before, word in zip(["", *argv], argv, strict=False):
        option, joined, value = word.partition("=") if word.startswith("--") else (before, "", word)
        place = {"--data": "FOLDER", "--out": "FILE"}.get(option)
        if place and value and value not in ("auto", "drawn", "cifar10"):
            word = f"{option}={place}" if joined else place
        words.append(word)
    return shlex.join(words)


def climb(ladder: Ladder, argv: list[str] | None) -> int:
    """Measure rung after rung; the file is written after each, so that a stop loses one rung at most."""
    options = parse(ladder, argv)
    device, described = pick_device(options["device"])
    if device.type == "cpu" and not options["quick"] and not options["rungs"]:
        raise UserError("the whole ladder takes a CPU days: type --quick, or name --rungs and the number of --runs")
    options["data"] = resolve_data(options["data"])
    name = "quick.json" if options["quick"] else "ladder.json"
    path = Path(options["out"]).expanduser() if options["out"] else output_dir("Course21-SpeedRun") / name
    make_folder(path.parent)
    torch.backends.cudnn.benchmark = True  # the run that is not counted finds the fastest kernel for each size
    print(described)
    pictures, num_classes = read(options, device)
    setting = setting_of(options, device, pictures)
    rows = {} if options["quick"] and not options["out"] else load_rows(path, setting)
    command = command_of(sys.argv[1:] if argv is None else argv)

    def recipe_of(rung: str):
        recipe = ladder.recipe_of(rung, device, len(pictures["labels"]))
        return dataclasses.replace(recipe, epochs=options["epochs"] or recipe.epochs)

    names = list(ladder.adds)
    counted = f"accuracy, {options['runs']} run{'s' if options['runs'] > 1 else ''}"
    print(f"\n{'rung':10}{'adds to the rungs above it':39}{counted:17}   seconds")
    for rung in options["rungs"] or names:
        recipe = recipe_of(rung)
        if rung != names[0] and recipe == recipe_of(names[names.index(rung) - 1]):
            print(f"{rung:10}left out: nothing that this device could do with it")
            continue
        torch.manual_seed(0)
        network = ladder.build(recipe, options["width"], num_classes, device)
        if device.type != "cpu":
            ladder.run_once(network, recipe, pictures, seed=0)  # compiles, and fills the caches; not counted
        runs = [ladder.run_once(network, recipe, pictures, seed) for seed in range(1, options["runs"] + 1)]
        row = row_of(*(list(values) for values in zip(*runs, strict=True)))
        print(line_of(rung, ladder.adds[rung], row))
        row |= {"adds": ladder.adds[rung], "recipe": dataclasses.asdict(recipe), "command": command}
        row |= {"parameters": count_parameters(network), "date": datetime.date.today().isoformat()}
        rows[rung] = row
        in_order = {"setting": setting, "rungs": {name: rows[name] for name in names if name in rows}}
        with atomic_write(path) as beside:
            beside.write_text(json.dumps(in_order, indent=1) + "\n", encoding="utf-8")
    print(f"\nmeasured: {shown(path)}")
    return 0


def main(ladder: Ladder, argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error for what the user can mend; 130 after Ctrl-C."""
    if sys.stdout is sys.__stdout__:
        sys.stdout.reconfigure(line_buffering=True)  # into a file, too, each line is written when it is printed
    return run_cli("speedrun.py", lambda: climb(ladder, argv))
