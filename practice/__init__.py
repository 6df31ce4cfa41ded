"""Exercises that judge themselves: `python -m practice`. Each lesson has exercises.py and solutions.py.

A solutions.py imports `Exercise`, `Mistake`, `PyTorchCalls`, `called` and `changed`. The last cell of a workbook calls
`check`.
"""

from importlib import import_module

__all__ = ["Exercise", "Mistake", "PyTorchCalls", "called", "changed", "check"]


def __getattr__(name: str):
    """These names import PyTorch, which takes seconds: not before one of them is used."""
    if name not in __all__:
        raise AttributeError(f"module 'practice' has no attribute {name!r}")
    return getattr(import_module("practice.child" if name == "check" else "practice.exercise"), name)
