"""Programs of the course as real processes that start at once: a server imports PyTorch once, and forks for each.

A trial that kills a training needs a process with signals, limits and an exit code of its own. It does not need to wait
three seconds for imports each time.
"""

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TRAIN, TEST = ROOT / "Course19-TrainGPU" / "train.py", ROOT / "Course20-ModelTest" / "test.py"
DEADLINE = 90  # seconds for what takes one or two: the machine may be busy with other things


def wait_for(condition, what, deadline: float = DEADLINE):
    """The first true answer of condition(). AssertionError where there is none in time; `what` may be a function."""
    end = time.monotonic() + deadline
    while not (answer := condition()):
        assert time.monotonic() < end, f"waited {deadline} s for {what() if callable(what) else what}"
        time.sleep(0.002)
    return answer


@dataclass
class Child:
    """A running program. `code` as subprocess has it: negative for a signal that nothing caught."""

    pid: int
    place: Path  # a folder for this child alone: what it printed, its exit code, the names of its steps

    @property
    def out(self) -> str:
        return (self.place / "out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return (self.place / "err").read_text(encoding="utf-8")

    @property
    def steps(self) -> str:
        """A letter for each batch so far: t where it was trained on, v where it was measured. See STEPS."""
        with contextlib.suppress(FileNotFoundError):
            return (self.place / "steps").read_text()
        return ""

    @property
    def peak(self) -> float:
        """The most memory that it ever had, in MB; only once it has ended."""
        return json.loads((self.place / "ended").read_text())[1] / (2**20 if sys.platform == "darwin" else 2**10)

    def ended(self) -> bool:
        return (self.place / "ended").exists()

    def wait(self, deadline: float = DEADLINE) -> int:
        wait_for(self.ended, lambda: f"the end of a child that printed:\n{self.out}\n{self.err}", deadline)
        return json.loads((self.place / "ended").read_text())[0]

    def signal(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def go_on(self) -> None:
        """For a child that waits in hold()."""
        (self.place / "go").touch()

    def until(self, text: str) -> "Child":
        """Wait until it has printed the text."""
        wait_for(lambda: text in self.out or self.ended(), f"{text!r}")
        assert text in self.out, self.err
        return self


class Server:
    """Forks children. Runs in the test process; the other end is serve()."""

    def __init__(self, folder: Path):
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def start(self, *argv, program: Path = TRAIN, first: dict[str, dict] | None = None, **environment) -> Child:
        """The program with these arguments. What `first` names in PREPARATIONS is called before: {name: arguments}."""
        self.count += 1
        place = self.folder / f"child-{self.count:03}"
        place.mkdir()
        for name in ("out", "err"):
            (place / name).touch()
        environment = {name: str(value) for name, value in environment.items()}
        job = {
            "argv": [str(a) for a in (program, *argv)],
            "place": str(place),
            "env": environment,
            "first": first or {},
        }
        self.process.stdin.write(json.dumps(job).encode() + b"\n")
        self.process.stdin.flush()
        return Child(int(self.process.stdout.readline()), place)

    def run(self, *argv, **kwargs) -> Child:
        """The same, when it has ended."""
        child = self.start(*argv, **kwargs)
        child.code = child.wait()
        return child

    def start_together(self, count: int, *argv, **kwargs) -> list[Child]:
        """As many processes that train one network, as torchrun would start them."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "trial"}
        shared |= {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        return [self.start(*argv, **kwargs, **shared, RANK=rank, LOCAL_RANK=rank) for rank in range(count)]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(DEADLINE)


# ---- The server's side -----------------------------------------------------------------------------------------------


def serve() -> None:
    """Fork a child for each line on standard input; note how each one ended. End with the input, and end them all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests, which then close the input
    for program in (TRAIN, TEST):
        runpy.run_path(str(program), run_name="imported")
    print("ready", flush=True)
    places = {}
    while True:
        if select.select([0], [], [], 0.01)[0]:
            line = b""
            while not line.endswith(b"\n"):
                if not (part := os.read(0, 65536)):
                    for pid in places:
                        os.kill(pid, signal.SIGKILL)
                    return
                line += part
            job = json.loads(line)
            pid = os.fork()
            if pid == 0:
                return become(**job)
            places[pid] = Path(job["place"])
            print(pid, flush=True)
        while places:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if not pid:
                break
            place = places.pop(pid)
            (place / "ending").write_text(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss]))
            (place / "ending").rename(place / "ended")


def become(argv: list[str], place: str, env: dict[str, str], first: dict[str, dict]) -> None:
    """Be `python argv…`, with the output in files."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(env)
    os.chdir(place)
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, "out", os.O_WRONLY), (2, "err", os.O_WRONLY)):
        os.dup2(os.open(name, flags | os.O_CREAT, 0o600), number)
    sys.argv = argv
    for name, arguments in first.items():
        PREPARATIONS[name](**arguments)
    runpy.run_path(argv[0], run_name="__main__")


# ---- What `first` may name, called in the child ----------------------------------------------------------------------


def note_steps(hold_at: int = 0) -> None:
    """Note each batch in the file `steps` when its loss is known; wait in the batch of that number for go_on()."""
    from trainer.state import EpochMetrics

    steps, update = os.open("steps", os.O_WRONLY | os.O_CREAT | os.O_APPEND), EpochMetrics.update
    count = 0

    def noted(self, loss, *rest):
        nonlocal count
        count += 1
        os.write(steps, b"t" if loss.requires_grad else b"v")
        if count == hold_at:
            hold()
        update(self, loss, *rest)

    EpochMetrics.update = noted


def hold(name: str = "go") -> None:
    """Wait for a file of that name. Signals arrive meanwhile."""
    wait_for(lambda: Path(name).exists(), f"the file {name}")


def die_before(event: str, name: str, count: int) -> None:
    """kill -9 this process just before it does something to a file for the count-th time. event: as sys.audit() says"""

    def hook(happens: str, args: tuple) -> None:
        nonlocal count
        if happens == event and name in str(args[0]) + str(args[1]):
            count -= 1
            if count == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def without_capabilities() -> None:
    """Be refused what a folder's mode refuses, even as root."""
    import ctypes

    if os.geteuid() == 0:
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        assert ctypes.CDLL(None).capset(header, nothing) == 0


def note_counts() -> None:
    """Write to the file `counts` over how many pictures, of all processes, each mean was taken."""
    from trainer import distributed
    from trainer.state import EpochMetrics

    compute = EpochMetrics.compute

    def noted(self):
        (count,) = distributed.all_reduce_sum([self.count])
        with Path("counts").open("a") as file:
            print(round(count), file=file)
        return compute(self)

    EpochMetrics.compute = noted


def note_reads() -> None:
    """Add a line to the file `reads` for each picture that this process decodes."""
    from common import data

    read_image = data.read_image

    def noted(path):
        with Path("reads").open("a") as file:
            print(path, file=file)
        return read_image(path)

    data.read_image = noted


def hold_before_claiming(go: str) -> None:
    """Print "here" and wait for the file `go` before a folder is claimed for a new run."""
    from trainer import runs

    create_run_dir = runs.create_run_dir

    def late(*args):
        print("here", flush=True)
        hold(go)
        return create_run_dir(*args)

    runs.create_run_dir = late


def limit_file_size(size: int) -> None:
    """Let no file grow beyond that many bytes."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


PREPARATIONS = {
    function.__name__: function
    for function in (
        note_steps,
        note_counts,
        note_reads,
        die_before,
        without_capabilities,
        hold_before_claiming,
        limit_file_size,
    )
}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    serve()
