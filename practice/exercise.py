"""One exercise: its answer, a trial that tells right from wrong, and the wrong answers that people do give."""

import contextlib
import functools
import inspect
import io
import math
import random
import re
import textwrap
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from practice import words
from practice.lessons import Verdict
from practice.words import told

TO_DO = ...  # what stands in a starter where something is to be written


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people do give, and the hint that helps them: what the mistake is, never the answer."""

    hint: str
    answer: Any
    section: int | str | None = None  # of the notes, where it is not the exercise's: 4, or "Course05 4"


@dataclass(frozen=True)
class Exercise:
    """What a learner defines under `name`, and how it is judged.

    trial(answer) yields rows: what was tried, what came, what is right, worked out without the answer. A fourth item is
    the tolerance of that row. The first row that is wrong is the one that a learner is told of.
    """

    number: int
    name: str
    section: int | str  # of the notes, where the lesson speaks of it: 4, or "Course05 4" for a different lesson
    answer: Any  # a plain value, or a function or class written in solutions.py, with nothing around it
    trial: Callable[[Any], Iterable[tuple]]
    hints: tuple[str, ...]  # each a little clearer; none is the answer
    mistakes: tuple[Mistake, ...]

    def source(self) -> str:
        """The answer as a learner would write it."""
        return source_of(self.answer) if _is_code(self.answer) else f"{self.name} = {self.answer!r}\n"


@dataclass(frozen=True)
class Difference:
    """The first row that is not right. `got` is an exception where one was raised."""

    row: int
    what: str
    got: Any
    expected: Any = None
    tolerance: float = 1e-4

    def same_as(self, other: "Difference | None") -> bool:
        """Whether a different answer went wrong in the same row, in the same way."""
        if other is None or (self.row, self.what) != (other.row, other.what):
            return False
        if isinstance(self.got, BaseException):
            return type(self.got) is type(other.got) and str(self.got) == str(other.got)
        return same(other.got, self.got) or same(self.got, other.got)  # 6 where the mistake has 6.0, and the reverse


def changed(answer: Any, old: str, new: str) -> Any:
    """The same function or class with a piece of its source replaced: how a mistake differs from the answer."""
    source = source_of(answer)
    if old not in source:
        raise ValueError(f"{old!r} does not stand in {answer.__name__}")
    code = source.replace(old, new)
    names = dict(vars(inspect.getmodule(answer)) if isinstance(answer, type) else answer.__globals__)
    exec(code, names)
    mistaken = names[answer.__name__]
    mistaken.changed_source = code
    return mistaken


def called(function: Callable, *args, **kwargs) -> tuple[str, Any]:
    """The first two items of a row: the call in words, output_size(32, 3, stride=2), and what it returned."""
    return _call_in_words(function, args, kwargs), function(*args, **kwargs)


class PyTorchCalls(TorchFunctionMode):
    """Notes in `names`, while it is on, the functions of PyTorch that are called and have one of these words in a name.

    An exercise that says "without PyTorch's own" sees with it whether an answer borrows one, by whatever way.
    """

    def __init__(self, *words: str):
        super().__init__()
        self.words, self.names = words, []

    def __torch_function__(self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(function, "__name__", "")
        if name not in self.names and any(word in name for word in self.words):
            self.names.append(name)
        return function(*args, **(kwargs or {}))


def _call_in_words(function: Callable, args: tuple, kwargs: dict) -> str:
    words = [_briefly(value) for value in args] + [f"{name}={_briefly(value)}" for name, value in kwargs.items()]
    return f"{function.__name__}({', '.join(words)})"


def _briefly(value: Any) -> str:
    """The same as shown(), but Sequential(…) for a network, which would push what is told of the call out of sight."""
    has_layers = isinstance(value, nn.Module) and vars(value).get("_modules")
    return f"{type(value).__name__}(…)" if has_layers or isinstance(value, torch.optim.Optimizer) else shown(value)


def source_of(answer: Any) -> str:
    """The source of a function or class."""
    return getattr(answer, "changed_source", None) or textwrap.dedent(inspect.getsource(answer))


def judge(
    exercise: Exercise, answer: Any, may_tell: bool = True, before_trial: Callable[[], None] = lambda: None
) -> Verdict:
    """The verdict on an answer. may_tell: whether what is right may be said: not for a prediction.

    before_trial is called before each trial: that of the answer, which may print, and those of the known mistakes.
    """
    if answer is TO_DO:
        return Verdict("todo")
    if problem := _wrong_kind(exercise, answer):
        return Verdict("wrong", problem)
    spy = _spied(answer) if isinstance(answer, types.FunctionType) else None
    before_trial()
    difference = first_difference(exercise, spy or answer)
    if difference is None:
        return Verdict("done")
    if difference.got is TO_DO or (spy and spy.result is TO_DO):
        return Verdict("todo")
    what = _told(exercise, difference, spy, may_tell)
    for mistake in exercise.mistakes:
        before_trial()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            known = first_difference(exercise, mistake.answer)
        if difference.same_as(known):
            return Verdict("wrong", what, mistake.hint, mistake.section or exercise.section)
    return Verdict("wrong", what)


def first_difference(exercise: Exercise, answer: Any) -> Difference | None:
    """The first row of the trial that is wrong, or what was raised in it; None where all is right."""
    row = 0
    try:
        with as_in_a_trial():
            for row, (what, got, expected, *tolerance) in enumerate(exercise.trial(answer), start=1):
                if not same(got, expected, *tolerance):
                    return Difference(row, what, got, expected, *tolerance)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a learner's code raises, they are told
        return Difference(row + 1, "it", error)
    return None


@contextlib.contextmanager
def as_in_a_trial() -> Iterator[None]:
    """The same random numbers, one thread, gradients and float32, whatever a cell has left; then all as before."""
    threads, grad, dtype = torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()
    random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums come out the same on every machine
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)


def same(got: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Whether two values are equal; numbers up to a relative and absolute tolerance. A list may stand for a tuple.

    A whole number may stand where a number with a fraction is right, and not the other way round. Tensors must agree
    in shape and dtype, too.
    """
    if isinstance(expected, Tensor):
        is_alike = isinstance(got, Tensor) and (got.shape, got.dtype) == (expected.shape, expected.dtype)
        return is_alike and torch.allclose(got.detach().cpu(), expected.detach(), tolerance, tolerance, equal_nan=True)
    if isinstance(expected, list | tuple):
        is_alike = isinstance(got, list | tuple) and len(got) == len(expected)
        return is_alike and all(same(g, e, tolerance) for g, e in zip(got, expected, strict=True))
    if isinstance(expected, dict):
        is_alike = isinstance(got, dict) and got.keys() == expected.keys()
        return is_alike and all(same(got[key], value, tolerance) for key, value in expected.items())
    if isinstance(expected, float) and isinstance(got, int | float) and not isinstance(got, bool):
        both_nan = math.isnan(got) and math.isnan(expected)
        return both_nan or math.isclose(got, expected, rel_tol=tolerance, abs_tol=tolerance)
    if type(got) is not type(expected):
        return False
    equal = got == expected
    return bool(equal.all() if hasattr(equal, "all") else equal)  # NumPy compares number by number


def _spied(function: Callable) -> Callable:
    """A learner's function that notes its last call: what went in, and what came out."""

    @functools.wraps(function)
    def spy(*args, **kwargs):
        spy.call, spy.returned = _call_in_words(function, args, kwargs), False
        spy.result = function(*args, **kwargs)
        spy.returned = True
        return spy.result

    spy.call, spy.result, spy.returned = "", None, False
    return spy


def _is_code(value: Any) -> bool:
    return isinstance(value, types.FunctionType | type)


def _wrong_kind(exercise: Exercise, answer: Any) -> list | None:
    """What to tell where a function was asked for and no function came, or the like."""
    problem = None
    if isinstance(exercise.answer, type):
        problem = None if isinstance(answer, type) else words.MUST_BE_CLASS
    elif callable(exercise.answer):
        problem = None if callable(answer) else words.MUST_BE_FUNCTION
    elif answer is None or callable(answer):
        problem = words.MUST_BE_VALUE
    return told(problem, name=exercise.name, value=described(answer)) if problem else None


def _told(exercise: Exercise, difference: Difference, spy: Callable | None, may_tell: bool) -> list:
    got, expected, what = difference.got, difference.expected, difference.what
    if isinstance(got, BaseException):
        if spy and spy.returned:  # the trial could not go on with what it was given
            then = told(words.USED, error=_raised(got)) if callable(spy.result) else told(words.NOTHING_TO_USE)
            return told(words.RETURNED, call=spy.call, value=described(spy.result), then=then)
        return told(words.RAISED, call=spy.call if spy else exercise.name, error=_raised(got))
    if got is None and spy and spy.result is None:
        return told(words.GOT_NONE, what=what)
    if not may_tell:
        return told(words.IS_NOT, what=what, got=described(got))
    if isinstance(got, Tensor) and isinstance(expected, Tensor) and got.shape == expected.shape:
        if got.dtype != expected.dtype:
            return told(words.DTYPE, what=what, got=str(got.dtype), expected=str(expected.dtype))
        wrong = ~torch.isclose(got.detach(), expected.detach(), rtol=difference.tolerance, atol=difference.tolerance)
        if got.numel() > 12 and wrong.any():
            place = tuple(wrong.nonzero()[0].tolist())
            both = {"got": f"{got[place].item():.4g}", "expected": f"{expected[place].item():.4g}"}
            count = {"count": int(wrong.sum()), "total": got.numel()}
            return told(words.NUMBERS, what=what, place=str(list(place)), **count, **both)
    if type(got) is type(expected) or (isinstance(got, list | tuple) and isinstance(expected, list | tuple)):
        return told(words.GOT, what=what, got=shown(got), expected=shown(expected))
    return told(words.GOT, what=what, got=described(got), expected=described(expected))


def _raised(error: BaseException) -> str | list:
    """An exception, the first two lines of its text, and the line of the workbook where it arose, if it was there."""
    text = " ".join(line.strip() for line in str(error).strip().split("\n")[:2])
    text = f"{type(error).__name__}: {text}"[:1000]
    own = ("__main__", "workbook")  # the program that runs, as Python names it
    lines = [n for frame, n in traceback.walk_tb(error.__traceback__) if frame.f_globals.get("__name__") in own]
    return told(words.AT_LINE, error=text, line=lines[-1]) if lines else text


def described(value: Any) -> str | list:
    """A value with its type: 7.5 (a float)."""
    if value is None:
        return "None"
    if _is_code(value):
        return told(words.THE_CLASS if isinstance(value, type) else words.THE_FUNCTION, name=value.__name__)
    kind = type(value).__name__
    return told(words.AN if kind[0] in "aeioAEIO" else words.A, value=shown(value), kind=kind)


def shown(value: Any) -> str:
    """A value in at most 80 characters; a large tensor by its shape, and a path by its name."""
    if isinstance(value, Tensor):
        if value.numel() > 12:
            return f"tensor {tuple(value.shape)}"
        value = value.detach()
    if type(value) is float and math.isfinite(value):
        return str(float(f"{value:.7g}"))
    try:
        text = re.sub(r" at 0x[0-9a-fA-F]+\b", "", " ".join(repr(value).split()))  # no addresses in memory
        text = re.sub(r"\w*Path\('(?:[^']*/)?([^'/]*)'\)", r"\1", text)
    except Exception:  # noqa: BLE001  a learner's own __repr__
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:77]}…"
