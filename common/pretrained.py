"""The network that the course itself has trained: ResNet-20 on CIFAR-10's photographs, kept in weights/.

tools/export_course_network.py writes the file, from a finished run of Course 19, and says how to make it again.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from common import UserError, checkpoint
from common.checkpoint import Trained
from common.models import make_model
from common.paths import shown

COURSE_NETWORK = Path(__file__).parent / "weights" / "resnet20-cifar10.safetensors"
COURSE_SHA256 = "e7752eca8937072e40ed90eaaf1f94e4bf99320cfdcb72bea28b0c1ede1b610c"  # of the whole file

METADATA = "course"  # the one key in the file's header: several would be written in an order that changes each time
FACTS = ("accuracy", "pictures", "test_pictures", "command", "date", "versions")
DESCRIPTION = ("model", "classes", "mean", "std", "data")


@dataclass
class CourseNetwork:
    """The course's network, and how it came about."""

    trained: Trained  # its model has float32 weights, although the file has half as many bits
    accuracy: float  # 0…1, of the test pictures, measured once
    pictures: int  # that it was trained with
    test_pictures: int
    command: str  # that trained it
    date: str  # of the training, 2026-12-31
    versions: dict[str, str]  # of the packages


def load_course_network() -> CourseNetwork:
    """The course's network, on the CPU in eval mode. UserError where its file is missing or is not the one it was."""
    way_out = f"type git checkout {shown(COURSE_NETWORK)}, or install the course again"
    try:
        content = COURSE_NETWORK.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the course's network {COURSE_NETWORK} ({error.strerror}): {way_out}") from error
    if hashlib.sha256(content).hexdigest() != COURSE_SHA256:
        raise UserError(f"the course's network {COURSE_NETWORK} is damaged (its SHA-256 is wrong): {way_out}")
    return read_course_network(COURSE_NETWORK)


def read_course_network(path: Path) -> CourseNetwork:
    """What such a file holds, checked like a checkpoint. UserError where it is none."""
    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {}).get(METADATA, "{}"))
            state_dict = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- the file is no dict
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is no safetensors file: take another one") from error
    if not isinstance(said, dict) or said.keys() != {*DESCRIPTION, *FACTS}:
        raise UserError(f"{path} does not say what it is: take the file that tools/export_course_network.py writes")
    checkpoint.check({key: said[key] for key in DESCRIPTION}, path)
    wide = {name: value.float() if value.is_floating_point() else value for name, value in state_dict.items()}
    model = make_model(said["model"], len(said["classes"]))
    checkpoint.load_state(model, wide, path)
    name, classes, mean, std, data = (said[key] for key in DESCRIPTION)
    return CourseNetwork(Trained(model.eval(), name, classes, mean, std, data), **{key: said[key] for key in FACTS})
