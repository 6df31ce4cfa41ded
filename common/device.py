"""Which device computes, and why."""

import torch

from common import UserError
from common.distributed import local_rank

DEVICES = ("auto", "cuda", "mps", "cpu")


def pick_device(name: str = "auto") -> tuple[torch.device, str]:
    """The device and one line that says what it is and why it was picked.

    name is one of DEVICES; "auto" takes the accelerator of this machine (an NVIDIA or AMD GPU answers to "cuda", a
    Mac's to "mps") and the CPU where there is none. UserError where the named device is not there.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        device = found or torch.device("cpu")
    else:
        device = torch.device(name)
        if device.type != "cpu" and (found is None or found.type != device.type):
            raise UserError(f"no {name} device here: {_why_no_gpu()}. Use --device auto or --device cpu")

    if device.type == "cuda":
        device = torch.device("cuda", local_rank())
        gpu = torch.cuda.get_device_properties(device)
        return device, f"device: cuda ({gpu.name}, {gpu.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        reason = _why_no_gpu() if found is None else f"asked for, though {found.type} is here"
        return device, f"device: cpu ({torch.get_num_threads()} threads; {reason})"
    return device, f"device: {device.type}"


def _why_no_gpu() -> str:
    if torch.version.cuda or torch.version.hip:
        return "PyTorch found no GPU that it can use"
    return "this PyTorch was built for the CPU alone"
