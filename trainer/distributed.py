"""Several processes that train one network together, each on its share of every step; and nothing where there is one.

torchrun starts the processes and tells each its number (rank) in the environment. Every function here does the obvious
thing in a program that was started alone, so that the code which calls them reads the same either way.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from common import UserError


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, if it did, for the time of this context. Only rank 0 prints.

    device: as for pick_device(). UserError where there are more processes than GPUs.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield
        return
    use_gpu = device in ("auto", "cuda") and torch.cuda.is_available()
    if use_gpu:
        processes, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if processes > gpus:
            raise UserError(f"{processes} processes for {gpus} GPU(s): use --nproc-per-node {gpus}")
        torch.cuda.set_device(local_rank())  # pick_device() takes the current one
    # Gradients on GPUs travel by NCCL, everything else (flags, counts, options) by gloo.
    dist.init_process_group("cpu:gloo,cuda:nccl" if use_gpu else "gloo")
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(sys.stdout if rank() == 0 else nowhere):
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, dist.DistError) and "by peer" not in str(error):
                raise
            raise UserError("another process of this training has ended: --resume goes on, if it began") from error
        finally:
            # What is left of a network's wrapper in a traceback must go first: in PyTorch 2.11, it waited for ever.
            error = sys.exception()
            for ended in (error, error and error.__cause__):
                traceback.clear_frames(ended and ended.__traceback__)
            dist.destroy_process_group()


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0. Only rank 0 prints and writes."""
    return dist.get_rank() if world_size() > 1 else 0


def local_rank() -> int:
    """The number of this process among those on the same machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", 0))


def all_reduce_sum(values: list[float]) -> list[float]:
    """Each of the values, added up over all processes."""
    return _all_reduce(values, "SUM")


def all_reduce_max(values: list[int]) -> list[int]:
    """The largest of each of the values over all processes: how all of them come to agree on a flag."""
    return [int(value) for value in _all_reduce(values, "MAX")]


def _all_reduce(values: list, operation: str) -> list:
    if world_size() == 1:
        return values
    together = torch.tensor(values, dtype=torch.float64)  # exact for whole numbers up to 2**53
    dist.all_reduce(together, getattr(dist.ReduceOp, operation))
    return together.tolist()


def broadcast_from_rank0(function: Callable, *args):
    """What function(*args) returns in rank 0, in all processes; the others do not call it. Or its UserError."""
    if world_size() == 1:
        return function(*args)
    answer = [None]
    if rank() == 0:
        try:
            answer = [(function(*args), None)]
        except UserError as error:
            answer = [(None, str(error))]
    dist.broadcast_object_list(answer, device=torch.device("cpu"))
    result, problem = answer[0]
    if problem:
        raise UserError(problem)
    return result


def barrier() -> None:
    """Wait until all processes are here."""
    broadcast_from_rank0(lambda: None)


def broadcast_tensors(function: Callable[..., tuple[Tensor, ...]], *args) -> tuple[Tensor, ...]:
    """The CPU tensors that function(*args) returns in rank 0, in all processes: what is slow to make is made once."""
    if world_size() == 1:
        return function(*args)
    tensors = []

    def make_and_describe() -> list[tuple]:
        tensors.extend(tensor.contiguous() for tensor in function(*args))
        return [(tensor.shape, tensor.dtype) for tensor in tensors]

    described = broadcast_from_rank0(make_and_describe)
    tensors = tensors or [torch.empty(shape, dtype=dtype) for shape, dtype in described]
    for tensor in tensors:
        dist.broadcast(tensor, src=0)
    return tuple(tensors)


def local_rank0_first(function: Callable, *args):
    """function(*args), on each machine in one process first: what it downloads or draws, the others find done."""
    if world_size() == 1:
        return function(*args)
    result, problem = None, None
    for turn in ("first", "others"):
        if (local_rank() == 0) == (turn == "first"):
            try:
                result = function(*args)
            except UserError as error:
                problem = str(error)
        problems = [None] * world_size()
        dist.all_gather_object(problems, problem)  # all raise the same, or none does: none is left waiting
        for found in filter(None, problems):
            raise UserError(found)
    return result


def data_parallel(model: nn.Module, share: Callable[[], float]) -> nn.Module:
    """The model, such that backward() leaves in every process the gradient of the mean loss over *all* pictures.

    DistributedDataParallel takes the plain mean over the processes. The parts of a step may differ by a picture, so
    each gradient is weighted here by share(): how much of the current step's pictures this process has, 0…1.
    """
    if world_size() == 1:
        return model

    def weighted_sum(_, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        gradients = bucket.buffer().mul_(share())
        return dist.all_reduce(gradients, async_op=True).get_future().then(lambda done: done.value()[0])

    parallel = nn.parallel.DistributedDataParallel(model)
    parallel.register_comm_hook(None, weighted_sum)
    return parallel


def broadcast_buffers(model: nn.Module) -> None:
    """Give all processes the buffers of rank 0 (BatchNorm's statistics), so that they measure the same network."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)
