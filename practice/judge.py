"""Judge workbooks, each in a process of its own: whatever a learner's code does there, the others are still judged."""

import contextlib
import functools
import hashlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from common import UserError
from common.paths import REPOSITORY, atomic_write
from practice import words
from practice.lessons import Cell, Lesson, Verdict, codes_of, split_cells
from practice.words import say, told
from practice.workbook import Workbook, workbook_folder

SECONDS = float(os.environ.get("PRACTICE_SECONDS", 10))  # for one cell, and for one trial
SLACK = 3.0  # more that a process gets to say itself where it is stuck
START = 120.0  # for the imports, on a machine that is busy with other things
REMEMBERED = 1000  # judged workbooks
NOTHING = contextlib.nullcontext()


@dataclass
class Judged:
    """What came of a workbook."""

    verdicts: dict[int, Verdict] = field(default_factory=dict)
    notes: list[str | list] = field(default_factory=list)  # what is wrong elsewhere: in the Setup cell, say
    is_final: bool = True  # not where a time limit or the end of a process decided

    @property
    def done(self) -> int:
        return sum(verdict.state == "done" for verdict in self.verdicts.values())


class Memory:
    """What is kept between two starts: verdicts, by the content of all that they depend on, and hints that were shown.

    All of it can be had again. So a file that cannot be read or written is no failure.
    """

    @property
    def path(self) -> Path:
        return workbook_folder() / ".verdicts.json"

    def read(self) -> dict:
        """{"verdicts": {digest: …}, "hints": {"08.2": how many}}"""
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if isinstance(kept, dict) and all(isinstance(kept.get(name), dict) for name in ("verdicts", "hints")):
                return kept
        return {"verdicts": {}, "hints": {}}

    def write(self, kind: str, key: str, value: dict | int) -> None:
        kept = self.read()
        kept[kind].pop(key, None)  # what is written last stands last
        kept[kind][key] = value
        kept["verdicts"] = dict(list(kept["verdicts"].items())[-REMEMBERED:])
        with contextlib.suppress(UserError, OSError), atomic_write(self.path) as beside:
            beside.write_text(json.dumps(kept), encoding="utf-8")

    def verdicts(self, key: str) -> Judged | None:
        try:
            kept = self.read()["verdicts"][key]
            verdicts = {int(number): Verdict(**verdict) for number, verdict in kept["verdicts"].items()}
            return Judged(verdicts, list(kept["notes"]), bool(kept["is_final"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


class Child:
    """A process that has imported PyTorch and a lesson's solutions, and waits for a workbook."""

    def __init__(self, lesson: Lesson):
        self.lesson = lesson
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        # What is imported stays: to look for garbage in it takes a fifth of the time. main() looks again.
        program = "import gc; gc.disable(); from practice.child import main; main()"
        # -P: nothing that lies beside a learner's file is imported instead of a module of Python's
        command = [sys.executable, "-P", "-c", program, lesson.name]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for this process, which then ends that one
        )
        self.events = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(ValueError):  # a line that was cut short when the process was killed
            for line in self.process.stdout:
                self.events.put(json.loads(line))
        self.events.put(None)

    def start(self, order: dict) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has died: the events say so
            self.process.stdin.write((json.dumps(order) + "\n").encode())
            self.process.stdin.close()

    def last_words(self) -> str:
        """Why it could not start: once it has begun, it writes no errors."""
        self.end()
        return self.process.stderr.read().decode(errors="replace").strip().split("\n")[-1]

    def end(self, patience: float = 0) -> int:
        """Kill what still runs of it after that many seconds. Returns how it ended, as subprocess has it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self.process.kill()
        return self.process.wait()


class Judge:
    """Judges workbooks, and keeps processes ready for the next ones."""

    def __init__(self):
        self.ready: list[Child] = []
        self.memory = Memory()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *exception) -> None:
        self.prepare()

    def prepare(self, *lessons: Lesson) -> None:
        """Have a process ready for each of these lessons, and no other."""
        wanted = [self.take(lesson) for lesson in lessons]
        for child in self.ready:
            child.end()
        self.ready = wanted

    def take(self, lesson: Lesson) -> Child:
        """A process that is ready, or a new one."""
        fitting = [child for child in self.ready if child.lesson == lesson and child.process.poll() is None]
        child = fitting[0] if fitting else Child(lesson)
        self.ready = [other for other in self.ready if other is not child]
        return child

    def known(self, workbook: Workbook) -> Judged | None:
        """What is known without running anything. UserError for a file that cannot be read."""
        text = workbook.read()
        if codes_of(text) == codes_of(workbook.lesson.starter):
            return Judged({task.number: Verdict("todo") for task in workbook.lesson.tasks})
        return self.memory.verdicts(_key(workbook.lesson, text))

    def judge(self, workbook: Workbook, again: bool = False, meanwhile: AbstractContextManager = NOTHING) -> Judged:
        """What is known, or what comes of running it. again: run it where a time limit decided the last time."""
        known, text = self.known(workbook), workbook.read()
        if known and (known.is_final or not again):
            return known
        with meanwhile:
            judged = self.run(workbook, text)
        self.memory.write("verdicts", _key(workbook.lesson, text), asdict(judged))
        return judged

    def run(self, workbook: Workbook, text: str) -> Judged:
        """Run it, cell by cell; again without a cell that ended the process or did not end."""
        lesson, judged, skip, cells = workbook.lesson, Judged(), [], split_cells(text)
        numbers = [task.number for task in lesson.tasks]
        for missing in set(numbers) - {cell.number for cell in cells}:
            judged.verdicts[missing] = Verdict("wrong", told(words.MISSING, which=f"{lesson.number}.{missing}"))
        while True:
            child = self.take(lesson)
            order = {"path": str(workbook.path), "text": text, "seconds": SECONDS, "skip": skip}
            child.start(order | {"judged": list(judged.verdicts)})
            try:
                problem = self.follow(child, cells, judged)
            finally:
                child.end()
            if problem is None:
                judged.verdicts = {number: judged.verdicts[number] for number in numbers}
                return judged
            judged.is_final = False
            i, in_trial, what = problem
            if cells[i].number in numbers:
                judged.verdicts[cells[i].number] = Verdict("wrong", what)
            else:
                judged.notes.append(what)
            if not in_trial:
                skip.append(i)

    def follow(self, child: Child, cells: list[Cell], judged: Judged) -> tuple[int, bool, list] | None:
        """Note what a run says. (cell, whether in its trial, what to tell) where it did not come to its end."""
        place = None
        while True:
            try:
                event = child.events.get(timeout=SECONDS + SLACK if place else START) or {"died": child.end(1)}
            except queue.Empty:
                event = {"stuck": None}
            match event:
                case {"begin": i, "trial": in_trial}:
                    place = (i, in_trial)
                case {"number": number, "verdict": verdict}:
                    judged.verdicts[number] = Verdict(**verdict)
                case {"note": note}:
                    if note not in judged.notes:
                        judged.notes.append(note)
                case {"end": True}:
                    return None
                case {"stuck": line} if place:
                    line = line or cells[place[0]].first_line
                    return *place, told(words.STUCK, line=line, seconds=SECONDS)
                case {"died": code} if place:
                    return *place, _how_it_died(code, cells[place[0]].first_line)
                case _:
                    problem = child.last_words() or f"{event}"
                    raise UserError(say(words.NOT_JUDGED, problem=problem, lesson=child.lesson.name))


def _how_it_died(code: int, line: int) -> list:
    if code >= 0:
        return told(words.LEFT, line=line, code=code)
    if -code == getattr(signal, "SIGKILL", 9):
        return told(words.KILLED, line=line)
    return told(words.CRASHED, line=line, how=signal.Signals(-code).name)


@functools.cache
def _course(lesson: Lesson) -> bytes:
    """What verdicts depend on besides the workbook: the exercises, the answers, and how they are judged."""
    files = [lesson.folder / "solutions.py", *sorted((REPOSITORY / "practice").glob("*.py"))]
    return b"\0".join([lesson.starter.encode(), *(file.read_bytes() for file in files)])


def _key(lesson: Lesson, text: str) -> str:
    return hashlib.sha256(_course(lesson) + b"\0" + text.encode(errors="replace")).hexdigest()[:32]
