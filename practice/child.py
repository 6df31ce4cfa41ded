"""Run a workbook cell by cell and judge its exercises: in the process that judge.py starts, or where a learner is.

What happens is told in lines of JSON: {"begin": cell}, {"number": exercise, "verdict": …}, {"note": what a cell without
a number did}, {"stuck": line} and {"end": true}. A learner's code cannot reach the pipe that they go through.
"""

import contextlib
import gc
import io
import json
import os
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from practice import words
from practice.exercise import Exercise, judge
from practice.lessons import Cell, Lesson, Verdict, find, split_cells
from practice.words import told

_judging = False  # whether this is the process that judges


class FirstLines(io.TextIOBase):
    """Keeps the first lines of what is printed, and counts the others."""

    def __init__(self, most: int = 20):
        self.lines, self.most = [""], most
        self.count = 0

    def write(self, text: str) -> int:
        if len(self.lines) <= self.most:
            first, *others = text.replace("\r", "\n").split("\n", self.most + 1)
            self.lines[-1] += first[: 200 - len(self.lines[-1])]
            self.lines += [line[:200] for line in others]
        self.count += text.count("\n") + text.count("\r")
        return len(text)

    def shown(self) -> list[str | list]:
        """The lines, and how many more there were."""
        lines = [line for line in self.lines[: self.most] if line.strip()]
        more = [told(words.MORE, count=self.count - self.most)] if self.count > self.most else []
        return lines + more


def check(name: str, names: dict) -> None:
    """Judge what a workbook has defined: its last cell calls it, in an editor, a notebook or a terminal."""
    if _judging or names.get("__name__") == "__mp_main__":  # a worker of a DataLoader reads the file again
        return
    from practice import screen

    lesson, _ = find(name)
    verdicts = {exercise.number: _judged(lesson, exercise, names) for exercise in lesson.exercises()}
    screen.show_verdicts(screen.make_console(), lesson, verdicts)


def _judged(lesson: Lesson, exercise: Exercise, names: dict, before_trial: Callable = lambda: None) -> Verdict:
    if exercise.name not in names:
        return Verdict("wrong", told(words.NOT_DEFINED, name=exercise.name))
    may_tell = lesson.tasks[exercise.number - 1].kind != "predict"
    out = FirstLines()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            verdict = judge(exercise, names[exercise.name], may_tell, before_trial)
        except Exception as error:  # noqa: BLE001  an object that even breaks ==, say
            verdict = Verdict("wrong", f"{exercise.name}: {type(error).__name__}: {error}"[:1000])
    return replace(verdict, printed=out.shown())


class Run:
    """One run of a workbook: `order` says which file, and what is to be left out because it was done before."""

    def __init__(self, lesson: Lesson, order: dict, send: Callable[..., None]):
        self.lesson, self.order, self.send = lesson, order, send
        self.exercises = {exercise.number: exercise for exercise in lesson.exercises()}
        self.starters = {cell.number: cell.code for cell in split_cells(lesson.starter)}
        self.deadline = float("inf")
        program = sys.modules["__main__"] = types.ModuleType("__main__")  # pickle looks there for a learner's classes
        program.__file__ = order["path"]
        self.names = vars(program)

    def all_cells(self) -> None:
        threading.Thread(target=self.watch, args=(threading.get_ident(),), daemon=True).start()
        cells = split_cells(self.order["text"])
        last = {cell.number: i for i, cell in enumerate(cells)}  # of two cells with the same number
        for i, cell in enumerate(cells):
            if i in self.order["skip"]:
                continue
            self.begin(i)
            problem, printed = self.one_cell(cell)
            if cell.number in self.order["judged"]:  # it ran for its names alone
                continue
            if cell.number in self.exercises and last[cell.number] == i:
                verdict = self.verdict(i, cell, problem, printed)
                self.send(number=cell.number, verdict=asdict(verdict))
            elif problem:
                self.send(note=problem)
        self.send(end=True)

    def one_cell(self, cell: Cell) -> tuple[list | None, list[str | list]]:
        """Run a cell. What went wrong in it, with the line, or None; and what it printed."""
        path, out = self.order["path"], FirstLines()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = "\n" * (cell.first_line - 1) + cell.text  # so that the lines have their numbers
                exec(compile(code, path, "exec", dont_inherit=True), self.names)
        except BaseException as error:  # noqa: BLE001  SystemExit and KeyboardInterrupt, too: learners do anything
            lines = [n for frame, n in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == path]
            if isinstance(error, SyntaxError) and error.filename == path:
                lines.append(error.lineno or cell.first_line)
            problem = traceback.format_exception_only(error)[-1].strip()[:1000]
            return told(words.IN_CELL, line=lines[-1] if lines else cell.first_line, problem=problem), out.shown()
        return None, out.shown()

    def verdict(self, i: int, cell: Cell, problem: list | None, printed: list[str | list]) -> Verdict:
        """What is to be said of the exercise of a cell that has run."""
        if cell.code == self.starters[cell.number]:
            return Verdict("todo")
        if problem:
            return Verdict("wrong", problem, printed=printed)
        exercise = self.exercises[cell.number]
        verdict = _judged(self.lesson, exercise, self.names, lambda: self.begin(i, trial=True))
        return replace(verdict, printed=printed + verdict.printed)

    def begin(self, i: int, trial: bool = False) -> None:
        self.deadline = time.monotonic() + self.order["seconds"]
        self.send(begin=i, trial=trial)

    def watch(self, main_thread: int) -> None:
        """When the time is up, tell which of the learner's lines runs, and end the process."""
        while time.monotonic() < self.deadline:
            time.sleep(0.05)
        frame = sys._current_frames().get(main_thread)
        while frame and frame.f_code.co_filename != self.order["path"]:
            frame = frame.f_back
        self.send(stuck=frame.f_lineno if frame else None)
        os._exit(1)


def main() -> None:
    """Import what takes long, wait for an order on standard input, carry it out."""
    global _judging
    _judging = True
    pipe, nowhere = os.dup(1), os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)

    def send(**event) -> None:
        os.write(pipe, (json.dumps(event) + "\n").encode())

    lesson, _ = find(sys.argv[1])
    lesson.exercises()  # their imports take seconds
    setup = "".join(cell.text for cell in split_cells(lesson.starter) if cell.title == "Setup")
    exec(setup, {})  # the learner's own is then quick
    if "optim" in (lesson.folder / "solutions.py").read_text(encoding="utf-8"):
        torch.optim.SGD([torch.zeros(1)])  # with the first optimizer, PyTorch imports its compiler: a second
    gc.freeze()  # judge.py has switched it off
    gc.enable()
    os.dup2(nowhere, 2)  # until here, an error is for the process that judges
    line = sys.stdin.readline()
    if not line:  # nobody needs this process any more
        return
    order = json.loads(line)
    os.dup2(nowhere, 0)
    sys.stdin = io.StringIO()  # input() then finds nothing
    sys.argv = [order["path"]]
    os.chdir(Path(order["path"]).parent)
    _limit_memory()
    Run(lesson, order, send).all_cells()
    os._exit(0)  # whatever threads a learner's code has started


def _limit_memory() -> None:
    """Let a learner's endless list end this process, and not the machine. Where the system can do that."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        Path("/proc/self/oom_score_adj").write_text("1000")
