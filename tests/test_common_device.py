"""The device: which one is picked, and what is said about it."""

import pytest
import torch

from common import UserError
from common.device import pick_device


def test_auto_takes_the_accelerator_where_there_is_one_and_says_why(monkeypatch):
    device, reason = pick_device("auto")
    expected = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    assert device.type == expected and reason.startswith(f"device: {expected}") and "\n" not in reason
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("mps"))
    assert pick_device("auto")[0].type == "mps"
    assert pick_device("cpu")[1] == f"device: cpu ({torch.get_num_threads()} threads; asked for, though mps is here)"
    with pytest.raises(UserError, match="no cuda device here"):
        pick_device("cuda")
