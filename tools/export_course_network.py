"""Make common/weights/resnet20-cifar10.safetensors, the course's own network, from a finished run of train.py.

Run   python Course19-TrainGPU/train.py --data FOLDER --model resnet20 --amp
          --epochs 90 --batch-size 128 --lr 0.15 --label-smoothing 0
          --val-split 0.02 --out RUN
      python tools/export_course_network.py RUN

FOLDER/train and FOLDER/test hold CIFAR-10's photographs, one folder a class. The weights are those of the best epoch,
rounded to half precision; the same run makes the same bytes. The hash that is printed belongs into
common/pretrained.py.
"""

import argparse
import hashlib
import json
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save

from common import UserError
from common.checkpoint import BEST, LAST, load_run
from common.paths import atomic_write, make_folder, shown
from common.pretrained import COURSE_NETWORK, METADATA
from trainer.options import PLACES, new_run_options


def command_of(options: dict) -> str:
    """What was typed for a run with these options, but for the places: only what differs from the defaults."""
    typed = {"data": "FOLDER"}
    usual = new_run_options(["--recipe", options["recipe"]])
    typed |= {name: value for name, value in options.items() if value != usual.get(name) and name not in typed}
    words = ["python", "Course19-TrainGPU/train.py"]
    for name, value in typed.items():
        option = name.replace("_", "-")
        if name in PLACES:
            continue
        words += [f"--{option}" if value else f"--no-{option}"] if isinstance(value, bool) else [f"--{option}", value]
    return shlex.join(map(str, words))


def export(run: Path, target: Path) -> str:
    """Write the file from the run's two checkpoints. Returns its SHA-256. UserError where the run is not finished."""
    best, last = load_run(run / BEST), load_run(run / LAST)
    if "test" not in last or last["test"]["epoch"] != best["epoch"]:
        raise UserError(f"{run} is not finished: type python Course19-TrainGPU/train.py --resume {run}")
    options, splits = best["options"], best["pictures"]
    used = options["limit"] or splits["training"]["number"]
    said = {key: best[key] for key in ("model", "classes", "mean", "std")} | {
        "data": "cifar10",
        "accuracy": last["test"]["accuracy"],
        "pictures": used - round(options["val_split"] * used),
        "test_pictures": splits["test"]["number"],
        "command": command_of(options),
        "date": datetime.fromtimestamp((run / BEST).stat().st_mtime, UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("torch", "torchvision")},
    }
    half = {
        name: value.to(torch.float16) if value.is_floating_point() else value
        for name, value in best["state_dict"].items()
    }
    content = save({name: value.contiguous() for name, value in half.items()}, {METADATA: json.dumps(said)})
    make_folder(target.parent)
    with atomic_write(target) as beside:
        beside.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def main() -> int:
    """Exit code 0, or 2 after one line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of the run")
    try:
        digest = export(parser.parse_args().run, COURSE_NETWORK)
    except UserError as error:
        print(f"export_course_network.py: {error}", file=sys.stderr)
        return 2
    print(f"{shown(COURSE_NETWORK)}: {COURSE_NETWORK.stat().st_size:,} bytes")
    print(f'COURSE_SHA256 = "{digest}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
