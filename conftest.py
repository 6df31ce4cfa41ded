"""Every test runs offline, in a home of its own, on one thread, and takes a deprecation warning for a failure.

Here and not in tests/, so that `pytest Course08-Conv2d/lesson.ipynb` alone runs in the same way.
"""

import gc
import os
import re
import sys
import tempfile
from pathlib import Path

# Before anything of the course or PyTorch is imported, and inherited by child processes.
_HOME = tempfile.TemporaryDirectory(prefix="course-home-")
if "PYTEST_XDIST_WORKER" in os.environ and sys.platform != "win32":  # one of two processes that test
    _DRAWN = Path(os.environ["COURSE_HOME"], "data")  # in the home of the process that started both: drawn once
    _DRAWN.mkdir(exist_ok=True)
    Path(_HOME.name, "data").symlink_to(_DRAWN)
os.environ["COURSE_HOME"] = _HOME.name
os.environ["LANGUAGE"] = "en"  # what practice says is compared
os.environ["TORCH_HOME"] = _HOME.name  # no weights that somebody happened to download
os.environ["OMP_NUM_THREADS"] = "1"  # sums come out the same, and two small runs do not fight for two cores
# What trainer.startup.keep_freed_memory() does in a program: a fifth of the time of each training, on Linux.
os.environ["MALLOC_MMAP_THRESHOLD_"], os.environ["MALLOC_TRIM_THRESHOLD_"] = str(2**25), str(2**30)
_TESTS = Path(__file__).parent / "tests"
_EVERY_PROCESS = str(_TESTS / "every_process")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_EVERY_PROCESS, os.environ.get("PYTHONPATH")]))
os.environ["MPLBACKEND"] = "Agg"
sys.path[:0] = [_EVERY_PROCESS, str(_TESTS), str(_TESTS.parent / "tools")]
sys.modules.pop("sitecustomize", None)
import pytest  # noqa: E402
import sitecustomize  # noqa: E402, F401
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With `-n 2`: all tests of a lesson go to one process, because each process runs a lesson once for itself."""
    from xdist.scheduler import LoadScopeScheduling

    class LessonScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if "Course20" in nodeid or "course20" in nodeid or "readme_quotes" in nodeid:
                return "19"  # they use what Course19's default run has trained
            if "course19_faults" in nodeid:
                return "19 faults"  # takes minutes, and shares nothing with the others
            number = re.search(r"[Cc]ourse(\d\d)", nodeid)
            return number[1] if number else nodeid.split("::")[0]

    return LessonScheduling(config, log)


def pytest_collection_finish():
    """From here on this process looks for garbage, but not in what was imported: that stays."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish():
    gc.unfreeze()  # else libraries complain at the end that their objects have leaked


def pytest_configure(config):
    """Notebooks are compared through the sanitising file, wherever pytest was started."""
    config.option.nbval_sanitize_with = getattr(config.option, "nbval_sanitize_with", None) or str(
        _TESTS / "sanitize.cfg"
    )


COLLECTED = pytest.StashKey[set]()  # the files of all tests that were found, also of those that `-m` leaves out


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    config.stash[COLLECTED] = {item.path for item in items}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """The kernel of a notebook draws into the notebook; all else, child processes included, draws into files."""
    is_cell = item.path.suffix == ".ipynb"
    os.environ["MPLBACKEND"] = "inline" if is_cell else "Agg"
    if is_cell and item.cell.execution_count is None:
        pytest.fail("this cell was stored without having been run, and nbval would let it pass: type make notebooks")


def pytest_unconfigure(config):
    _HOME.cleanup()


@pytest.fixture
def collected_files(request):
    """The files of all tests that this run has found; None where it was asked for some only."""
    return request.config.stash[COLLECTED] if "tests" in request.config.args else None


@pytest.fixture
def course_home(tmp_path, monkeypatch):
    """An empty home for one test."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of two classes that anybody can tell apart: 24 + 8 pictures of red and of blue."""
    from torchvision.transforms.v2.functional import to_pil_image

    root = tmp_path_factory.mktemp("pictures")
    generator = torch.Generator().manual_seed(0)
    for split, count in (("train", 24), ("test", 8)):
        for label, name in enumerate(("blue", "red")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = torch.randint(0, 90, (3, 40, 48), generator=generator, dtype=torch.uint8)
                image[2 - 2 * label] += 150
                to_pil_image(image).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def lesson(request):
    """The variables that the lesson left behind whose tests these are: test_course08_conv2d.py is about Course08-…"""
    return _run(request.path).names


@pytest.fixture(scope="module")
def printed(request):
    """What that lesson printed."""
    return _run(request.path).printed


def _run(test_file):
    from lessons import LESSONS, run_lesson

    number = re.search(r"course(\d\d)", test_file.name)[1]
    (name,) = (name for name in LESSONS if name.startswith(f"Course{number}-"))
    return run_lesson(name)
