"""Course 05 · DataLoader — what do workers bring for the pictures in a folder?

Run   python Course05-DataLoader/workers.py FOLDER
      (dataloader.py runs it, too, with the ants and bees)
Read  notes.md, sections 11 and 15

A program of its own, because a worker may start by importing it: what stands
above the guard then runs there again.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from common import UserError
from common.paths import output_dir

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff"}
LIMIT = 120  # pictures: enough to measure, and done in seconds


class Pictures(Dataset):
    """Picture files, decoded at each access, with the name under which this file runs in the process that decodes."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        with Image.open(self.files[index]) as image:
            small = np.array(image.convert("RGB").resize((64, 64)))
        return torch.from_numpy(small).permute(2, 0, 1) / 255, __name__  # (64, 64, 3) -> (3, 64, 64)


def find_pictures(arguments):
    """The first LIMIT picture files below the folder that was typed. UserError where there are none."""
    if len(arguments) != 1:
        raise UserError("name one folder of pictures: python Course05-DataLoader/workers.py FOLDER")
    folder = Path(arguments[0]).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name a folder of pictures")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())[:LIMIT]
    if not files:
        raise UserError(f"{folder} holds no pictures ({' '.join(sorted(SUFFIXES))}): name a different folder")
    return files


def decode_all(pictures):
    """The samples as a list, which is a data set as well. UserError for a file that cannot be read."""
    samples = []
    for index, file in enumerate(pictures.files):
        try:
            samples.append(pictures[index])
        except (OSError, SyntaxError, ValueError) as error:
            raise UserError(f"{file} cannot be read ({error}): mend or remove it") from None
    return samples


def measure(dataset, num_workers):
    """Pictures per second in the fastest of several epochs; in the first of them the workers start."""
    loader = DataLoader(dataset, batch_size=16, num_workers=num_workers, persistent_workers=num_workers > 0)
    seconds = []
    while len(seconds) < 3 or sum(seconds[1:]) < 0.05:
        begin = time.perf_counter()
        for _ in loader:
            pass
        seconds.append(time.perf_counter() - begin)
    return len(dataset) / min(seconds)


def main(arguments):
    """Measure and print; the speeds go into outputs/Course05-DataLoader/speeds.json, too."""
    pictures = Pictures(find_pictures(arguments))
    in_memory = decode_all(pictures)

    speeds = {}
    for name, dataset in (("picture files", pictures), ("in memory", in_memory)):
        speeds[name] = {num_workers: measure(dataset, num_workers) for num_workers in (0, 1, 2)}
        for num_workers, speed in speeds[name].items():
            print(f"{name}, {num_workers=}: {speed:,.0f} pictures per second")
    (output_dir("Course05-DataLoader") / "speeds.json").write_text(json.dumps(speeds))

    expected = list(DataLoader(pictures, batch_size=16))  # here, in this process
    by_two = list(DataLoader(pictures, batch_size=16, num_workers=2))
    same = all(torch.equal(a, b) for (a, _), (b, _) in zip(by_two, expected, strict=True))
    print("two workers: the same pictures in the same order:", same)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"workers.py: {error}", file=sys.stderr)
        sys.exit(2)
