"""The commands that the programs print: each can be pasted into a terminal as it stands."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from common.paths import REPOSITORY, shown
from trainer import distributed

TRAIN = REPOSITORY / "Course19-TrainGPU" / "train.py"
TEST = REPOSITORY / "Course20-ModelTest" / "test.py"


def python(*words: str | Path) -> str:
    """`.venv/bin/python …`: the Python that runs, with these arguments."""
    return quoted(interpreter(), *words)


def train_again(*words: str | Path) -> str:
    """`.venv/bin/python Course19-TrainGPU/train.py …`, or what stands for it where torchrun started the processes."""
    if distributed.world_size() == 1:
        return python(TRAIN, *words)
    return f"torchrun … {quoted(TRAIN, *words)}"  # its own options are known to nobody here


def interpreter() -> str:
    """The Python that runs, as shown() would have it: but a virtual environment's is a link, and must stay one."""
    path = Path(sys.executable or "python")
    folder = shown(path.parent)
    return str(Path(folder, path.name)) if folder != "." else str(path)


def quoted(*words: str | Path) -> str:
    """The words as a line for this system's terminal, with quotes where it needs them; paths as shown() has them."""
    words = [shown(word) if isinstance(word, Path) else word for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
