"""Measure how long a learner waits: from the start to the first verdicts, and from a save to its answer.

Run   python tools/measure_practice.py [LESSON …]      all lessons, or those of these numbers: 08

Starts `python -m practice` on a terminal of its own (Linux and macOS), on a workbook that holds the answers and has
never been judged. Then it saves a change, and waits for the verdict on it. Measure on an idle machine.
"""

import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.paths import REPOSITORY
from practice.lessons import Lesson, all_lessons, find, split_cells

WARM_UP = 8.0  # seconds after which the process for the next save has surely imported PyTorch
DEADLINE = 120.0


def with_answers(lesson: Lesson, but: int | None = None) -> str:
    """A workbook with all answers; that to one exercise is a wrong value."""
    texts = []
    exercises = {exercise.number: exercise for exercise in lesson.exercises()}
    for cell in split_cells(lesson.starter):
        code = exercises[cell.number].source() if cell.number else ""
        if cell.number == but and but:
            code = f"{exercises[but].name} = None\n"
        texts.append(f"{cell.text.splitlines()[0]}\n{code}\n" if cell.number else cell.text)
    return "".join(texts)


def seconds_until(terminal: int, text: str) -> float:
    """How long it takes until this is shown."""
    seen, started = "", time.monotonic()
    while text not in seen:
        if time.monotonic() - started > DEADLINE:
            raise SystemExit(f"waited {DEADLINE:g} s for {text!r} and saw:\n{seen}")
        if select.select([terminal], [], [], 0.01)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace")
    return time.monotonic() - started


def measure(lesson: Lesson) -> tuple[float, float]:
    """(start until the first verdicts, save until its answer), in seconds."""
    last = lesson.tasks[-1].number
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "workbook" / f"{lesson.name}.py"
        path.parent.mkdir()
        path.write_text(with_answers(lesson, but=last), encoding="utf-8")
        own, its = pty.openpty()
        environment = os.environ | {"COURSE_HOME": home, "COLUMNS": "80", "LINES": "24", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "practice", lesson.number]
        program = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdin=its, stdout=its, stderr=its)
        try:
            start = seconds_until(own, f"✗ {last}.")
            time.sleep(WARM_UP)
            path.write_text(with_answers(lesson, but=1), encoding="utf-8")
            return start, seconds_until(own, "✗ 1.")
        finally:
            program.terminate()
            program.wait()
            os.close(own)
            os.close(its)


def main() -> int:
    lessons = [find(name)[0] for name in sys.argv[1:]] or all_lessons()
    for lesson in lessons:
        start, save = measure(lesson)
        print(f"{lesson.name:28} start {start:5.2f} s   save {save:5.2f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
