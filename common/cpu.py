"""Two settings of the operating system's that make training on a CPU fast. To be chosen before torch is imported."""

import ctypes
import os
import sys

# From malloc.h of glibc, the C library of most Linux systems; see mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # bytes; glibc takes no more


def tune_cpu() -> None:
    """Let threads that wait fall asleep soon, and let memory that was freed stay with the process.

    Call it before torch is imported: its thread library reads the environment once, when it is loaded. What the
    environment already says about waiting is left as it is. Course 19's notes give the measured gain of both.
    """
    # By default PyTorch's threads wait in a busy loop. Beside another program, each wait then lasts until the system
    # takes the core away. 1,000 rounds bridge the gaps between two layers; then the thread sleeps.
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"  # for all thread libraries
        os.environ["GOMP_SPINCOUNT"] = "1000"  # for GNU's, the one in PyTorch's builds for Linux

    # By default glibc gets large blocks (one layer's activations are 8 MB) from the system and gives them back at
    # once: thousands of fresh pages at each step, each of them zeroed and mapped one by one.
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
            mallopt(M_TRIM_THRESHOLD, 2**30)  # give memory back only when 1 GiB of it lies idle at the top
