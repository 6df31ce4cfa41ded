"""The practice in two languages: each table says everything, and the language changes the words and nothing else."""

import ast
import copy
import locale
import re
import subprocess
import sys
import tomllib

import practice_messages
import pytest
from practice_proofs import LESSONS, name_of, run_cells, verdict_on
from rich.cells import cell_len
from rich.console import Console

from common.paths import REPOSITORY
from practice import messages, screen, words
from practice.cli import main
from practice.exercise import source_of
from practice.judge import Judge, Judged
from practice.lessons import Lesson, Verdict, split_cells
from practice.messages import in_words, paragraphs, wrapped
from practice.words import say, told
from practice.workbook import Workbook, workbook_folder

LESSON = LESSONS["08"]
EXERCISES = {exercise.number: exercise for exercise in LESSON.exercises()}
CHINESE = re.compile("[\u4e00-\u9fff]")
each_lesson = pytest.mark.parametrize("lesson", LESSONS.values(), ids=name_of)


@pytest.fixture(scope="module")
def invented():
    """A table for lesson 08 that lacks nothing: each Chinese text holds the number of its exercise or key."""
    table = tomllib.loads(practice_messages.skeleton(LESSON))
    for n in EXERCISES:
        table[str(n)] |= {"title": f"第 {n} 题", "task": f"做第 {n} 题。\n\n- 要快\n- 要对，{'再快' * 30}\n"}
    for name in ("hints", "rows"):
        for i, key in enumerate(table[name]):
            table[name][key] = f"{name} 之 {i}：" + " ".join("{}" for _ in range(key.count("{}")))
    return table


@pytest.fixture
def chinese(course_home, monkeypatch, invented):
    """A system in Chinese, and that table."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LANGUAGE", "zh_CN")
    monkeypatch.setattr(words, "given", "")
    tables = {LESSON.folder: invented}
    table = words.table
    monkeypatch.setattr(words, "table", lambda folder: tables.get(folder) or table(folder))
    return monkeypatch


@pytest.fixture
def in_english(chinese):
    chinese.setenv("LANGUAGE", "en")


@pytest.fixture
def workbook(chinese):
    return Workbook(LESSON, workbook_folder() / f"{LESSON.name}.py")


# ---- The tables ------------------------------------------------------------------------------------------------------


@each_lesson
def test_a_table_says_everything_of_its_lesson_and_nothing_else(lesson):
    path = lesson.folder / words.TABLE
    if not path.exists() and not (REPOSITORY / "README.zh-CN.md").exists():
        pytest.skip("the Chinese edition is being written")
    assert path.exists(), f"{lesson.name} has no {words.TABLE}: python tools/practice_messages.py skeleton begins one"
    found = list(practice_messages.problems(lesson, words.table(lesson.folder)))
    assert not found, f"{lesson.name}/{words.TABLE}: " + "; ".join(found)


def test_the_sentences_of_the_practice_have_their_chinese():
    kept = words.table(REPOSITORY / "practice")
    assert list(practice_messages.problems_of_words(kept)) == []
    assert all(CHINESE.search(chinese) for name, chinese in kept.items() if name not in ("PROGRESS", "A", "AN"))
    names = [name for name in vars(words) if name.isupper() and name not in ("TABLE", "A", "AN")]
    assert len({getattr(words, name) for name in names}) == len(names), "a sentence is looked up by its English"


HINT, ROW = EXERCISES[2].hints[0], "side_by_side(maps), maps {}"


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("2", "title"), "", "exercise 2 has no title"),
        (("2", "task"), "\n", "exercise 2 has no task"),
        (("2", "english"), "00000000", "exercise 2 is stale: the English is"),
        (("2", "tsk"), "x", "exercise 2: 'tsk' means nothing"),
        (("9",), {"title": "x"}, "there is no exercise '9'"),
        (("hints", HINT), "", f"exercise 2: [hints] lacks {HINT!r}"),
        (("hints", "An old hint."), "旧的", "[hints]: nothing says 'An old hint.'"),
        (("rows", ROW), "", f"exercise 4: [rows] lacks {ROW!r}"),
        (("rows", ROW), "没有位置", f"[rows]: the places are not those of {ROW!r}"),
        (("rows", "an old row"), "旧的", "[rows]: nothing says 'an old row'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_missing_stale_or_superfluous_is_named(invented, place, value, named):
    assert list(practice_messages.problems(LESSON, invented)) == []
    table = copy.deepcopy(invented)
    *folders, name = place
    for each in folders:
        inner = table[each]
    (inner if folders else table)[name] = value
    found = list(practice_messages.problems(LESSON, table))
    assert any(problem.startswith(named) for problem in found), found
    assert all(problem.startswith(named) or repr(ROW) in problem for problem in found), found


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("GOT", "", "GOT is missing"),
        ("GOT", "{what}：{got}", "GOT: the places are not those of"),
        ("NO_COMMAND", "没有 {command}", "NO_COMMAND: the places are not those of"),
        ("OLD", "旧", "there is no OLD"),
    ],
)
def test_a_sentence_that_is_missing_or_has_other_places_is_named(name, value, named):
    kept = words.table(REPOSITORY / "practice") | {name: value}
    (found,) = practice_messages.problems_of_words(kept)
    assert found.startswith(named)


@each_lesson
def test_each_task_stands_in_the_comment_below_its_mark(lesson):
    """There it is replaced by its translation."""
    for task in lesson.tasks:
        assert len(messages.english_task(lesson, task.number)) > 40


def test_a_fingerprint_changes_with_the_english_and_not_with_its_line_breaks(tmp_path):
    def fingerprint(text):
        (tmp_path / "exercises.py").write_text(text, encoding="utf-8")
        return messages.task_fingerprint(Lesson(tmp_path), 1)

    text = "# %% 1. A title (write, 3 min)\n# What is\n# to be done.\nvalue = ...\n"
    first = fingerprint(text)
    assert re.fullmatch(r"[0-9a-f]{8}", first)
    assert fingerprint(text.replace("\n# to", " to").replace("3 min", "4 min").replace("...", "3")) == first
    assert fingerprint(text.replace("title", "name")) != first != fingerprint(text.replace("done", "made"))


def test_a_fingerprint_needs_no_pytorch():
    program = """
import sys
from practice.lessons import find
from practice.messages import task_fingerprint
assert len(task_fingerprint(find("05")[0], 2)) == 8 and "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=True)


# ---- Which language --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "given", "is_chinese"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "", True),
        ({"LANG": "zh_TW"}, "", True),
        ({"LANG": "en_US.UTF-8"}, "", False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "", True),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "", False),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "zh_CN:en"}, "", True),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "", "LANGUAGE": ""}, "", True),
        ({"LANG": "zh_CN.UTF-8"}, "en", False),
        ({"LANG": "C.UTF-8"}, "zh", True),
        ({"system": "Chinese (Simplified)_China"}, "", True),
        ({"system": "English_United States"}, "", False),
        ({"system": None}, "", False),
    ],
    ids=str,
)
def test_the_language_is_what_was_typed_and_else_that_of_the_system(monkeypatch, environment, given, is_chinese):
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    system = environment.pop("system", None)
    monkeypatch.setattr(locale, "getlocale", lambda: (system, None))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(words, "given", given)
    assert words.is_chinese() == is_chinese


def test_a_command_that_is_named_keeps_a_language_given_by_hand_and_no_other(chinese):
    assert "python -m practice answer 08.2" in say(words.LAST_HINT, which="08.2")
    chinese.setattr(words, "given", "zh")
    assert "python -m practice answer 08.2" in say(words.LAST_HINT, which="08.2"), "the system says so anyway"
    chinese.setattr(words, "given", "en")
    assert "python -m practice --lang en answer 08.2 shows" in say(words.LAST_HINT, which="08.2")
    chinese.setenv("LANGUAGE", "en")
    chinese.setattr(words, "given", "zh")
    assert "python -m practice --lang zh answer 08.2 会" in say(words.LAST_HINT, which="08.2")


# ---- What is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", [["08"], ["list"], ["hint", "08.2"], ["check", "08"], ["reset", "08.1"], ["--lang", "zh", "list"]], ids=str
)
def test_a_screen_in_chinese_fits_eighty_columns_and_holds_no_english_sentence(chinese, capsys, typed):
    main(typed)
    out, err = capsys.readouterr()
    assert not err and CHINESE.search(out)
    assert all(cell_len(line) <= 80 for line in out.splitlines())
    code_and_names = r"python -m practice.*|\S*workbook\S*|Course\S+|节：.*|.* ····· .*"
    assert not re.search(r"[a-z]+ [a-z]+ [a-z]+", re.sub(code_and_names, "", out)), out


def test_on_a_small_terminal_long_chinese_fits_and_nothing_scrolls_away(chinese, capsys, workbook):
    console = Console(force_terminal=True, width=80, height=24, highlight=False, markup=False, color_system=None)
    workbook.make()
    faults = {
        n: Verdict("wrong", told(words.IN_CELL, line=n, problem="，".join("长" * n for n in range(1, 20))), HINT, 4)
        for n in EXERCISES
    }
    todo = {n: Verdict("todo") for n in EXERCISES}
    for verdicts in (faults, todo):
        screen.show_lesson(console, workbook, Judged(verdicts), (0, 5), news=[4])
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 23 and all(cell_len(line) <= 80 for line in lines)
        assert not any(line.strip().startswith("，") for line in lines)
        assert any("第 4 题" in line for line in lines)


def test_lang_en_brings_english_back(chinese, capsys):
    main(["08", "--lang", "en"])
    out = capsys.readouterr().out
    assert not CHINESE.search(out) and LESSON.tasks[0].title in out
    main(["list"])
    assert CHINESE.search(capsys.readouterr().out), "it was meant for one command"


@pytest.mark.parametrize("typed", [["99"], ["lst"], ["hint"], ["hint", "08"], ["check", "08", "09"], ["report", "no"]])
def test_bad_input_is_refused_in_chinese_and_in_one_line(chinese, capsys, typed):
    assert main(typed) == 2
    assert re.fullmatch(r"practice: .*[\u4e00-\u9fff]{4}.*\n", capsys.readouterr().err)


def test_help_speaks_chinese_and_fits_a_terminal(chinese, capsys):
    chinese.setenv("LANGUAGE", "en")
    with pytest.raises(SystemExit):
        main(["--lang", "zh", "--help"])
    out = capsys.readouterr().out
    assert all(cell_len(line) <= 80 for line in out.splitlines()) and len(CHINESE.findall(out)) > 60


def test_what_has_no_chinese_is_said_in_english(chinese, capsys):
    partly = {"2": {"title": "第 2 题", "task": ""}, "hints": {HINT: ""}}
    chinese.setattr(words, "table", lambda folder: partly if folder == LESSON.folder else {})
    main(["08"])
    out = capsys.readouterr().out
    assert "2. 第 2 题" in out and LESSON.tasks[0].title in out and "images has the shape (64, 3, 32, 32)" in out
    main(["hint", "08.2"])
    assert "Hint 1 of" in capsys.readouterr().out
    assert in_words(told(words.GOT, what="the shape", got="3", expected="4"), LESSON).startswith("the shape: got 3")


def test_a_verdict_is_said_with_the_row_and_the_hint_in_chinese(chinese, invented, capsys):
    exercise = EXERCISES[4]
    mistake = exercise.mistakes[0]
    verdict = verdict_on(LESSON, exercise, run_cells(LESSON, 4, source_of(mistake.answer))[exercise.name])
    chinese.setattr(Judge, "run", lambda *_: Judged(dict.fromkeys(EXERCISES, Verdict("done")) | {4: verdict}))
    workbook = Workbook(LESSON, workbook_folder() / f"{LESSON.name}.py")
    workbook.make()
    workbook.path.write_text(workbook.read().replace("...", "3"), encoding="utf-8")
    main(["check", "08"])
    out = "".join(capsys.readouterr().out.split())
    said = invented["rows"][ROW].split("{}")[0] if ROW in invented["rows"] else ""
    assert said.replace(" ", "") in out and "应为" in out
    assert invented["hints"][mistake.hint].replace(" ", "") in out


def test_a_row_is_said_by_the_key_that_fits_best_and_its_parts_by_theirs(chinese, monkeypatch):
    rows = {
        "{}: the size": "{} 的大小",
        "{}: the size of the first": "{}：第一个的大小",
        "{} rows": "{} 行",
        "{} rows, old": "旧的 {} 行",
        "{} pictures of {}": "{1} 的 {0} 张图片",
        "{} pictures of {}, old": "{1} 的 {0} 张旧图片",
        "{} of {}": "{1} 里的 {0}",
        "the size": "大小",
        "two tensors": "两个张量",
    }
    table = words.table
    monkeypatch.setattr(words, "table", lambda folder: {"rows": rows} if folder == LESSON.folder else table(folder))
    assert messages.row(LESSON, "the size") == "大小"
    assert messages.row(LESSON, "3 rows, old: the size") == "旧的 3 行 的大小"
    assert messages.row(LESSON, "3 rows: the size") == "3 行 的大小"
    assert messages.row(LESSON, "3 rows, old: the size of the first") == "旧的 3 行：第一个的大小"
    assert messages.row(LESSON, "3 of 7") == "7 里的 3"
    assert messages.row(LESSON, "3 pictures of 8x8, old: the size") == "8x8 的 3 张旧图片 的大小"
    assert messages.row(LESSON, "f({}, 3)") == "f({}, 3)", "code stays"
    expected = told(words.A, value="'two tensors'", kind="str")
    verdict = told(words.GOT, what="f(3)", got="'the size'", expected=expected)
    assert in_words(verdict, LESSON) == "f(3)：得到 '大小'，应为 '两个张量'（str）"


@pytest.mark.parametrize(("number", "english"), [("05", "[a-z]{2,},? [a-z]{2,}"), ("12", "[a-z]{2,} [a-z]{2,}")])
def test_in_each_row_of_the_answers_no_english_is_left_but_code(chinese, number, english):
    lesson = LESSONS[number]
    rows = tomllib.loads(practice_messages.skeleton(lesson))["rows"]
    rows = {key: "行" + " ".join("{}" for _ in range(key.count("{}"))) for key in rows}
    chinese.setattr(words, "table", lambda folder: {"rows": rows})
    for exercise in lesson.exercises():
        for label in practice_messages.labels_that_come(exercise):
            said = messages.row(lesson, label)
            assert said != label or practice_messages.is_code(label), label
            assert not re.search(english, said), said


def test_notes_are_named_in_chinese_where_they_are(chinese, tmp_path):
    folder = tmp_path / "Course77-Things"
    folder.mkdir()
    (folder / "notes.md").write_text("# Things\n\n## 2. The size\n", encoding="utf-8")
    lesson = Lesson(folder)
    assert messages.section(lesson, 2) == "Course77-Things/notes.md 第 2 节：The size"
    (folder / "notes.zh-CN.md").write_text("# 东西\n\n## 2. 大小\n", encoding="utf-8")
    assert messages.section(lesson, 2) == "Course77-Things/notes.zh-CN.md 第 2 节：大小"
    assert messages.section(lesson, 9) == "Course77-Things/notes.zh-CN.md 第 9 节"
    chinese.setenv("LANGUAGE", "en")
    assert messages.section(lesson, 2) == "Course77-Things/notes.md, section 2: The size"


# ---- The copy --------------------------------------------------------------------------------------------------------


def test_a_copy_in_chinese_has_the_same_code_marks_kinds_and_minutes(workbook):
    workbook.make()
    text = workbook.path.read_text(encoding="utf-8")
    ours, theirs = split_cells(text), split_cells(LESSON.starter)
    for our, their in zip(ours[1:], theirs[1:], strict=True):
        assert [line for line in our.text.splitlines() if line[:1] != "#"] == [
            line for line in their.text.splitlines() if line[:1] != "#"
        ]
        assert ast.dump(ast.parse(our.text)) == ast.dump(ast.parse(their.text))
    assert [cell.number for cell in ours] == [cell.number for cell in theirs]
    for task in LESSON.tasks:
        (cell,) = (cell for cell in ours if cell.number == task.number)
        assert cell.title == f"第 {task.number} 题 ({task.kind}, {task.minutes} min)"
        assert f"\n# 做第 {task.number} 题。\n#\n# - 要快\n# - 要对，" in cell.text
        comment = [line for line in cell.text.splitlines() if line.startswith("# ")][1:]
        assert len(comment) >= 4 and all(cell_len(line) <= 80 for line in comment)
        assert messages.english_task(LESSON, task.number).split("\n")[0] not in text
    assert compile(text, "workbook", "exec")


def test_a_copy_is_never_rewritten_in_a_different_language_and_counts_the_same(workbook, chinese, capsys):
    workbook.make()
    before = workbook.path.read_bytes()
    chinese.setattr(Judge, "run", None)  # nothing is run
    for language in ("en", "zh", "en"):
        main(["08", "--lang", language])
        assert workbook.path.read_bytes() == before and not workbook.is_outdated()
    states = dict.fromkeys(EXERCISES, "todo")
    chinese.setattr(Judge, "run", None)  # nothing is run
    for language in ("en", "zh_CN"):
        chinese.setenv("LANGUAGE", language)
        assert {number: verdict.state for number, verdict in Judge().judge(workbook).verdicts.items()} == states


def test_one_judgement_is_shown_in_both_languages(workbook, chinese, capsys):
    workbook.make()
    workbook.path.write_text(workbook.read().replace("shape = ...", "shape = 3"), encoding="utf-8")
    runs, verdict = [], Verdict("wrong", told(words.NOT_DEFINED, name="shape"), EXERCISES[1].mistakes[0].hint, 4)
    result = Judged(dict.fromkeys(EXERCISES, Verdict("done")) | {1: verdict})
    chinese.setattr(Judge, "run", lambda *_: runs.append(1) or result)
    main(["check", "08"])
    assert "这一格里没有定义 shape" in capsys.readouterr().out
    main(["check", "08", "--lang", "en"])
    out = capsys.readouterr().out
    assert "shape is not defined in this cell" in out and not CHINESE.search(out)
    assert len(runs) == 1


def test_an_update_of_the_tasks_is_noticed_in_a_copy_in_chinese(workbook):
    workbook.make()
    text = workbook.read().replace(workbook.digest, "00000000")
    assert not workbook.is_outdated()
    workbook.path.write_text(text, encoding="utf-8")
    assert workbook.is_outdated()


def test_reset_of_a_cell_brings_it_back_in_the_language_of_today(workbook, in_english, chinese):
    workbook.make()
    chinese.setenv("LANGUAGE", "zh_CN")
    workbook.reset(2)
    titles = [cell.title for cell in split_cells(workbook.read()) if cell.number]
    assert titles[0].startswith(LESSON.tasks[0].title) and titles[1].startswith("第 2 题")


# ---- Lines -----------------------------------------------------------------------------------------------------------

TEXT = (
    "（Course 03）归一化需要每个通道的均值，对所有图片的所有像素来算。图片来自 `DataLoader`，因为内存里放不下全部图片。"
    "“每张图片”都是 (3, H, W)，尺寸全都相同；函数返回形状为 (3,) 的张量……它差一点就对了！《请改正》"
)


@pytest.mark.parametrize("width", [20, 23, 40, 78, 300])
@pytest.mark.parametrize("begin", ["", "- ", "12. "])
def test_a_wrapped_line_loses_nothing_and_keeps_its_width_and_its_punctuation(width, begin):
    lines = wrapped(begin + TEXT, width)
    assert "".join("".join(lines).split()) == "".join((begin + TEXT).split())
    assert all(cell_len(line) <= width for line in lines)
    assert all(line[len(begin) :][0] not in "，。：；？！）”》、" for line in lines)
    assert all(line[-1] not in "（“《" for line in lines)
    assert all(line.startswith(" " * len(begin)) for line in lines[1:])


def test_signs_in_odd_places_are_not_lost():
    odd = "（“”）“ 完 ” ，！ 《"
    assert "".join("".join(wrapped(odd, 5)).split()) == "".join(odd.split())


def test_code_and_empty_lines_are_not_wrapped():
    code = "    " + "x + " * 30 + "1"
    assert wrapped(code, 40) == [code] and wrapped("", 40) == [""]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntwo\n\nthree", ["one two", "", "three"]),
        ("中文，\n中文\n中文 10\n张", ["中文，中文中文 10 张"]),
        ("- a\n  b\n- c\n1. d\n   e", ["- a b", "- c", "1. d e"]),
        ("look:\n\n    a = 3\n    b = 4\n\nend", ["look:", "", "    a = 3", "    b = 4", "", "end"]),
    ],
    ids=["english", "chinese", "lists", "code"],
)
def test_a_paragraph_is_one_line(text, lines):
    assert paragraphs(text) == lines
