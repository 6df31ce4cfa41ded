"""No answer that was changed in one place passes, but those of which it is written down why they may."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from practice_proofs import LESSONS, name_of

HERE = Path(__file__).parent
EQUIVALENT = tomllib.loads((HERE / "practice_mutants.toml").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)
def test_every_change_of_an_answer_is_refused(lesson):
    """A program of its own tries them: one may never end, or break the process."""
    command = [sys.executable, HERE / "try_mutants.py", lesson.number]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800).stdout
    passed = [line.removeprefix("passed ") for line in output.splitlines() if line.startswith("passed ")]
    explained = EQUIVALENT.get(lesson.number, {})
    assert set(passed) == set(explained), output
    assert all(len(reason) > 20 for reason in explained.values())
