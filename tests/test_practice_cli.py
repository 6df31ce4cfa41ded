"""The command line of the practice: what each command says and returns, and one clear line for what is wrong."""

import json
import os
import random
import re
import select
import subprocess
import sys
import time

import pytest
from practice_proofs import LESSONS
from test_practice_judge import EXERCISES, LESSON, no_process, written  # noqa: F401  no_process is a fixture

from common.paths import REPOSITORY
from practice import screen
from practice.cli import main
from practice.exercise import source_of
from practice.judge import Judge, Judged
from practice.lessons import Verdict, split_cells
from practice.workbook import workbook_folder

NAME = f"{LESSON.name}.py"
TOTAL = sum(len(lesson.tasks) for lesson in LESSONS.values())


@pytest.fixture(autouse=True)
def home_of_eighty_columns(course_home, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(course_home)
    return course_home


@pytest.fixture
def say(capsys):
    """say("hint", "08.2") -> (exit code, standard output, standard error)"""

    def run(*words):
        code = main(list(words))
        return code, *capsys.readouterr()

    return run


def verdicts_are(monkeypatch, states: dict, notes=()):
    """Let judging say this, for whatever workbook."""
    verdicts = {number: Verdict(state, "what came") for number, state in states.items()}
    monkeypatch.setattr(Judge, "run", lambda self, workbook, text: Judged(verdicts, list(notes)))


# ---- Commands --------------------------------------------------------------------------------------------------------


def test_list_counts_every_exercise_of_the_course_and_starts_nothing(say, no_process):  # noqa: F811
    code, out, err = say("list")
    assert (code, err) == (0, "") and f"0 of {TOTAL}" in out
    assert [line[:2] for line in out.splitlines()[:-1]] == list(LESSONS)
    assert not workbook_folder().exists(), "a look changes nothing"


def test_the_first_start_makes_a_copy_and_shows_the_first_task(say):
    code, out, err = say(LESSON.number)
    assert (code, err) == (0, "")
    assert [path.name for path in workbook_folder().iterdir()] == [NAME]
    text = (workbook_folder() / NAME).read_text(encoding="utf-8")
    line = text.splitlines().index(f"# %% 1. {LESSON.tasks[0].title} (predict, 3 min)") + 1
    assert f"workbook/{NAME}:{line}" in out and "images has the shape (64, 3, 32, 32)" in out
    assert all(len(line) <= 80 for line in out.splitlines()) and out.count("\n") <= 24
    assert all(f"{task.number}. {task.title}" in out for task in LESSON.tasks)


def test_without_a_name_the_first_lesson_that_is_not_done_is_opened(say, monkeypatch, no_process):  # noqa: F811
    first = next(iter(LESSONS.values()))
    say_first = say()[1]
    assert f"{first.number} {first.name[9:]}" in say_first.splitlines()[0]


def test_check_says_what_is_wrong_and_returns_1_until_all_is_done(say, monkeypatch):
    written({1: "shape = 3"}, workbook_folder())
    verdicts_are(monkeypatch, dict.fromkeys(EXERCISES, "done") | {2: "wrong"}, ["a note on Setup"])
    code, out, _ = say("check", "08")
    assert code == 1 and out.count("what came") == 1 and "a note on Setup" in out
    assert say("check", "08.2")[0] == 1 and say("check", "08.3")[:2] == (0, say("check", "8.3")[1])
    assert say("check")[0] == 1
    written({1: "shape = 4"}, workbook_folder())
    verdicts_are(monkeypatch, dict.fromkeys(EXERCISES, "done"))
    assert say("check", "08")[0] == 0
    assert say("check")[0] == (0 if len(EXERCISES) == TOTAL else 1)


def test_check_of_an_untouched_lesson_is_not_done_and_makes_no_file(say, no_process):  # noqa: F811
    assert say("check", "08")[0] == 1 and not workbook_folder().exists()


def test_each_call_of_hint_shows_one_more(say):
    hints = EXERCISES[2].hints
    workbook_folder().mkdir()
    for seen in [1, *range(2, len(hints) + 1), len(hints)]:
        code, out, _ = say("hint", "08.2")
        assert code == 0
        assert [" ".join(hint.split()) in " ".join(out.split()) for hint in hints] == [
            n < seen for n in range(len(hints))
        ]
        assert ("answer 08.2" in out) == (seen == len(hints))
    say("reset", "08.2")
    assert f"Hint 1 of {len(hints)}" in say("hint", "08.2")[1] and "Hint 2" not in out.replace("Hint 2 of 2", "")


def test_answer_can_be_pasted(say):
    for number, exercise in EXERCISES.items():
        code, out, _ = say("answer", f"08.{number}")
        assert code == 0 and out == exercise.source(), "as it is, however long its lines are"


def test_reset_says_where_the_old_file_is(say):
    written({1: "shape = 3"}, workbook_folder())
    code, out, _ = say("reset", "08.1")
    assert code == 0 and f"workbook/{LESSON.name}.old-1.py" in out
    assert "shape = 3" not in (workbook_folder() / NAME).read_text(encoding="utf-8")
    assert "shape = 3" in (workbook_folder() / f"{LESSON.name}.old-1.py").read_text(encoding="utf-8")


def test_a_changed_starter_is_said_and_the_copy_stays(say, monkeypatch):
    workbook = written({1: "shape = 3"}, workbook_folder())
    text = "# Your copy of Course08-Conv2d/exercises.py (00000000). Updates …\n" + workbook.read()
    workbook.path.write_text(text, encoding="utf-8")
    verdicts_are(monkeypatch, dict.fromkeys(EXERCISES, "todo"))
    code, out, _ = say("08")
    assert code == 0 and "have changed since your copy was made" in " ".join(out.split()) and workbook.read() == text


# ---- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["99"], ["hint", "99.1"], ["hint", "08.9"], ["hint", "08"], ["hint"], ["answer", "nonsense"], ["reset"],
        ["lst"], ["check", "08", "09"], ["08", "check"], ["--nonsense"], ["report", "no/such"], ["Course08-Conv2d.py"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_bad_input_is_one_line_and_exit_code_2(say, words):
    code, out, err = say(*words)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"practice: [^\n]{20,200}\n", err)
    assert not workbook_folder().exists(), "nothing is half done"


@pytest.mark.parametrize("words", [["08"], ["check", "08"]], ids=" ".join)
@pytest.mark.parametrize("fault", ["folder", "encoding", "home"])
def test_a_workbook_that_cannot_be_used_is_one_line_and_exit_code_2(say, words, fault):
    if fault == "home":
        workbook_folder().touch()
        words = ["08"]
    else:
        workbook_folder().mkdir()
        path = workbook_folder() / NAME
        path.mkdir() if fault == "folder" else path.write_bytes("练习".encode("gbk"))
    code, out, err = say(*words)
    assert (code, out) == (2, "") and re.fullmatch(r"practice: [^\n]{20,250}\n", err)


def test_one_workbook_that_cannot_be_read_hides_no_other_lesson(say, no_process):  # noqa: F811
    (workbook_folder() / NAME).mkdir(parents=True)
    code, out, _ = say("list")
    assert code == 0 and f"0 of {TOTAL}" in out and "Is a directory" in out


def test_a_workbook_of_an_older_course_is_judged_and_then_refused_in_one_line(say, monkeypatch):
    written({1: "shape = 3", 4: None, 5: None}, workbook_folder())
    verdicts_are(monkeypatch, dict.fromkeys(EXERCISES, "wrong"))
    code, out, err = say("check", "08")
    assert code == 2 and out.count("what came") == 5
    assert err == "practice: your copy has no cell for 08.4, 08.5: python -m practice reset 08.4 brings it back\n"


# ---- Reports ---------------------------------------------------------------------------------------------------------


def test_a_report_names_what_it_leaves_out_and_counts_the_rest(say, home_of_eighty_columns, no_process):  # noqa: F811
    school = home_of_eighty_columns / "school"
    for learner in ("ann", "王小明", "empty"):
        (school / learner).mkdir(parents=True)
    for learner in ("ann", "王小明"):
        (school / learner / NAME).write_text(LESSON.starter, encoding="utf-8")
    (school / "ann" / f"{LESSON.name}.old-1.py").touch()
    (school / "ann" / "Course98-Unknown.py").touch()
    (school / "bob").mkdir()
    (school / "bob" / NAME).write_bytes("练习".encode("gbk"))
    monkey_verdicts = {str(number): "todo" for number in EXERCISES}
    code, out, _ = say("report", "--json", str(school))
    found = json.loads(out)
    assert code == 0 and found["total"] == TOTAL
    assert found["learners"] == {"ann": {"08": monkey_verdicts}, "bob": {}, "王小明": {"08": monkey_verdicts}}
    left_out = "\n".join(found["left out"])
    assert all(
        name in left_out for name in (".old-1.py", "Course98-Unknown.py", "bob/Course08-Conv2d.py is not in UTF-8")
    )
    code, table, _ = say("report", str(school))
    assert code == 0 and [line.split()[0] for line in table.splitlines()[1:4]] == ["ann", "bob", "王小明"]
    assert say("report", str(school / "ann"), "--json")[1].count("todo") == len(EXERCISES), "the folder of one learner"


@pytest.mark.slow
def test_a_report_on_twenty_invented_workbooks_equals_what_was_put_in(say, home_of_eighty_columns):
    """Random mixes of answers, starters and known mistakes, in random lessons."""
    chance, school, expected = random.Random(0), home_of_eighty_columns / "school", {}
    for n in range(20):
        lesson, states = chance.choice(list(LESSONS.values())), {}
        exercises, texts = {exercise.number: exercise for exercise in lesson.exercises()}, []
        for cell in split_cells(lesson.starter):
            exercise, code = exercises.get(cell.number), cell.text
            if exercise:
                state = states[str(cell.number)] = chance.choice(["done", "todo", "wrong"])
                if state == "done":
                    code = f"{cell.text.splitlines()[0]}\n{exercise.source()}\n\n"
                elif state == "wrong":
                    code = f"{cell.text.splitlines()[0]}\n{wrong_code(exercise, chance)}\n\n"
            texts.append(code)
        folder = school / f"learner {n:02}"
        folder.mkdir(parents=True)
        (folder / f"{lesson.name}.py").write_text("".join(texts), encoding="utf-8")
        expected[folder.name] = {lesson.number: states}
    code, out, _ = say("report", str(school), "--json")
    assert code == 0 and json.loads(out) == {"total": TOTAL, "learners": expected, "left out": []}


def wrong_code(exercise, chance):
    answer = chance.choice(exercise.mistakes).answer
    if not callable(answer):
        return f"{exercise.name} = {answer!r}"
    return f"{source_of(answer)}\n{exercise.name} = {answer.__name__}"


# ---- A learner's day, on a terminal ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_learner_saves_and_sees_and_stops_and_goes_on(home_of_eighty_columns):
    no_terminals = "only Linux and macOS have terminals that a program can open"
    pty, fcntl, termios = (pytest.importorskip(name, reason=no_terminals) for name in ("pty", "fcntl", "termios"))
    own, its = pty.openpty()
    environment = os.environ | {"COURSE_HOME": str(home_of_eighty_columns), "NO_COLOR": "1", "LINES": "24"}
    environment |= {"TERM": "xterm", "PRACTICE_SECONDS": "3"}
    command = [sys.executable, "-m", "practice", "08"]

    def start():
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=its, stdout=its, stderr=its, preexec_fn=take_terminal
        )

    def take_terminal():
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)  # Ctrl-C then goes to this process

    def until(text):
        seen, end = "", time.monotonic() + 120
        while text not in seen:
            assert time.monotonic() < end, f"waited for {text!r} and saw {seen}"
            if select.select([own], [], [], 0.1)[0]:
                seen += os.read(own, 65536).decode(errors="replace")
                seen = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", seen)
        return " ".join(seen.split())

    program = start()
    until("is judged each time")
    answers = {number: exercise.source() for number, exercise in EXERCISES.items()}
    written({1: answers[1]}, workbook_folder())
    until("✓ 1.")
    written({1: answers[1], 2: "while True:\n    pass"}, workbook_folder())
    assert "still running after 3 s" in until("Does this loop ever end?")
    (workbook_folder() / NAME).write_bytes("练习".encode("gbk"))
    until("is not in UTF-8")
    written({1: answers[1], 2: answers[2]}, workbook_folder())
    until("✓ 2.")
    os.write(own, b"\x03")
    assert f"Stopped at 2 of {TOTAL}" in until("goes on from here") and program.wait(60) == 0
    program = start()
    assert f"2 of {TOTAL}" in until("3. "), "it knows what was done"
    written(answers, workbook_folder())
    until("Lesson 08 is done" if len(EXERCISES) < TOTAL else "That is the whole course")
    program.kill()
    program.wait()


# ---- The screen ------------------------------------------------------------------------------------------------------

STRANGE = "\x1b[31mred\x1b[0m [bold]no markup[/bold] \x07 \udcff 练习 " + "long " * 60


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "gbk"}, {"TERM": "dumb"}], ids=str
)
def test_what_a_learner_sees_fits_any_terminal_and_loses_no_word(environment, tmp_path):
    program = f"""
from practice import screen
from practice.judge import Judged
from practice.lessons import Verdict, find
from practice.workbook import Workbook, workbook_folder
lesson, _ = find("08")
verdicts = {{n: Verdict("wrong", {STRANGE!r}, "a hint", 4, ["printed"]) for n in (1, 2, 3, 4)}} | {{5: Verdict("done")}}
workbook = Workbook(lesson, workbook_folder() / "Course08-Conv2d.py")
screen.show_lesson(screen.make_console(), workbook, Judged(verdicts, ["a note"]), (1, 105))
"""
    environment = os.environ | environment | {"COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=REPOSITORY, capture_output=True, check=True
    )
    out = done.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8"))
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "\x1b" not in out and "\x07" not in out and "[bold]no markup[/bold]" in out
    assert out.count("a hint") == 4 and "1 of 105" in out and "section 4" in out and "| printed" in out
    if environment.get("PYTHONIOENCODING") == "ascii":
        assert "x 1. The shape that comes out" in out and "+ 5. One number anywhere" in out


def test_on_a_small_terminal_the_newest_fault_is_seen_and_nothing_scrolls_away(monkeypatch, capsys):
    from rich.console import Console

    console = Console(force_terminal=True, width=80, height=24, highlight=False, markup=False, color_system=None)
    workbook = written({1: "shape = 3"}, workbook_folder())
    verdicts = {n: Verdict("wrong", f"fault {n}. " + "long " * 40, "a hint", 4) for n in EXERCISES}
    screen.show_lesson(console, workbook, Judged(verdicts), (0, 5), news=[4])
    out = capsys.readouterr().out
    assert out.count("\n") <= 23 and "fault 4" in out and "fault 1" in out
    assert re.search(r"\d more not right", out)


def test_help_fits_a_terminal(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0 and all(len(line) <= 80 for line in out.splitlines())
    assert all(command in out for command in ("list", "check", "hint", "answer", "reset", "report", "--json"))
