"""When memory runs out, on a GPU or beside a CPU: one line that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from common import UserError

# What the libraries below PyTorch say; its own allocator on GPUs raises torch.OutOfMemoryError.
SHORTAGES = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
SHORTAGES += ("ALLOCATION_FAILED", "MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory")
SMALLER = "a smaller --batch-size or --image-size, or --device cpu"


def shortage(error: BaseException) -> str | None:
    """In a few words, how much memory was missing where; None for every other error."""
    text = str(error)
    if isinstance(error, MemoryError) or SHORTAGES[-1] in text:
        where = "out of memory"
    elif isinstance(error, torch.OutOfMemoryError) or any(words in text for words in SHORTAGES):
        where = "out of memory on the GPU"
    else:
        return None
    wanted = re.search(r"Tried to allocate ([\d.]+ \w+)", text)
    free = re.search(r"of which ([\d.]+ \w+) is free", text)
    numbers = [f"{wanted[1]} more were needed"] if wanted else []
    numbers += [f"{free[1]} are free"] if free else []
    return where + f" ({', '.join(numbers)})" * bool(numbers)


@contextmanager
def shortage_means(advice: str) -> Iterator[None]:
    """A context in which running out of memory is a UserError with this advice."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (problem := shortage(error)):
            raise
        raise UserError(f"{problem}: {advice}") from error
