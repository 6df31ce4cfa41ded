"""Which device computes, and why."""

import platform

import torch

from common import UserError

DEVICES = ("auto", "cuda", "mps", "cpu")


def pick_device(name: str = "auto") -> tuple[torch.device, str]:
    """The device and one line that says what it is and why it was picked.

    name is one of DEVICES; "auto" takes the accelerator of this machine (an NVIDIA or AMD GPU answers to "cuda", a
    Mac's to "mps") and the CPU where there is none. Of several GPUs it is PyTorch's current one, by default the first.
    UserError where the named device is not there.
    """
    found = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        device = found or torch.device("cpu")
    else:
        device = torch.device(name)
        if device.type != "cpu" and (found is None or found.type != device.type):
            raise UserError(f"no {name} device here: {_why_no_gpu()}. Use --device auto or --device cpu")

    if device.type == "cuda":
        device = torch.device("cuda", torch.cuda.current_device())
        gpu = torch.cuda.get_device_properties(device)
        return device, f"device: cuda ({gpu.name}, {gpu.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        reason = _why_no_gpu() if found is None else f"asked for, though {found.type} is here"
        return device, f"device: cpu ({torch.get_num_threads()} threads; {reason})"
    return device, f"device: {device.type}"


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 products with instructions of its own, so that --amp makes it faster.

    A CPU without them (AVX2 alone, as in most laptops) converts every number back and forth: many times slower.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    if platform.machine().lower() in ("x86_64", "amd64"):  # here PyTorch's public check counts the emulation, too
        return cpu_capability().startswith("AVX512") and torch.cpu._is_avx512_bf16_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def cpu_capability() -> str:
    """The widest instructions that PyTorch uses on this CPU: "AVX2", "AVX512", on ARM "DEFAULT" or "SVE256"."""
    return torch.backends.cpu.get_cpu_capability()


def _why_no_gpu() -> str:
    if torch.version.cuda or torch.version.hip:
        return "PyTorch found no GPU that it can use"
    return "this PyTorch was built for the CPU alone"
