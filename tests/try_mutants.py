"""Judge each answer with one operator, constant or line changed: python tests/try_mutants.py 08 [NUMBER]

Prints a line for each one that passes though it is not the answer, and how many were refused. Run it from the root.
"""

import ast
import signal
import sys

from practice_proofs import LESSONS, mutants, run_cells, verdict_on

SECONDS = 20  # for one mutant: some never end


def stop(signum, frame):
    raise TimeoutError


def try_all(lesson, only: int | None) -> None:
    refused = 0
    for exercise in lesson.exercises():
        if not callable(exercise.answer) or (only and exercise.number != only):
            continue
        source = exercise.source()
        for words, code in mutants(source):
            if code == ast.unparse(ast.parse(source)):
                continue
            signal.alarm(SECONDS)
            try:
                names = run_cells(lesson, exercise.number, code)
                passed = verdict_on(lesson, exercise, names[exercise.name]).state == "done"
            except (Exception, SystemExit):  # noqa: BLE001  it could not be defined, or never ended: that is seen
                passed = False
            finally:
                signal.alarm(0)
            refused += not passed
            if passed:
                print(f"passed {exercise.number} {words}", flush=True)
    print(f"refused {refused}")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, stop)
    try_all(LESSONS[sys.argv[1]], int(sys.argv[2]) if len(sys.argv) > 2 else None)
