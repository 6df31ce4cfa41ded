"""Every exercise: what stands there first is to do, the answer passes, and no wrong answer does."""

import re
import time

import pytest
from practice_proofs import LESSONS, exercises, name_of, run_cells, told, verdict_on

from common.paths import REPOSITORY
from practice.lessons import split_cells

each_exercise = pytest.mark.parametrize(("lesson", "exercise"), exercises(), ids=name_of)
each_lesson = pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)


@each_lesson
def test_tasks_and_solutions_belong_together(lesson):
    cells = [cell for cell in split_cells(lesson.starter) if cell.number]
    solutions = lesson.exercises()
    assert [cell.number for cell in cells] == [task.number for task in lesson.tasks] == [e.number for e in solutions]
    assert [cell.number for cell in cells] == list(range(1, len(cells) + 1))
    for cell, exercise in zip(cells, solutions, strict=True):
        assert re.search(rf"^(def |class |){exercise.name}\b", cell.text, re.MULTILINE), exercise.name
    last = split_cells(lesson.starter)[-1].text
    assert last == f'# %% Check\nfrom practice import check\n\ncheck("{lesson.name}", globals())\n'


@each_lesson
def test_your_turn_in_the_notes_lists_the_exercises(lesson):
    notes = (lesson.folder / "notes.md").read_text(encoding="utf-8")
    section = notes.split("\n## Your turn\n")[1].split("\n#")[0]
    listed = [f"{task.number}. {task.title} ({task.kind}, {task.minutes} min)" for task in lesson.tasks]
    assert re.findall(r"^\d+\. .*$", section, re.MULTILINE) == listed
    assert "python -m practice" in section


@each_lesson
def test_a_lesson_has_five_exercises_most_of_them_to_write(lesson):
    kinds = [task.kind for task in lesson.tasks]
    assert len(kinds) >= 5
    assert kinds.count("predict") <= 2 and kinds.count("write") >= 2
    assert "mend" in kinds or "find out" in kinds


def test_the_course_has_more_than_a_hundred_exercises_and_at_most_a_third_are_predictions():
    kinds = [task.kind for lesson in LESSONS.values() for task in lesson.tasks]
    assert sorted(LESSONS) == [f"{n:02}" for n in range(21)]
    assert len(kinds) >= 105
    assert kinds.count("predict") <= len(kinds) / 3
    assert sum(len(exercise.mistakes) for _, exercise in exercises()) >= 280


@each_exercise
def test_what_stands_there_first_is_not_done(lesson, exercise):
    (task,) = (task for task in lesson.tasks if task.number == exercise.number)
    verdict = verdict_on(lesson, exercise, run_cells(lesson, exercise.number)[exercise.name])
    if task.kind == "mend":
        assert verdict.state == "wrong" and verdict.hint, "the code that is to be mended makes a known mistake"
    else:
        assert verdict.state == "todo"


@each_exercise
def test_the_answer_is_done_in_five_seconds_where_a_learner_writes_it(lesson, exercise):
    started = time.process_time()
    names = run_cells(lesson, exercise.number, exercise.source())
    assert verdict_on(lesson, exercise, names[exercise.name]).state == "done"
    assert time.process_time() - started < 5


@each_exercise
def test_each_known_mistake_is_refused_with_its_own_hint(lesson, exercise):
    (task,) = (task for task in lesson.tasks if task.number == exercise.number)
    assert len(exercise.mistakes) >= (3 if task.kind == "write" else 2)
    for mistake in exercise.mistakes:
        verdict = verdict_on(lesson, exercise, mistake.answer)
        assert (verdict.state, verdict.hint) == ("wrong", mistake.hint)


@each_exercise
def test_nothing_a_wrong_type_and_an_error_are_refused_in_plain_words(lesson, exercise):
    def nothing(*args, **kwargs):
        return None

    def text(*args, **kwargs):
        return "a text"

    def broken(*args, **kwargs):
        raise KeyError("a name")

    class Empty:
        pass

    for wrong in (None, "a text", -12345, [], nothing, text, broken, Empty):
        verdict = verdict_on(lesson, exercise, wrong)
        assert verdict.state == "wrong", wrong
        plain = told(verdict, lesson)
        assert plain and "solutions" not in plain and "NoneType" not in plain, plain


@each_exercise
def test_the_answer_of_a_different_exercise_is_refused(lesson, exercise):
    for other in lesson.exercises():
        if other is not exercise:
            assert verdict_on(lesson, exercise, other.answer).state == "wrong", other.name


@each_exercise
def test_a_hint_names_a_section_that_exists_and_never_the_answer(lesson, exercise):
    assert len(exercise.hints) >= 2
    for text in (*exercise.hints, *(mistake.hint for mistake in exercise.mistakes)):
        assert len(text) > 15 and text.strip().endswith((".", "?", "!", "`", ")")), text
        assert " ".join(exercise.source().split()) not in " ".join(text.split())
        if not callable(exercise.answer):
            assert repr(exercise.answer) not in re.findall(r"[-\w.()\[\], ]+", text), text
    for section in {exercise.section, *(m.section for m in exercise.mistakes)} - {None}:
        course, number = ("", section) if isinstance(section, int) else section.split()
        (folder,) = [lesson.folder] if not course else REPOSITORY.glob(f"{course}-*")
        assert f"\n## {number}. " in (folder / "notes.md").read_text(encoding="utf-8"), section
