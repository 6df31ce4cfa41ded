"""The two settings for CPUs, each seen to work in a process of its own."""

import os
import platform
import subprocess
import sys

import pytest

from common.cpu import SLEEP_SOON
from common.paths import REPOSITORY

FAULTS = """
import mmap, resource, sys
sys.path.insert(0, {root!r})
import common.cpu
if {keep}:
    common.cpu.keep_freed_memory()
for i in range(100):
    if i == 10:  # the first rounds may well get memory from the system
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(b"x") * 8_000_000 for _ in range(3)]  # three times the activations of a layer, written to
    del blocks
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 90)
"""


def child(code, **environment):
    """What a fresh interpreter prints."""
    environment = {k: v for k, v in os.environ.items() if k not in SLEEP_SOON} | environment
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_blocks_as_large_as_activations_cost_page_faults_unless_freed_memory_is_kept():
    without, kept = (float(child(FAULTS.format(root=str(REPOSITORY), keep=keep))) for keep in (False, True))
    assert without > 1000 and kept < 20, "page faults a round; 24 MB are 5,859 pages of 4 KB"


LOOK = f"import os; from common.cpu import tune_cpu; tune_cpu(); print([os.environ.get(k) for k in {list(SLEEP_SOON)}])"


def test_waiting_threads_are_told_to_sleep_before_torch_is_loaded():
    assert child(LOOK) == str(list(SLEEP_SOON.values()))
    assert child("import sys; from common.cpu import tune_cpu; tune_cpu(); print('torch' in sys.modules)") == "False"


def test_what_somebody_has_set_is_left_as_it_is():
    assert child(LOOK, OMP_WAIT_POLICY="active") == "['active', None]"


@pytest.mark.parametrize("script", ["Course19-TrainGPU/train.py", "Course20-ModelTest/test.py"])
def test_the_programs_choose_the_settings_before_they_import_torch(script):
    """And only as programs: who imports their functions keeps the settings of the process."""
    path = str(REPOSITORY / script)
    spy = f"""
import runpy, sys, common.cpu
def tune_cpu():
    print('torch' in sys.modules)
    sys.exit()
common.cpu.tune_cpu = tune_cpu
sys.path.insert(0, {str((REPOSITORY / script).parent)!r})
runpy.run_path({path!r}, run_name="__main__")
"""
    assert child(spy) == "False"
    assert child(spy.replace("__main__", "imported")) == ""
