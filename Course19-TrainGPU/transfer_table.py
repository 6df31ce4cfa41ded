"""Course 19 · TrainGPU — how much do trained weights help, with how many pictures, at which size?

Run   python Course19-TrainGPU/transfer_table.py FOLDER [--seeds 3]

FOLDER holds few photographs of two classes: train/<class>/*, and test/ or val/. Each row of the table is one command,
with more and more of the pictures: the accuracy on the test pictures, as mean and spread over the seeds, and the
seconds of the longest of these runs.
"""

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import train

from common import checkpoint
from common.checkpoint import LAST
from common.data import image_folder

PICTURES = (10, 30, 60, None)  # of a class; None: all
ROWS = [  # what is typed, and with how many pictures it is tried
    ("", PICTURES),
    ("--model resnet20 --epochs 20 --batch-size 16", (None,)),
    ("--pretrained --freeze", PICTURES),
    ("--pretrained", PICTURES),
    ("--pretrained --freeze --image-size 64", PICTURES),
    ("--pretrained --image-size 64", PICTURES),
    ("--pretrained --freeze --image-size 128", PICTURES),
    ("--pretrained --image-size 128", (None,)),
    ("--pretrained --freeze --image-size 224", PICTURES),
]


def accuracy_of(argv: list[str]) -> tuple[float, float]:
    """Accuracy on the test pictures, 0…100, and seconds of one run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
        began = time.perf_counter()
        code = train.main([*argv, "--out", folder])
        seconds = time.perf_counter() - began
        if code:
            raise SystemExit(printed.getvalue())
        return checkpoint.load(Path(folder) / LAST)["test"]["accuracy"] * 100, seconds


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", metavar="FOLDER")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--rows", type=int, nargs="*", help="only these rows, counted from 0")
options = parser.parse_args()
classes = len(image_folder(Path(options.folder), "train").classes)

header = ["`train.py --data FOLDER …`", *(f"{n or 'all'} of each class" for n in PICTURES), "seconds"]
print(*("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header))), sep="\n")
for number, (typed, counts) in enumerate(ROWS):
    if options.rows is not None and number not in options.rows:
        continue
    cells, longest = [], 0.0
    for count in PICTURES:
        if count not in counts:
            cells.append("")
            continue
        limit = ["--limit", str(count * classes)] if count else []
        argv = ["--data", options.folder, *typed.split(), *limit]
        accuracies, seconds = zip(*(accuracy_of([*argv, "--seed", str(s)]) for s in range(options.seeds)), strict=True)
        cells.append(f"{statistics.mean(accuracies):.1f} ± {statistics.stdev(accuracies):.1f} %")
        longest = max(longest, *seconds)
    print("|", " | ".join([f"`{typed}`" if typed else "nothing more: from scratch", *cells, f"{longest:.0f}"]), "|")
