"""Exercises that judge themselves: `python -m practice`. Each lesson has exercises.py and solutions.py.

A solutions.py imports `Exercise`, `Mistake`, `called` and `changed`; the last cell of a workbook calls `check`.
"""

from practice.exercise import Exercise, Mistake, called, changed

__all__ = ["Exercise", "Mistake", "called", "changed"]
