"""Course 05 · DataLoader — what do worker processes bring, for the pictures in any folder?

Run   python Course05-DataLoader/workers.py FOLDER       (dataloader.py runs it too, with the ants and bees)
Read  notes.md, sections 13 to 16

A program of its own, because a worker may start by importing it: what stands above the guard then runs there again.
"""

import json
import pickle
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, get_worker_info

from common.paths import output_dir


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


class Dice(Dataset):
    """Eight throws of a die with 100 faces, from three sources of random numbers."""

    def __init__(self):
        self.rng = np.random.default_rng(5)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return int(torch.randint(100, ())), np.random.randint(100), int(self.rng.integers(100))


def give_own_generator(worker_id):
    """A worker_init_fn: replace the generator that came with this worker's copy of the data set."""
    info = get_worker_info()
    info.dataset.rng = np.random.default_rng(info.seed)


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


if __name__ == "__main__":
    pictures = Pictures(sorted(Path(sys.argv[1]).rglob("*.jpg"))[:120])
    in_memory = [pictures[i] for i in range(len(pictures))]  # a list has a length and items: it is a data set

    speeds = {}
    for name, dataset in (("JPEG files", pictures), ("in memory", in_memory)):
        speeds[name] = {num_workers: measure(dataset, num_workers) for num_workers in (0, 1, 2)}
        for num_workers, speed in speeds[name].items():
            print(f"{name}, {num_workers=}: {speed:,.0f} pictures per second")
    (output_dir("Course05-DataLoader") / "speeds.json").write_text(json.dumps(speeds))

    print()
    expected = list(DataLoader(pictures, batch_size=16))  # here, in this process
    by_two = list(DataLoader(pictures, batch_size=16, num_workers=2))
    begin = time.perf_counter()
    spawned = list(DataLoader(pictures, batch_size=16, num_workers=1, multiprocessing_context="spawn"))
    print(f"spawn: starting one worker and reading one epoch took {time.perf_counter() - begin:.1f} s")
    print("this file is called", expected[0][1][0], "here, and in the spawned worker", spawned[0][1][0])
    for name, loaded in (("two workers", by_two), ("one spawned worker", spawned)):
        same = all(torch.equal(a, b) for (a, _), (b, _) in zip(loaded, expected, strict=True))
        print(f"{name}: the same pictures in the same order: {same}")

    for worker_init_fn in (None, give_own_generator):
        print()
        generator = torch.Generator().manual_seed(5)
        loader = DataLoader(Dice(), 4, num_workers=2, generator=generator, worker_init_fn=worker_init_fn)
        first, second = loader  # worker 0 makes the first batch, worker 1 the second
        print("worker_init_fn:", worker_init_fn.__name__ if worker_init_fn else None)
        sources = ("torch.randint", "np.random.randint", "self.rng.integers")
        for source, a, b in zip(sources, first, second, strict=True):
            print(f"  {source:17} worker 0 {a.tolist()}, worker 1 {b.tolist()}")

    print()
    bad = DataLoader([1, 2], collate_fn=lambda samples: samples, num_workers=1, multiprocessing_context="spawn")
    try:
        with warnings.catch_warnings(action="ignore"):  # the loader also warns, in words that change with the version
            next(iter(bad))
    except (pickle.PicklingError, AttributeError) as error:
        print(f"{type(error).__name__}:", str(error).split(" at 0x")[0])
