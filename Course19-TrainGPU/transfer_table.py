"""Course 19 · TrainGPU — how much do trained weights help, with how many pictures, at which size?

Run   python Course19-TrainGPU/transfer_table.py FOLDER   about 20 minutes

FOLDER holds few photographs: train/<class>/*, and test/ or val/. Each row of the table is what is typed after
`train.py --data FOLDER`, with more and more of the pictures: the accuracy on the test pictures, mean and standard
deviation over the seeds, and how long one run with all pictures keeps a CPU core busy (its training alone).
"""

import argparse
import contextlib
import statistics
import time

import torch
import train
from torch import nn

from trainer import transfer
from trainer.options import new_run_options
from trainer.pictures import read_pictures

COUNTS = (10, 30, 60, None)  # training pictures of each class; None: all
ALL = (None,)
ROWS = [  # what is typed, and with how many pictures it is tried
    ("--val-split 0", COUNTS),
    ("--val-split 0 --model resnet20 --epochs 15 --batch-size 16 --image-size 64", ALL),
    ("--pretrained --freeze --image-size 32", COUNTS),
    ("--pretrained --image-size 32", COUNTS),
    ("--pretrained --freeze", COUNTS),
    ("--pretrained", COUNTS),
    ("--pretrained --freeze --augment --epochs 20", ALL),
    ("--pretrained --freeze --image-size 128", COUNTS),
    ("--pretrained --image-size 128", ALL),
    ("--pretrained --freeze --image-size 224", ALL),
]
device = torch.device("cpu")


def accuracy_of(argv: list[str]) -> float:
    """Accuracy on the test pictures, in per cent, after the last epoch of one run."""
    options = new_run_options(argv)
    with contextlib.redirect_stdout(None):
        pretrained = transfer.load_pretrained(options["pretrained"])
    given = (pretrained.mean, pretrained.std) if pretrained else None
    loaders, about_data = train.build_loaders(options, device, normalization=given)
    state = train.build_state(options, about_data, len(loaders["train"]), device, pretrained)
    model, batches = state.model, loaders["train"]
    if options["freeze"]:
        model, features = transfer.head_and_features(model, loaders, amp=False)
        batches = features["train"]
    loss_fn = nn.CrossEntropyLoss(label_smoothing=options["label_smoothing"])
    for epoch in range(1, options["epochs"] + 1):
        batches.set_epoch(epoch)
        train.train_one_epoch(model, batches, loss_fn, state.optimizer, state.scheduler)
    return train.evaluate(state.model, loaders["test"], loss_fn)[1] * 100


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder", metavar="FOLDER")
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--rows", type=int, nargs="*", default=range(len(ROWS)), help="only these, counted from 0")
arguments = parser.parse_args()

rows = []
for typed, counts in (ROWS[number] for number in arguments.rows):
    argv = ["--data", arguments.folder, *typed.split()]
    decoded = read_pictures(new_run_options(argv), device)
    train.read_pictures = lambda *_, decoded=decoded: decoded  # once for all runs of a row
    cells = [f"`{typed}`"]
    for count in COUNTS:
        if count not in counts:
            cells.append("")
            continue
        limit = ["--limit", str(count * len(decoded[0]))] if count else []
        began = time.process_time()
        found = [accuracy_of([*argv, *limit, "--seed", str(seed)]) for seed in range(arguments.seeds)]
        cells.append(f"{statistics.mean(found):.1f} ± {statistics.stdev(found):.1f}")
    cells.append(f"{(time.process_time() - began) / arguments.seeds:.0f} s")
    rows.append(f"| {' | '.join(cells)} |")
print(
    "| typed |",
    *(f"{count or 'all'} a class |" for count in COUNTS),
    "one core |\n" + "| --- " * (len(COUNTS) + 2) + "|",
)
print(*rows, sep="\n")
