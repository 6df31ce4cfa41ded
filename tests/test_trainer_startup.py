"""What a program does before it imports PyTorch, each thing seen in a process of its own."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.paths import REPOSITORY
from trainer.startup import SLEEP_SOON

FAULTS = """
import mmap, resource, sys
sys.path.insert(0, {root!r})
import trainer.startup
if {keep}:
    trainer.startup.keep_freed_memory()
for i in range(100):
    if i == 10:  # the first rounds may well get memory from the system
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(b"x") * 8_000_000 for _ in range(3)]  # three times the activations of a layer, written to
    del blocks
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 90)
"""


def child(code, **environment):
    """What a fresh interpreter prints, in which nothing is settled yet."""
    settled = {*SLEEP_SOON, "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}  # some of it by conftest.py
    environment = {k: v for k, v in os.environ.items() if k not in settled} | environment
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_blocks_as_large_as_activations_cost_page_faults_unless_freed_memory_is_kept():
    without, kept = (float(child(FAULTS.format(root=str(REPOSITORY), keep=keep))) for keep in (False, True))
    assert without > 1000 and kept < 20, "page faults a round; 24 MB are 5,859 pages of 4 KB"


LOOK = "import os; from trainer.startup import tune_cpu; tune_cpu(); "
LOOK += f"print([os.environ.get(k) for k in {list(SLEEP_SOON)}])"


def test_waiting_threads_are_told_to_sleep_before_torch_is_loaded():
    assert child(LOOK) == str(list(SLEEP_SOON.values()))
    assert (
        child("import sys; from trainer.startup import tune_cpu; tune_cpu(); print('torch' in sys.modules)") == "False"
    )


def test_what_somebody_has_set_is_left_as_it_is():
    assert child(LOOK, OMP_WAIT_POLICY="active") == "['active', None]"


SPY = """
import runpy, sys
from trainer import startup
startup.prepare = print
class NoTorch:
    def find_spec(name, *rest):
        if name == 'torch':
            print('import torch')
            sys.exit()
sys.meta_path.insert(0, NoTorch)
sys.path.insert(0, {folder!r})
runpy.run_path({path!r}, run_name={run_name!r})
"""


@pytest.mark.parametrize("script", ["Course19-TrainGPU/train.py", "Course20-ModelTest/test.py"])
def test_the_programs_prepare_before_they_import_torch(script):
    """And only as programs: to import their functions leaves the settings of the process as they are."""
    path = REPOSITORY / script
    names = {"folder": str(path.parent), "path": str(path)}
    assert child(SPY.format(run_name="__main__", **names)) == f"{path.name}\nimport torch"
    assert child(SPY.format(run_name="imported", **names)) == "import torch"


@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
@pytest.mark.parametrize("script", ["Course19-TrainGPU/train.py", "Course20-ModelTest/test.py"])
def test_ctrl_c_while_torch_is_imported_is_one_line(script, tmp_path):
    """The stand-in for PyTorch is never done with being imported."""
    (tmp_path / "torch.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(60)\n")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"], str(REPOSITORY)])
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    program = subprocess.Popen([sys.executable, REPOSITORY / script], env=environment, **pipes)
    assert program.stdout.readline() == "importing\n"
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert (program.returncode, err) == (130, f"\n{Path(script).name}: stopped\n")
