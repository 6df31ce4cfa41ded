"""Nothing that a learner writes breaks the judge: each fault is told with its line, and the others are still judged."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from practice_proofs import told

from common import UserError
from practice import check
from practice import judge as judging
from practice.child import FirstLines
from practice.exercise import Exercise, Mistake, called, first_difference, judge
from practice.judge import Judge, Judged, Memory
from practice.lessons import Verdict, find, split_cells
from practice.messages import in_words
from practice.workbook import Workbook, workbook_folder

LESSON, _ = find("08")
EXERCISES = {exercise.number: exercise for exercise in LESSON.exercises()}


def written(codes: dict, folder) -> Workbook:
    """A workbook in which the cells of these numbers or titles hold this code. None: the cell is missing."""
    texts = []
    for cell in split_cells(LESSON.starter):
        mark, key = cell.text.splitlines()[:1], cell.number or cell.title
        if codes.get(key, "") is not None:
            texts.append(f"{mark[0]}\n{codes[key]}\n\n" if key in codes else cell.text)
    workbook = Workbook(LESSON, folder / f"{LESSON.name}.py")
    folder.mkdir(exist_ok=True)
    workbook.path.write_text("".join(texts), encoding="utf-8")
    return workbook


def line_of(workbook, code) -> int:
    """The line of the file that holds this code."""
    (number,) = [n for n, line in enumerate(workbook.read().splitlines(), start=1) if code in line]
    return number


def run(workbook, seconds=1.0) -> Judged:
    with pytest.MonkeyPatch.context() as patch, Judge() as judge:
        patch.setattr(judging, "SECONDS", seconds)
        return judge.run(workbook, workbook.read())


# ---- Two workbooks with many faults ----------------------------------------------------------------------------------

HALF_RIGHT = EXERCISES[2].source().replace("2 * padding", "padding")
NOISE = """
import json, os, sys
for stream in (sys.stdout, sys.stderr, sys.__stdout__):
    print(json.dumps({"number": 1, "verdict": {"state": "done"}}), file=stream)
os.write(1, b'{"number": 2, "verdict": {"state": "done"}}\\n{"end": true}\\n')
for i in range(10**5):
    print(i, "x" * 100)
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workbooks") / "with space 练习"
    folder.mkdir()
    for name in ("random", "netrc"):  # PyTorch has imported the first, and nobody the second
        (folder / f"{name}.py").write_text("raise ImportError('shadowed')")
    workbook = written(
        {
            "Setup": "import random, netrc\nimport torch\nfrom torch import nn\nhelper = 41",
            1: "shape = (64, 6,",
            2: f"{HALF_RIGHT}\nprint('seen')",
            3: "helper += 1\nwhile True:  # for ever\n    pass",
            4: "import os\nos._exit(3)",
            5: f"assert helper == 42\n{EXERCISES[5].source()}\n{NOISE}",
        },
        folder,
    )
    return workbook, run(workbook, 3.0)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    workbook = written(
        {
            "Setup": "import torch\nfrom torch import nn\nimport no_such_module",
            1: "shape = (64, 6, 15, 15)\nraise SystemExit(0)  # leave",
            2: None,
            3: "def another_name():\n    pass",
            4: "def side_by_side(maps):\n    while True:\n        maps = maps  # in the trial",
            5: f"torch = 3\n{EXERCISES[5].source()}\nnn.Conv2d = None\nprint(input())",
        },
        tmp_path_factory.mktemp("workbooks"),
    )
    return workbook, run(workbook)


def test_a_syntax_error_concerns_its_own_cell_alone(first):
    workbook, judged = first
    line = line_of(workbook, "shape = (64, 6,")
    assert told(judged.verdicts[1]) == f"your line {line}: SyntaxError: '(' was never closed"


def test_a_known_mistake_is_told_with_its_hint_and_what_was_printed(first):
    _, judged = first
    verdict, mistake = judged.verdicts[2], EXERCISES[2].mistakes[0]
    assert (verdict.state, verdict.hint, verdict.section) == ("wrong", mistake.hint, mistake.section)
    assert told(verdict).startswith("output_size(32, 3, stride=1, padding=2, dilation=1): got 32, expected 34")
    assert list(verdict.printed) == ["seen"]


def test_an_endless_loop_is_told_with_its_line(first):
    workbook, judged = first
    line = line_of(workbook, "for ever")
    assert told(judged.verdicts[3]) in {
        f"your line {n}: still running after 3 s. Does this loop ever end?" for n in (line, line + 1)
    }


def test_a_cell_that_ends_the_process_is_told_as_such(first):
    workbook, judged = first
    line = line_of(workbook, "# %% 4.")
    assert told(judged.verdicts[4]) == f"the cell of line {line} ended the process (exit code 3)"


def test_what_comes_after_faults_is_judged_and_finds_the_names_from_before(first):
    """The endless cell has not added its 1 when the workbook goes on without it."""
    _, judged = first
    assert "AssertionError" in told(judged.verdicts[5]) and "ImportError" not in str(judged)
    assert not judged.notes and not judged.is_final


def test_a_setup_that_fails_is_told_first_and_the_exercises_are_judged(second):
    workbook, judged = second
    line = line_of(workbook, "no_such_module")
    problem = "ModuleNotFoundError: No module named 'no_such_module'"
    assert [in_words(note, LESSON) for note in judged.notes] == [f"your line {line}: {problem}"]
    assert all(verdict.state == "wrong" for verdict in judged.verdicts.values())


def test_exit_ends_a_cell_and_nothing_else(second):
    workbook, judged = second
    assert told(judged.verdicts[1]) == f"your line {line_of(workbook, '# leave')}: SystemExit: 0"


def test_a_missing_cell_and_a_missing_name_are_told_in_plain_words(second):
    _, judged = second
    assert told(judged.verdicts[2]) == "this cell is missing in your copy: reset 08.2 brings it back"
    assert told(judged.verdicts[3]) == "count_parameters is not defined in this cell: keep the name that stood here"


def test_a_function_that_never_returns_is_told_with_its_own_line(second):
    workbook, judged = second
    line = line_of(workbook, "# in the trial")
    assert told(judged.verdicts[4]).split(":")[0] in (f"your line {line}", f"your line {line - 1}")


def test_input_finds_nothing_to_read(second):
    workbook, judged = second
    assert told(judged.verdicts[5]).startswith(f"your line {line_of(workbook, 'input()')}: EOFError")


def test_right_answers_are_done_whatever_they_print_and_wherever_they_lie(tmp_path):
    """Also: a line that looks like a verdict is none, and names like those of modules harm nobody."""
    codes = {number: exercise.source() for number, exercise in EXERCISES.items()}
    codes[2] = "print = sum = json = Verdict = 3\n" + codes[2]
    codes[3] = (
        f"del print\nimport torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n{codes[3]}"
    )
    codes[4] = f"{NOISE}\n{codes[4]}"
    codes[5] += "\nfrom practice import check\ncheck('Course08-Conv2d', globals())"
    workbook = written(codes, tmp_path)
    judged = run(workbook, 20.0)
    assert {n: verdict.state for n, verdict in judged.verdicts.items()} == dict.fromkeys(EXERCISES, "done")
    assert judged.is_final and not judged.notes
    assert judged.verdicts[5].printed == [], "check() does nothing where the workbook is judged anyway"
    printed = judged.verdicts[4].printed
    assert len(printed) == 21 and all(len(line) <= 200 for line in printed[:20])
    assert in_words(printed[-1], LESSON) == "… 99982 more lines"


def test_a_workbook_judges_itself_where_it_is_run(capsys):
    """In an editor, a notebook or a terminal: the same lines, without a process of its own."""
    names = {exercise.name: exercise.answer for exercise in EXERCISES.values()} | {"one_number": 3, "shape": ...}
    check(LESSON.name, names)
    out = capsys.readouterr().out
    assert [line[:4] for line in out.splitlines()[:5]] == ["· 1.", "✓ 2.", "✓ 3.", "✓ 4.", "✗ 5."]
    assert "one_number must be a function, and is 3 (an int)" in out
    check(LESSON.name, names | {"__name__": "__mp_main__"})
    assert capsys.readouterr().out == "", "a worker of a DataLoader says nothing"


def test_what_a_cell_leaves_switched_changes_no_trial_and_stays_as_it_was():
    def trial(answer):
        yield "dtype", torch.zeros(1).dtype, torch.float32
        yield "gradients", torch.is_grad_enabled(), True

    exercise = Exercise(1, "answer", 1, 3, trial, (), ())
    with torch.no_grad():
        torch.set_default_dtype(torch.float64)
        try:
            assert first_difference(exercise, 3) is None
            assert torch.get_default_dtype() == torch.float64 and not torch.is_grad_enabled()
        finally:
            torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "value", [np.arange(3), torch.arange(3), float("nan"), [1.5, "x"], {"a": 1}], ids=lambda value: type(value).__name__
)
def test_what_is_given_and_what_is_right_may_be_of_any_kind(value):
    exercise = Exercise(1, "answer", 1, 3, lambda answer: [("it", answer, value)], (), (Mistake("a hint", None),))
    assert judge(exercise, value).state == "done"
    for other in (np.arange(4), np.arange(3) + 1, torch.arange(4), "x", 7, [1.5], [np.arange(2)], Broken()):
        assert judge(exercise, other).state == "wrong"


class Broken:
    def __eq__(self, other):
        raise RuntimeError("no ==")

    def __repr__(self):
        raise RuntimeError("no repr")


def test_what_is_told_of_a_wrong_answer_names_what_differs_and_stays_short():
    def told_of(answer, *rows):
        return told(judge(Exercise(1, "answer", 1, lambda: None, lambda f: [row(f) for row in rows], (), ()), answer))

    def network():
        return torch.nn.Linear(3, 2)

    sixteen = torch.zeros(4, 4)
    near = told_of(lambda: sixteen + 1e-5, lambda f: ("it", f(), sixteen, 1e-6))
    assert near == "it: 16 of 16 numbers are wrong; at [0, 0] got 1e-05, expected 0"
    files = [Path("folder") / "a.jpg", Path("/folder/b.jpg")]
    assert told_of(lambda: files, lambda f: ("it", f(), files[1:])) == "it: got [a.jpg, b.jpg], expected [b.jpg]"
    without_address = "<lambda>(<built-in method append of list object>): got 0, expected 1"
    assert told_of(lambda f: 0, lambda f: (*called(f, [].append), 1)) == without_address
    called_with_network = told_of(lambda f: 0, lambda f: (*called(f, torch.nn.Sequential(network())), 1))
    assert called_with_network == "<lambda>(Sequential(…)): got 0, expected 1"
    called_with_layer = told_of(lambda f: 0, lambda f: (*called(f, network()), 1))
    assert called_with_layer.startswith("<lambda>(Linear(in_features=3, out_features=2, bias=True)): got 0")
    unfit = told_of(network, lambda f: ("it", f()(torch.zeros(5, 4)), 3))
    assert "used, that raised RuntimeError: " in unfit and "cannot be multiplied" in unfit
    state = {f"layer{n}.weight": 3 for n in range(9)}
    strict = told_of(lambda: network().load_state_dict(state), lambda f: ("it", f(), 3))
    assert (
        "raised RuntimeError: Error(s) in loading" in strict and "Missing key" in strict and "Unexpected" not in strict
    )


# ---- Processes -------------------------------------------------------------------------------------------------------


def test_a_process_that_waits_ends_when_nobody_needs_it():
    with Judge() as judge:
        judge.prepare(LESSON)
        (orphan,) = judge.ready
        judge.prepare(LESSON)
        assert judge.ready == [orphan], "it is kept while it is needed"
        orphan.process.stdin.close()  # as when the program that started it is killed
        assert orphan.process.wait(120) == 0
        judge.prepare(LESSON)
        (fresh,) = judge.ready
        assert fresh is not orphan
    assert fresh.process.poll() is not None


def test_a_course_that_is_broken_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "torch.py").write_text("raise ImportError('no libtorch here')")
    with pytest.raises(UserError, match="ImportError: no libtorch here"), Judge() as judge:
        judge.run(written({1: "shape = 3"}, tmp_path), "# %% 1. x\nshape = 3\n")


# ---- What is remembered ----------------------------------------------------------------------------------------------


@pytest.fixture
def no_process(monkeypatch):
    def refuse(lesson):
        raise AssertionError("a process was started")

    monkeypatch.setattr(judging, "Child", refuse)


def test_an_untouched_copy_is_to_do_without_any_process(course_home, no_process):
    workbook = Workbook(LESSON, workbook_folder() / f"{LESSON.name}.py")
    for _ in range(2):
        assert {n: v.state for n, v in Judge().judge(workbook).verdicts.items()} == dict.fromkeys(EXERCISES, "todo")
        workbook.make()


def test_a_verdict_is_remembered_by_the_content_and_by_nothing_else(course_home, no_process, monkeypatch):
    workbook = written({1: "shape = 3"}, workbook_folder())
    right = Judged({1: Verdict("done"), 2: Verdict("wrong", "told", "hint", 4, ["printed"])}, ["note"])
    monkeypatch.setattr(Judge, "run", lambda self, workbook, text: right)
    assert Judge().judge(workbook) == right
    monkeypatch.setattr(Judge, "run", lambda self, workbook, text: Judged({1: Verdict("wrong")}))
    os.utime(workbook.path, (0, 0))
    assert Judge().judge(workbook) == Judge().judge(workbook, again=True) == right
    workbook.path.write_text(workbook.read().replace("shape = 3", "shape = 4"), encoding="utf-8")
    assert Judge().judge(workbook).verdicts[1].state == "wrong"
    workbook.path.write_text(workbook.read().replace("shape = 4", "shape = 3"), encoding="utf-8")
    assert Judge().judge(workbook) == right
    monkeypatch.setattr(judging, "_course", lambda lesson: b"changed answers")
    assert Judge().judge(workbook).verdicts[1].state == "wrong"


def test_what_a_time_limit_decided_is_judged_again_when_asked(course_home, no_process, monkeypatch):
    workbook = written({1: "shape = 3"}, workbook_folder())
    late = Judged({1: Verdict("wrong", "still running")}, is_final=False)
    monkeypatch.setattr(Judge, "run", lambda self, workbook, text: late)
    assert Judge().judge(workbook) == late
    monkeypatch.setattr(Judge, "run", lambda self, workbook, text: Judged({1: Verdict("done")}))
    assert Judge().judge(workbook) == late
    assert Judge().judge(workbook, again=True).verdicts[1].state == "done"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "7", '{"verdicts": 3, "hints": {}}', '{"verdicts": {}}', "\udcff"], ids=repr
)
def test_a_damaged_memory_is_an_empty_one_and_is_mended(course_home, content):
    workbook_folder().mkdir()
    Memory().path.write_bytes(content.encode(errors="surrogateescape"))
    assert Memory().read() == {"verdicts": {}, "hints": {}}
    Memory().write("hints", "08.2", 1)
    assert json.loads(Memory().path.read_text())["hints"] == {"08.2": 1}


@pytest.mark.parametrize("entry", [3, {}, {"verdicts": {"1": 5}}, {"verdicts": {"x": {"state": "done"}}, "notes": []}])
def test_a_damaged_entry_is_none(course_home, entry):
    Memory().write("verdicts", "key", entry)
    assert Memory().verdicts("key") is None


def test_a_memory_that_cannot_be_written_is_no_failure(course_home):
    workbook_folder().touch()  # a file where the folder would be
    Memory().write("hints", "08.2", 1)
    assert Memory().read()["hints"] == {}


def test_the_memory_does_not_grow_for_ever(course_home, monkeypatch):
    workbook_folder().mkdir()
    monkeypatch.setattr(judging, "REMEMBERED", 3)
    for key in "abcad":
        Memory().write("verdicts", key, {})
    assert list(Memory().read()["verdicts"]) == ["c", "a", "d"]


def test_of_what_is_printed_the_first_lines_are_kept_and_the_others_counted():
    out = FirstLines(3)
    for text in ("a", "b\nc\r", "\n", "d\n", "e\nf\n" * 1000, "end"):
        out.write(text)
    assert out.shown()[:2] == ["ab", "c"] and len(out.shown()) <= 4 and "more lines" in out.shown()[-1][0]
    assert FirstLines().shown() == []
    out = FirstLines(3)
    started = time.process_time()
    for _ in range(10**5):
        out.write("x" * 1000 + "\n")
    assert len(str(out.lines)) < 2000 and time.process_time() - started < 20
