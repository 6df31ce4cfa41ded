"""Test and measure on a GPU, and write Course19-TrainGPU/measured/gpu.json.

Run   python tools/measure_gpu.py                all of it
      python tools/measure_gpu.py --data FOLDER  train on these pictures
      python tools/measure_gpu.py --only ladder --only profile
                                                 these parts, beside those
                                                 that were measured before
      python tools/measure_gpu.py --table        what Course 19's notes show of
                                                 that file

Where there is no GPU, it says so and ends well. Each part is written down when
it is done: its figures with the command that found them, or, where it failed,
the error; the other parts run all the same, and the exit code is 1.
"""

import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]  # it also runs where the course is not installed
from common import UserError  # noqa: E402
from common.paths import atomic_write, make_folder, shown  # noqa: E402

MEASURED = ROOT / "Course19-TrainGPU" / "measured" / "gpu.json"
TRAIN, SPEED = (f"Course19-TrainGPU/{name}.py" for name in ("train", "speed"))
PROGRAMS = ("torchvision", "tqdm", "tensorboard", "matplotlib", "PIL", "filelock", "safetensors")  # for train.py
EPOCH, TEST = 50_000, 10_000  # pictures, as CIFAR-10 has them
BATCH_SIZE, PROFILED_STEPS = 64, 50
NODE_SECONDS = 3e-6  # a rule of thumb for the least that a kernel takes in a graph; it is measured, too
NOT_MEASURED = "No GPU has been measured yet."  # what the notes say where the file is not there


@dataclass
class Settings:
    """What the parts need to know."""

    device: torch.device
    data: str = "drawn"
    small: bool = False  # on a CPU, to try this program: sizes at which nothing takes long


@dataclass
class Part:
    """One part of the measurement."""

    run: Callable[[Settings], dict]
    needs: tuple[str, ...] = ()  # packages beside PyTorch


class Failed(Exception):
    """A part that found something, and then failed."""

    def __init__(self, problem: str, figures: dict):
        super().__init__(problem)
        self.figures = figures


def figure(value: float | str, unit: str, command: str) -> dict:
    """One number, with what found it."""
    if isinstance(value, float):
        value = float(f"{value:.5g}")
    return {"value": value, "unit": unit, "command": command}


# ---- The parts -------------------------------------------------------------------------------------------------------


def run_tests(settings: Settings) -> dict:
    """All tests that need a GPU."""
    command = "python -m pytest -m gpu"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # The options in pyproject.toml ask for plugins that may not be there; and other versions warn of other things.
        words = [
            "-m",
            "gpu",
            "-q",
            "--tb=short",
            "-o",
            "addopts=",
            "-W",
            "default",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
        ]
        subprocess.run([sys.executable, "-m", "pytest", *words, "tests/test_gpu.py"], cwd=ROOT, timeout=400)
        if not report.exists():
            raise Failed("pytest ended without a report, see above", {})
        cases = list(ElementTree.parse(report).iter("testcase"))
    not_passed = {kind: [c.get("name") for c in cases if c.find(kind) is not None] for kind in ("failure", "error")}
    skipped = sum(case.find("skipped") is not None for case in cases)
    wrong = [*not_passed["failure"], *not_passed["error"]]
    figures = {
        "passed": figure(len(cases) - len(wrong) - skipped, "tests", command),
        "skipped": figure(skipped, "tests", command),
        "failed": figure(len(wrong), "tests", command),
    }
    if wrong:
        raise Failed("these tests failed: " + ", ".join(wrong), figures)
    return figures


def measure_ceilings(settings: Settings) -> dict:
    """What the GPU can do at best: copy, multiply, launch."""
    device, command = settings.device, "python tools/measure_gpu.py --only ceilings"
    size, side = (2**22, 256) if settings.small else (2**30, 8192)
    source = torch.randint(0, 100, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = seconds_of(lambda: target.copy_(source), device)
    figures = {"copy": figure(2 * size / seconds / 1e12, "TB/s, read and written", command)}

    before = torch.backends.cuda.matmul.allow_tf32
    for name, dtype, tf32 in (
        ("float32", torch.float32, False),
        ("TF32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        seconds = seconds_of(lambda a=a, b=b: a @ b, device)
        figures[f"product, {name}"] = figure(2 * side**3 / seconds / 1e12, "TFLOP/s", command)
    torch.backends.cuda.matmul.allow_tf32 = before

    small, count = torch.zeros(1, device=device), 200

    def many() -> None:
        for _ in range(count):
            small.add_(1)

    figures["a kernel, launched alone"] = figure(1e6 * seconds_of(many, device) / count, "µs", command)
    if device.type == "cuda":
        from trainer.graphs import record, warm_up

        warm_up(many)
        figures["a kernel in a graph"] = figure(1e6 * seconds_of(record(many), device) / count, "µs", command)
    return figures


def climb_ladder(settings: Settings) -> dict:
    """speed.py: the videos' loop, train.py's, and what a GPU can do beyond."""
    words = ["--device", settings.device.type, "--turns", "1"] + ["--pictures", "640"] * settings.small
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.json"
        run_program(SPEED, *words, "--json", rows, timeout=300)
        found = json.loads(rows.read_text())
    command, figures = " ".join(["python", SPEED, *words]), {}
    for rung, row in found["rows"].items():
        name = "floor: " * rung.startswith("floor") + found["names"][rung]
        figures[f"{name}: training"] = figure(row["speed"], "pictures/s", command)
        figures[f"{name}: times"] = figure(row["times"], "x the videos' loop", command)
        figures[f"{name}: epoch"] = figure(EPOCH / row["speed"], f"s for {EPOCH:,} pictures", command)
        figures[f"{name}: evaluation"] = figure(row["test_speed"], "pictures/s", command)
        figures[f"{name}: evaluation, times"] = figure(row["test_times"], "x the videos' loop", command)
        figures[f"{name}: test"] = figure(TEST / row["test_speed"], f"s for {TEST:,} pictures", command)
    return figures


def train_networks(settings: Settings) -> dict:
    """train.py as anybody types it: accuracy, and seconds of an epoch."""
    from common import checkpoint  # here, because it needs torchvision

    figures = {}
    runs = {
        "modern": ["--epochs", "10"],
        "modern, float32": ["--epochs", "10", "--no-amp"],
        "classic": ["--recipe", "classic", "--epochs", "10"],
        "ResNet-18": ["--model", "resnet18", "--epochs", "10", "--batch-size", "128"],
    }
    if settings.small:
        runs = {"modern": ["--epochs", "1", "--limit", "200"]}
    for name, words in runs.items():
        words = ["--data", settings.data, *words]
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            run_program(TRAIN, *words, "--device", settings.device.type, "--out", folder, timeout=180)
            seconds = time.perf_counter() - start
            saved = checkpoint.load(Path(folder) / checkpoint.LAST)
        if "/" in words[1]:
            words[1] = "FOLDER"  # where it lies on this machine is nobody's concern
        command = " ".join(["python", TRAIN, *words])
        epochs = [row["seconds"] for row in saved["history"]]
        figures[f"{name}: accuracy"] = figure(100 * saved["test"]["accuracy"], "% of the test pictures", command)
        pictures = f"{saved['pictures']['training']['number']:,} pictures, training and validation"
        figures[f"{name}: an epoch"] = figure(statistics.median(epochs), f"s, median; {pictures}", command)
        figures[f"{name}: all"] = figure(seconds, "s, with the start of Python", command)
    return figures


def profile_steps(settings: Settings) -> dict:
    """Where the time of a step goes, launched kernel by kernel and as one graph; and how far it is from the floor."""
    from torch.utils.flop_counter import FlopCounterMode

    command, device, figures = "python tools/measure_gpu.py --only profile", settings.device, {}
    counter = FlopCounterMode(display=False)
    with counter:
        make_epochs("cnn-classic", BATCH_SIZE, torch.device("cpu"), steps=1, amp=False).step(BATCH_SIZE)
    flops = counter.get_total_flops()  # multiplications and additions, forward and backward
    figures["work of a step"] = figure(flops / 1e9, f"GFLOP, {BATCH_SIZE} pictures", command)

    steps = 3 if settings.small else PROFILED_STEPS
    peak = None
    if device.type == "cuda":
        side = 8192
        a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
        peak = 2 * side**3 / seconds_of(lambda: a @ b, device)
        figures["floor: work ÷ peak"] = figure(1e6 * flops / peak, "µs a step", command)
    kinds = {"one by one": (False, False), "graph": (True, False), "graph, compiled": (True, True)}
    for name, (recorded, compiled) in kinds.items():
        if compiled and device.type != "cuda":
            continue
        epochs = make_epochs("cnn-classic", BATCH_SIZE, device, steps, amp=True, compiled=compiled, recorded=recorded)
        epochs.run()
        wall = statistics.median(timed_once(epochs.run) for _ in range(1 if settings.small else 9)) / steps
        figures[f"{name}: a step"] = figure(1e6 * wall, "µs", command)
        if device.type != "cuda":
            continue
        kernels = profiled_kernels(epochs.run)
        busy, count = sum(sum(times) for times in kernels.values()) / steps, sum(map(len, kernels.values())) / steps
        figures[f"{name}: GPU at work"] = figure(busy, "µs a step", command)
        figures[f"{name}: kernels"] = figure(count, "a step", command)
        figures[f"{name}: floor, kernels x {NODE_SECONDS * 1e6:g} µs"] = figure(
            1e6 * NODE_SECONDS * count, "µs a step", command
        )
        longest = sorted(kernels.items(), key=lambda item: -sum(item[1]))[:8]
        for kernel, times in longest:
            share = f"µs a step, {len(times) / steps:.3g} launches"
            figures[f"{name}: {kernel[:90]}"] = figure(sum(times) / steps, share, command)
    return figures


def profiled_kernels(work: Callable) -> dict[str, list[float]]:
    """The kernels and copies that ran on the GPU: name -> microseconds of each."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities, acc_events=True) as profile:
        work()
        torch.cuda.synchronize()
    found = {}
    for event in profile.events():
        if event.device_type == torch.autograd.DeviceType.CUDA and not getattr(event, "is_user_annotation", False):
            found.setdefault(event.name, []).append(event.time_range.elapsed_us())
    return found


def vary_sizes(settings: Settings) -> dict:
    """Pictures a second and memory, by network and batch size; each kernel launched by itself."""
    command, device, figures = "python tools/measure_gpu.py --only sizes", settings.device, {}
    sizes = [("cnn", 64), ("cnn", 256), ("cnn", 1024), ("cnn", 4096), ("resnet18", 128), ("resnet18", 512)]
    for name, batch_size in sizes[:1] if settings.small else sizes:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        steps = 2 if settings.small else 20
        epochs = make_epochs(name, batch_size, device, steps, amp=True, recorded=False)
        epochs.run()
        seconds = statistics.median(timed_once(epochs.run) for _ in range(3))
        figures[f"{name}, batch {batch_size}"] = figure(steps * batch_size / seconds, "pictures/s", command)
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated() / 2**20
            figures[f"{name}, batch {batch_size}: memory"] = figure(peak, "MB at most, with the pictures", command)
        del epochs
    return figures


PARTS = {
    "tests": Part(run_tests, needs=("pytest", *PROGRAMS)),
    "ceilings": Part(measure_ceilings),
    "ladder": Part(climb_ladder, needs=PROGRAMS),
    "training": Part(train_networks, needs=PROGRAMS),
    "profile": Part(profile_steps, needs=("torchvision",)),
    "sizes": Part(vary_sizes, needs=("torchvision",)),
}


# ---- Helpers of the parts --------------------------------------------------------------------------------------------


def run_program(script: str, *words, timeout: float) -> None:
    """`python script words…` in the repository. UserError with its last line where it fails."""
    command = [sys.executable, ROOT / script, *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "encoding": "utf-8", "errors": "replace"}
    done = subprocess.run([str(word) for word in command], env=environment, timeout=timeout, **pipes)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UserError(f"{script} ended with exit code {done.returncode}: {lines[-1]}")


def make_epochs(name: str, batch_size: int, device: torch.device, steps: int, **how):
    """So many steps of training on random pictures, made to be repeated: see GraphedEpochs."""
    from common.models import make_model  # here, because it needs torchvision
    from trainer.graphs import GraphedEpochs
    from trainer.loader import MemoryLoader

    torch.manual_seed(0)
    images = torch.randint(0, 256, (steps * batch_size, 3, 32, 32), dtype=torch.uint8).to(device)
    labels = torch.randint(0, 10, (len(images),)).to(device)
    loader = MemoryLoader(images, labels, batch_size, [0.0] * 3, [1.0] * 3, shuffle=True)
    model = make_model(name).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return GraphedEpochs(model, loader, torch.nn.CrossEntropyLoss(), optimizer, **how)


def timed_once(work: Callable) -> float:
    """The seconds of work() that waits for the GPU by itself."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_of(work: Callable, device: torch.device, repeats: int = 10) -> float:
    """The median of the seconds of work(), after three times that do not count."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    times = []
    for _ in range(3 + repeats):
        wait()
        times.append(timed_once(lambda: (work(), wait())))
    return statistics.median(times[3:])


# ---- The file --------------------------------------------------------------------------------------------------------


def describe_machine(device: torch.device) -> dict:
    """The GPU, its driver, the versions and the day."""
    machine = {"date": date.today().isoformat(), "PyTorch": torch.__version__, "Python": platform.python_version()}
    if importlib.util.find_spec("torchvision"):
        import torchvision

        machine["torchvision"] = torchvision.__version__
    machine |= {"CPU cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}
    if device.type != "cuda":
        return machine | {"GPU": "none"}
    about = torch.cuda.get_device_properties(device)
    machine |= {"GPU": about.name, "GPU memory": f"{about.total_memory / 2**30:.0f} GiB", "CUDA": torch.version.cuda}
    machine |= {"cuDNN": torch.backends.cudnn.version(), "GPUs": torch.cuda.device_count()}
    try:
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        machine["driver"] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.CalledProcessError):
        machine["driver"] = "unknown: there is no nvidia-smi"
    return machine


def judge(parts: dict) -> list[dict]:
    """What was wanted of a GPU, and whether it came."""
    ladder = parts.get("ladder", {}).get("figures", {})

    def values(end: str) -> list[float]:
        return [one["value"] for name, one in ladder.items() if name.endswith(end) and not name.startswith("floor")]

    if not ladder:
        return []
    times, epoch, test = max(values(": times")), min(values(": epoch")), min(values(": test"))
    return [
        {"what": "training, times the videos' loop", "wanted": "at least 50", "found": times, "reached": times >= 50},
        {
            "what": f"an epoch of {EPOCH:,} pictures, batch {BATCH_SIZE}, in s",
            "wanted": "under 0.15",
            "found": epoch,
            "reached": epoch < 0.15,
        },
        {
            "what": f"an evaluation of {TEST:,} pictures, in s",
            "wanted": "under 0.05",
            "found": test,
            "reached": test < 0.05,
        },
    ]


def measure(names: list[str], settings: Settings, path: Path) -> dict:
    """Run these parts, one after the other, and write down each as soon as it is done. What was written.

    Other parts that the file holds are kept where they were measured on the same machine and day, with the same data.
    """
    data = "drawn" if settings.data == "drawn" else "FOLDER"
    found = {"machine": describe_machine(settings.device), "data": data, "parts": {}}
    if path.exists() and set(names) != set(PARTS):
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["machine"] == found["machine"] and before["data"] == data:
            found["parts"] = {name: part for name, part in before["parts"].items() if name not in names}
    for name in names:
        part, began, done = PARTS[name], time.monotonic(), {}
        missing = [package for package in part.needs if not importlib.util.find_spec(package)]
        try:
            if missing:
                raise UserError(f"not installed here: {', '.join(missing)}")
            done["figures"] = part.run(settings)
        except Exception as error:  # noqa: BLE001 - written down and printed, and the exit code tells
            lines = str(error).strip().splitlines() or [""]
            done |= {"figures": getattr(error, "figures", {}), "error": f"{type(error).__name__}: {lines[0]}"}
        done["seconds"] = round(time.monotonic() - began, 1)
        found["parts"][name] = done
        found["bars"] = judge(found["parts"])
        found["seconds"] = round(sum(one["seconds"] for one in found["parts"].values()), 1)
        found["finished"] = found["parts"].keys() == PARTS.keys()
        write(found, path)
        print(f"{name}: {done['seconds']:.0f} s{', FAILED: ' + done['error'] if 'error' in done else ''}", flush=True)
        for what, one in done["figures"].items():
            print(f"  {what[:44]:44} {one['value']:>10} {one['unit'][:22]}", flush=True)
    return found


def write(found: dict, path: Path) -> None:
    """The file, whole or not at all."""
    make_folder(path.parent)
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def tables(found: dict) -> str:
    """What the notes show of the file: the ladder, the trainings and the step, as Markdown."""
    machine, parts = found["machine"], {name: part["figures"] for name, part in found["parts"].items()}
    lines = []

    def value(part: str, name: str, form: str) -> str:
        one = parts[part].get(name)
        return format(one["value"], form) if one else "–"

    if ladder := parts.get("ladder"):
        lines += ["| each row adds | training, pictures/s | times | evaluation, pictures/s | times |"]
        lines += ["| --- | --- | --- | --- | --- |"]
        for name in dict.fromkeys(what.rsplit(":", 1)[0] for what in ladder if what.endswith(": training")):
            cells = [value("ladder", f"{name}: {what}", form) for what, form in LADDER_COLUMNS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    if training := parts.get("training"):
        lines += ["| recipe | test accuracy | an epoch | command |", "| --- | --- | --- | --- |"]
        for name in dict.fromkeys(what.rsplit(":", 1)[0] for what in training):
            accuracy, epoch = (
                value("training", f"{name}: accuracy", ".1f"),
                value("training", f"{name}: an epoch", ".2f"),
            )
            command = training[f"{name}: accuracy"]["command"].removeprefix("python Course19-TrainGPU/")
            lines.append(f"| {name} | {accuracy} % | {epoch} s | `{command}` |")
        lines.append("")
    if "profile" in parts:
        lines += ["| a step of 64 pictures, bfloat16 | time | GPU at work | kernels |", "| --- | --- | --- | --- |"]
        for name in ("one by one", "graph", "graph, compiled"):
            cells = [value("profile", f"{name}: {what}", ".0f") for what in ("a step", "GPU at work", "kernels")]
            lines.append(f"| {name} | {cells[0]} µs | {cells[1]} µs | {cells[2]} |")
        lines.append("")
    where = f"{machine['GPU']}, driver {machine.get('driver', 'unknown')}, PyTorch {machine['PyTorch']}"
    lines.append(f"(`make gpu`, {machine['date']}: {where}.)")
    return "\n".join(lines)


LADDER_COLUMNS = [("training", ",.0f"), ("times", ".1f"), ("evaluation", ",.0f"), ("evaluation, times", ".1f")]


# ---- The command -----------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 1 where a part failed or was left out; 2 after one line on standard error for a wrong option."""
    from trainer.cli import OneLineParser, run_cli  # no more than what is needed to say that there is no GPU

    def run() -> int:
        parser = OneLineParser(__doc__)
        parser.add_argument("--data", default="drawn", help="what train.py trains on: drawn (default) or a FOLDER")
        parser.add_argument("--only", action="append", choices=list(PARTS), help="this part; may be given again")
        parser.add_argument("--out", metavar="FILE", help=f"where to write (default: {MEASURED.relative_to(ROOT)})")
        parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: try this program, small")
        parser.add_argument("--table", action="store_true", default=False, help="print what the notes show, and end")
        return run_parts(vars(parser.parse_args(argv)))

    return run_cli("measure_gpu.py", run)


def run_parts(options: dict) -> int:
    """Measure, or print the tables of what was measured."""
    path = Path(options.get("out", MEASURED)).expanduser().resolve()
    if options["table"]:
        if not path.exists():
            raise UserError(f"there is no {shown(path)}: type make gpu on a machine with a GPU")
        print(tables(json.loads(path.read_text(encoding="utf-8"))))
        return 0
    if options["device"] == "cpu" and "out" not in options:
        raise UserError("--device cpu tries this program, and measures no GPU: name an --out FILE for what it finds")
    if options["device"] == "cuda" and not torch.cuda.is_available():
        print("no GPU: PyTorch finds none that it can use, so there is nothing to test and to measure")
        return 0
    if options["data"] != "drawn":
        options["data"] = str(Path(options["data"]).expanduser().resolve())

    settings = Settings(torch.device(options["device"]), options["data"], small=options["device"] == "cpu")
    missing = {package for part in PARTS.values() for package in part.needs if not importlib.util.find_spec(package)}
    if missing:
        print(f"not installed here, and what needs it is left out: {', '.join(sorted(missing))}")
    names = [name for name in PARTS if name in options.get("only", PARTS)]
    found = measure(names, settings, path)
    for bar in found["bars"]:
        print(f"{'reached' if bar['reached'] else 'MISSED '} {bar['what']}: {bar['found']:g}, wanted {bar['wanted']}")
    print(f"written: {shown(path)}, after {found['seconds']:.0f} s")
    failed = [name for name, part in found["parts"].items() if "error" in part]
    if failed:
        print(f"failed: {', '.join(failed)}, see above", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
