"""All pictures of a run, decoded at once, and whether there is enough memory for them."""

import os
from pathlib import Path

import torch
from torch import Tensor

from common import UserError
from common.data import in_memory, open_data
from common.models import IMAGE_SIZES, ONLY_32
from trainer import distributed


def read_pictures(options: dict, device: torch.device) -> tuple[list[str], Tensor, Tensor, Tensor, Tensor]:
    """The classes; images uint8 (N, 3, size, size) and labels int64 (N,) to train with; and those to test with.

    UserError where the two do not fit each other, the network or the memory: before a picture is decoded.
    """
    train_set = distributed.local_rank0_first(open_data, options["data"], "train")
    test_set = distributed.local_rank0_first(open_data, options["data"], "test")
    classes = train_set.classes
    if classes != test_set.classes:
        differ = ", ".join(sorted(set(classes) ^ set(test_set.classes)))
        raise UserError(f"the training and the test pictures must have the same classes; only one of them has {differ}")
    size = options["image_size"]
    if size != 32:
        distributed.broadcast_from_rank0(announce_memory, len(train_set), len(test_set), size, device)
    images, labels, test_images, test_labels = (
        *distributed.broadcast_tensors(in_memory, train_set, size),
        *distributed.broadcast_tensors(in_memory, test_set, size),
    )
    # As the loaders lay them out: to select some of these copies no more than what is selected.
    images, test_images = (t.to(memory_format=torch.channels_last) for t in (images, test_images))
    return list(classes), images, labels, test_images, test_labels


def check_image_size(size: int, model: str, data: str) -> None:
    """UserError where the network takes no pictures of that size, or where the data has none. data: not "auto"."""
    least, _, most = IMAGE_SIZES.get(model, ONLY_32)
    if least <= size <= most:
        if size != 32 and data in ("drawn", "cifar10"):
            raise UserError(f"all pictures of --data {data} are 32x32, not {size}x{size}: name a FOLDER of larger ones")
        return
    span = f"pictures of {least}x{least} alone" if least == most else f"pictures from {least}x{least} to {most}x{most}"
    raise UserError(f"--model {model} takes {span}: --image-size {size} does not fit it")


def announce_memory(count: int, test_count: int, size: int, device: torch.device) -> None:
    """Print what the pictures will take. UserError where less is free, with the size that would fit."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if distributed.world_size() > 1 else 1
    on_device = (count + test_count) * 3 * size**2  # bytes
    # Twice while they are decoded and split: as they were read, and as the loaders keep them.
    needed = 2 * on_device * processes
    print(f"memory: {count + test_count:,} pictures of {size}x{size} take up to {needed / 1e9:.2f} GB")
    places = [(needed, free_memory(), "memory")]
    if device.type == "cuda":
        places.append((on_device, torch.cuda.mem_get_info(device)[0], "memory on the GPU"))
    for wanted, free, place in places:
        if free is not None and wanted > free:
            raise UserError(
                f"the pictures need {wanted / 1e9:.2f} GB of {place}, and {free / 1e9:.2f} GB are free: choose an "
                f"--image-size of at most {int(size * (free / wanted) ** 0.5)}, or fewer pictures"
            )


def free_memory() -> int | None:
    """Bytes that this process could still take, as far as the system says; None where it does not."""
    found = []
    if (meminfo := Path("/proc/meminfo")).exists():  # Linux
        lines = dict(line.split(":") for line in meminfo.read_text().splitlines())
        if "MemAvailable" in lines:
            found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):  # macOS says only how much there is in all
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))  # of a container
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        found.append(int(text) - int(used.read_text()))
    return min(found, default=None)
