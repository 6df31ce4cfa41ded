"""What a program does before it imports PyTorch: settle threads and memory, and be ready for Ctrl-C."""

import ctypes
import os
import signal
import sys

# From malloc.h of glibc, the C library of most Linux systems; see mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc takes no more

# How long a waiting thread spins before it sleeps: the first is for all thread libraries and means "not at all", the
# second for GNU's, the one in PyTorch's builds for Linux; there it wins, and bridges the gap between two layers.
SLEEP_SOON = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "2000"}


def prepare(program: str) -> None:
    """Call it first in a program: tune the CPU, and end in one line where Ctrl-C comes while PyTorch is imported."""
    tune_cpu()

    def quit_at_once(signum, frame) -> None:
        print(f"\n{program}: stopped", file=sys.stderr, flush=True)
        os._exit(128 + signum)  # an exception would get lost in the middle of an import, or show a traceback

    signal.signal(signal.SIGINT, quit_at_once)  # until run_cli(), which lets Ctrl-C raise again


def tune_cpu() -> None:
    """Let threads that wait fall asleep soon, and let memory that was freed stay with the process.

    Course 19's notes give the measured gain of both.
    """
    let_waiting_threads_sleep()
    keep_freed_memory()


def let_waiting_threads_sleep() -> None:
    """Call it before torch is imported: its thread library reads the environment once, when it is loaded.

    By default PyTorch's threads wait in a busy loop. Beside another program, each wait then lasts until the system
    takes the core away. What the environment already says about waiting is left as it is.
    """
    if not SLEEP_SOON.keys() & os.environ.keys():
        os.environ.update(SLEEP_SOON)


def keep_freed_memory() -> None:
    """Let glibc keep large blocks that were freed; by default it gives them back to the system, to get fresh ones next.

    One layer's activations are such a block (8 MB): thousands of fresh pages at each step, zeroed and mapped one by
    one. Nothing happens where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, 2**30)  # give memory back only when 1 GiB of it lies idle at the top


def compute_deterministically() -> None:
    """Let a GPU give the same numbers to the last bit each time. Call it before the GPU has computed anything.

    Where PyTorch has no such way for an operation, it warns. A CPU gives the same numbers anyway.
    """
    import torch  # here, because the rest of this module must run before it is imported

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, matrix products may add up differently
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # no memory is read here that nobody has written
