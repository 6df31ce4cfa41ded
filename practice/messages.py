"""The words of the exercises: English as in exercises.py and solutions.py, or those of a table in Chinese.

CourseNN-Name/messages.zh-CN.toml holds the Chinese titles, tasks, hints and rows of a lesson. What is missing there is
said in English.
"""

import hashlib
import re

from practice.lessons import Lesson, split_cells


def english_task(lesson: Lesson, number: int) -> tuple[str, str]:
    """(title, task) of an exercise: the task is the comment below its mark, without the `# `."""
    (cell,) = (cell for cell in split_cells(lesson.starter) if cell.number == number)
    comment = re.match(r".*\n((?:#.*\n)*)", cell.text)[1]
    return lesson.tasks[number - 1].title, re.sub(r"^# ?", "", comment, flags=re.MULTILINE).strip("\n")


def task_fingerprint(lesson: Lesson, number: int) -> str:
    """Eight digits that are different after a change of the English title or task, and not after a new line break."""
    words = " ".join(" ".join(english_task(lesson, number)).split())
    return hashlib.sha256(words.encode()).hexdigest()[:8]
