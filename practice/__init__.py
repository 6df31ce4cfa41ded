"""Exercises that judge themselves: `python -m practice`. Each lesson has exercises.py and solutions.py.

A solutions.py imports `Exercise`, `Mistake`, `called` and `changed`; the last cell of a workbook calls `check`.
"""

__all__ = ["Exercise", "Mistake", "called", "changed", "check"]


def __getattr__(name: str):
    """These names import PyTorch, which takes seconds: not before one of them is used."""
    if name == "check":
        from practice.child import check

        return check
    if name in __all__:
        from practice import exercise

        return getattr(exercise, name)
    raise AttributeError(f"module 'practice' has no attribute {name!r}")
