"""Ctrl-C and SIGTERM that stop a training between two steps, not in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(Exception):
    """The run was asked to stop. `signum` is the signal: SIGINT is 2 (Ctrl-C), SIGTERM 15 (kill, a shutdown)."""

    def __init__(self, signum: int, advice: str = ""):
        super().__init__(f"stopped by {signal.Signals(signum).name}" + f"; {advice}" * bool(advice))
        self.signum = signum


class StopSignals:
    """A context in which SIGINT and SIGTERM raise Stopped: at once, or, while `deferred` is True, when it suits.

    With `deferred` the first signal is kept in `received` (0 before), to be looked at between two steps. A second one
    raises Stopped wherever the program is; where files are moved into place whole, that does no harm. `advice` goes
    into the message. Outside of Python's main thread no signal arrives, and none is waited for.
    """

    def __init__(self):
        self.deferred, self.received, self.advice = False, 0, ""

    def __enter__(self) -> "StopSignals":
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._handle) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """For a while, do not defer: what runs here can be stopped anywhere, because nothing is lost with it."""
        self.deferred = False
        try:
            if self.received:
                raise Stopped(self.received, self.advice)
            yield
        finally:
            self.deferred = True

    def _handle(self, signum: int, frame) -> None:
        if self.received or not self.deferred:
            raise Stopped(signum, self.advice)
        self.received = signum
