"""Every test runs offline, in a home of its own, on one thread, and takes a deprecation warning for a failure."""

import os
import re
import sys
import tempfile
from pathlib import Path

# Before anything of the course or PyTorch is imported, and inherited by child processes.
_HOME = tempfile.TemporaryDirectory(prefix="course-home-")
os.environ["COURSE_HOME"] = _HOME.name
os.environ["TORCH_HOME"] = _HOME.name  # no weights that somebody happened to download
os.environ["OMP_NUM_THREADS"] = "1"  # sums come out the same, and two small runs do not fight for two cores
_NO_NETWORK = str(Path(__file__).parent / "no_network")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_NO_NETWORK, os.environ.get("PYTHONPATH")]))
os.environ["MPLBACKEND"] = "Agg"
sys.path[:0] = [_NO_NETWORK, str(Path(__file__).parent)]
sys.modules.pop("sitecustomize", None)
import pytest  # noqa: E402
import sitecustomize  # noqa: E402, F401
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With `-n 2 --dist loadgroup`: all tests of a lesson go to one process, for each process runs a lesson once."""
    for item in items:
        number = re.search(r"[Cc]ourse(\d\d)", item.nodeid)
        group = number[1] if number else item.path.stem
        # Course20 and the README use what Course19's default run has trained.
        item.add_marker(pytest.mark.xdist_group("19" if group == "20" or "readme_quotes" in item.name else group))


def pytest_unconfigure(config):
    _HOME.cleanup()


@pytest.fixture
def course_home(tmp_path, monkeypatch):
    """An empty home for one test."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    return tmp_path
