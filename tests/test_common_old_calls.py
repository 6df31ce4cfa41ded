"""Every statement of the table of old calls is run, and the checker is held against old scripts and look-alikes."""

import dataclasses
import json
import os
import pickle
import re
import runpy
import subprocess
import time
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torchvision
from lessons import LESSONS
from markup import dead_links

from common.old_calls.__main__ import main, scripts
from common.old_calls.facts import Row, table
from common.old_calls.mistakes import RULES as MISTAKES
from common.old_calls.rules import RULES
from common.old_calls.search import find
from common.old_calls.source import OLD_SYNTAX, Source, read
from common.paths import REPOSITORY

ROWS, BEFORE = table()
OLD_SCRIPTS = Path(__file__).parent / "old_scripts"
HAS_GPU = torch.cuda.is_available()


def found(text: str, path: Path = Path("script.py")) -> list[str]:
    """The rows that the checker finds in a text."""
    return [finding.row.id for finding in find(Source(path, text))]


# ---- Each row is run -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A folder with the files that the programs of the table expect, and no way to the network."""
    folder = tmp_path_factory.mktemp("rows")
    python_2 = b"\x80\x02U\x03\xff\xd8\xa0."  # a pickle of Python 2: three bytes that are no ASCII
    (folder / "cifar-10-batches-py").mkdir()
    (folder / "cifar-10-batches-py" / "data_batch_1").write_bytes(python_2)
    cifar = folder / "data" / "cifar-10-batches-py"
    cifar.mkdir(parents=True)
    part = {"data": np.zeros((1, 3072), np.uint8), "labels": [0]}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        (cifar / name).write_bytes(pickle.dumps(part))
    (cifar / "batches.meta").write_bytes(pickle.dumps({"label_names": ["ant"]}))
    mnist = folder / "data" / "MNIST" / "raw"
    mnist.mkdir(parents=True)
    for kind in ("train", "t10k"):
        (mnist / f"{kind}-images-idx3-ubyte").write_bytes(
            bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(4)
        )
        (mnist / f"{kind}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 1]) + bytes(1))
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    patch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    downloaded = torchvision.models.squeezenet1_1().state_dict()
    patch.setattr(torchvision.models.WeightsEnum, "get_state_dict", lambda *_, **__: downloaded)
    torch.set_warn_always(True)
    yield folder
    torch.set_warn_always(False)
    patch.undo()


def run(program: str, stage: Path) -> tuple[object, list[str], str]:
    """`result` after the program, its warnings, and its error: "" where it ended well."""
    file = stage / "program.py"
    file.write_text(BEFORE + program, encoding="utf-8")
    kept, error, names = (os.listdir, torch.serialization.location_tag, torch.get_default_dtype()), "", {}
    with warnings.catch_warnings(record=True) as caught, matplotlib.rc_context(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            names = runpy.run_path(str(file))
        except SyntaxError as raised:
            error = f"SyntaxError: {raised.msg}"
        except Exception as raised:  # noqa: BLE001 the error is what the row is about
            error = f"{type(raised).__name__}: {raised}"
        finally:
            os.listdir, torch.serialization.location_tag = kept[:2]
            torch.set_default_dtype(kept[2])
            plt.close("all")
    said = [f"{w.category.__name__}: {w.message}" for w in caught]
    plain = [re.sub(r"\s+", " ", re.sub("\x1b\\[\\d*m", "", text)) for text in (error, *said)]
    return names.get("result"), plain[1:], plain[0]


def same(a, b) -> bool:
    """Whether two results are equal: tensors number by number."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.allclose(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def problems_of(row: Row, stage: Path) -> list[str]:
    """What is not as the row says."""
    wrong = []
    result, said, error = run(row.old, stage)
    today, said_today, error_today = run(row.new, stage)
    if error_today or said_today:
        wrong.append(f"today's call is not silent: {error_today or said_today}")
    messages = [" ".join(text.split()) for text in (row.message, row.or_message) if text]
    if row.effect == "fails":
        if not any(error.startswith(message) for message in messages):
            wrong.append(f"it does not fail with {row.message!r}, but: {error!r}")
    elif error:
        wrong.append(f"it fails: {error}")
    if row.effect == "warns":
        if not any(text.startswith(messages[0]) for text in said):
            wrong.append(f"it does not warn with {row.message!r}, but: {said}")
        if len(set(said)) > 1 and "*" not in row.also:
            wrong.append(f"it warns of more: {said}")
    elif said and "*" not in row.also:
        wrong.append(f"it warns: {said}")
    if row.effect == "works" and not same(result, today):
        wrong.append(f"{result} is not today's {today}")
    if row.effect == "wrong":
        if repr(result) != row.gives or repr(today) != row.gives_today:
            wrong.append(f"gives {result!r}, today {today!r}; the row says {row.gives}, {row.gives_today}")
        if row.gives not in row.does:
            wrong.append(f"{row.gives} is not in {row.does!r}")
    return wrong


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_row_says_what_the_old_call_does_and_what_replaces_it(row, stage):
    if HAS_GPU and row.gpu:
        pytest.skip("the row is about a computer without an NVIDIA GPU")
    assert problems_of(row, stage) == []


# ---- The checker finds each row, and nothing in today's call ---------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in ROWS.values() if not row.by_eye], ids=lambda row: row.id)
def test_the_checker_finds_the_old_call_and_not_todays(row):
    ids = found(BEFORE + row.old)
    assert row.id in ids
    assert set(ids) <= {row.id, *row.also}
    assert found(BEFORE + row.new) == []


def test_every_row_that_is_reported_has_something_to_look_for_and_every_rule_its_row():
    for row in ROWS.values():
        ruled = row.id in RULES or row.id in MISTAKES or row.id in OLD_SYNTAX
        assert row.by_eye != bool(row.names or row.methods or row.modules or ruled), row.id
    assert not {*RULES, *MISTAKES, *OLD_SYNTAX} - set(ROWS)
    assert not set(RULES) & set(MISTAKES)


# ---- Old scripts: what was planted is found, and nothing else --------------------------------------------------------


def planted(text: str) -> dict[int, list[str]]:
    """The rows that the comments `#! row row` of a script name, by line."""
    lines = enumerate(text.split("\n"), start=1)
    return {
        number: sorted(line.split("#!")[1].split()) for number, line in lines if "#! " in line and "`#!" not in line
    }


@pytest.mark.parametrize("name", ["train_2017.py", "train_2020.py", "train_2023.py"])
def test_in_an_old_script_everything_planted_is_found_and_nothing_else(name):
    source, problems = read(OLD_SCRIPTS / name)
    assert not problems and len(source.lines) > 80
    lines = {}
    for finding in find(source):
        lines.setdefault(finding.line, []).append(finding.row.id)
    wanted = planted(source.text)
    for number in sorted({*wanted, *lines}):
        assert sorted(lines.get(number, [])) == wanted.get(number, []), f"{name}:{number}: {source.lines[number - 1]}"


def test_code_that_only_looks_alike_is_left_alone():
    source, problems = read(OLD_SCRIPTS / "look_alikes.py")
    code = [line for line in source.lines if line.strip() and not line.strip().startswith("#")]
    assert not problems and len(code) > 200
    assert [(finding.line, finding.row.id, finding.call) for finding in find(source)] == []


# ---- The table against the lessons -----------------------------------------------------------------------------------

FOLDERS = {lesson[6:8]: lesson for lesson in LESSONS}


def notes_of(number: str) -> str:
    return (REPOSITORY / FOLDERS[number] / "notes.md").read_text(encoding="utf-8")


def lesson_problem(lesson: str) -> str:
    """What is wrong with "16 §14 pretrained": "" where that section is there and its title has the word."""
    number, section, word = lesson.split(maxsplit=2)
    if number not in FOLDERS or not re.fullmatch(r"§\d+", section):
        return f"{lesson}: no such lesson"
    titles = re.findall(rf"^## {section[1:]}\. (.+)$", notes_of(number), re.MULTILINE)
    if not titles:
        return f"{lesson}: Course{number} has no section {section}"
    return "" if word.lower() in titles[0].lower() else f"{lesson}: that section is called {titles[0]!r}"


def test_every_row_names_a_section_that_is_there():
    assert [problem for row in ROWS.values() if (problem := lesson_problem(row.lesson))] == []


def old_call_tables() -> dict[str, tuple[str, str]]:
    """All rows of the lessons' tables "Old call, today's call": "16 `vgg16(…)`" -> (today, what the old one does)."""
    rows = {}
    for number in FOLDERS:
        for table_of in re.findall(r"^\| old call \|.*\n\| --- .*\n((?:\|.*\n)+)", notes_of(number), re.MULTILINE):
            for line in table_of.splitlines():
                call, today, effect = (cell.strip() for cell in line.strip().strip("|").split(" | "))
                rows[f"{number} {call}"] = (today, effect)
    return rows


def disagreement(row: Row, words: str) -> str:
    """In what the words of a lesson's table contradict the row: "" where they do not."""
    plain = words.replace("`", "")
    errors = re.findall(r"\b\w+Error\b", plain)
    errors += re.findall(r"\b\w+Warning\b", plain)
    if errors and not row.message.startswith(errors[0]):
        return f"{errors[0]} in the notes, {row.message!r} in the table"
    kinds = {
        "fails": "Error" in plain or bool(re.search(r"^(fails|stops)|with an error", plain)),
        "warns": "warn" in plain.lower() and "without a warning" not in plain,
        "runs": bool(
            re.search(r"^(still |it )?(works|runs|writes|makes|returns|antialiases|the same|one answer)", plain)
        ),
    }
    fits = {"fails": kinds["fails"], "warns": kinds["warns"]}.get(row.effect, kinds["runs"])
    quoted = re.findall(r"[\"“]([^\"”]+)[\"”]", plain)
    missing = [text for text in quoted if text.lower() not in row.says.lower()]
    return "" if fits and not missing else f"{words!r} in the notes, {row.effect} {row.says!r} in the table"


def test_the_lessons_tables_and_this_one_have_the_same_calls():
    said = {reference for row in ROWS.values() for reference in row.notes}
    assert said == set(old_call_tables())


def test_the_lessons_tables_say_what_this_one_says():
    tables = old_call_tables()
    wrong = [f"{reference}: {problem}" for row in ROWS.values() for reference in row.notes
             if reference in tables and (problem := disagreement(row, tables[reference][1]))]  # fmt: skip
    assert wrong == []


# ---- The page for those who come from the videos ---------------------------------------------------------------------

PAGE = (REPOSITORY / "FROM-THE-VIDEOS.md").read_text(encoding="utf-8")


def wrong_links(page: str) -> list[str]:
    """Links whose file or section is not there, or that are called something else than their section."""
    wrong = dead_links(page, REPOSITORY)
    for number, section, title, target in re.findall(r"\[Course(\d\d) §(\d+) ([^\]]+)\]\(([^)]+)\)", page):
        file = target.split("#")[0]
        titles = re.findall(rf"^## {section}\. (.+)$", (REPOSITORY / file).read_text(encoding="utf-8"), re.MULTILINE)
        if titles != [title] or FOLDERS[number] != file.split("/")[0]:
            wrong.append(f"Course{number} §{section} {title}")
    return wrong


def test_the_page_for_those_who_come_from_the_videos_leads_to_real_sections_of_every_lesson():
    assert wrong_links(PAGE) == []
    assert {number for number in FOLDERS if f"[Course{number} §" in PAGE} == set(FOLDERS)


def test_a_link_to_a_renamed_section_is_caught():
    assert wrong_links(PAGE.replace("Course00 §1 Setup", "Course00 §1 Set-up")) == ["Course00 §1 Set-up"]
    assert wrong_links(PAGE.replace("Course00 §13 ", "Course00 §14 ")) != []
    assert wrong_links(PAGE.replace("notes.md#1-setup", "notes.md#1-set-up")) != []


def test_the_page_quotes_what_the_command_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script = "import torch\nfrom torchvision import models\nmodel = models.vgg16(pretrained=True)\n"
    Path("my_script.py").write_text(script + 'model.state_dict = torch.load("vgg16.pth")\n')
    assert main(["my_script.py"]) == 1
    (example,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert capsys.readouterr().out == example


# ---- The command -----------------------------------------------------------------------------------------------------

OLD = "import torch\nx = torch.range(1, 3)\n"


def test_nothing_found_is_0_something_found_is_1(tmp_path, capsys):
    (tmp_path / "fine.py").write_text("import torch\nx = torch.arange(1, 4)\n")
    assert main([str(tmp_path / "fine.py")]) == 0
    assert capsys.readouterr().out == "1 file: nothing found\n"
    (tmp_path / "old.py").write_text(OLD)
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"{tmp_path / 'old.py'}:2: torch.range(1, 3)" in out and "torch.arange(1, 4)" in out and "Course00 §2" in out


def test_a_second_finding_of_a_row_takes_one_line(tmp_path, capsys):
    (tmp_path / "old.py").write_text(OLD * 3)
    main([str(tmp_path / "old.py")])
    assert capsys.readouterr().out.count("UserWarning") == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("no.py", None, "no such file or folder"),
        ("picture.png", b"\x89PNG", "no script"),
        ("binary.py", b"\x7fELF\0\0\x01", "binary data"),
        ("broken.py", b"def f(:\n", "1: no Python that can be read"),
        ("latin.py", b"x = '\xff'\n", "neither in UTF-8 nor in GBK"),
        ("broken.ipynb", b"{]", "no notebook that can be read"),
        ("list.ipynb", b"[1]", "no notebook that can be read"),
        ("deep.py", b"(" * 5000, "no Python that can be read"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line_and_the_others_are_read(tmp_path, capsys, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "old.py").write_text(OLD)
    assert main([str(tmp_path / name), str(tmp_path / "old.py")]) == 2
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and name in err
    assert "torch.range(1, 3)" in out


def test_an_empty_folder_and_a_syntax_error_in_one_of_many_files(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: no script (.py)")
    for i in range(20):
        (tmp_path / f"{i}.py").write_text(OLD)
    (tmp_path / "broken.py").write_text("x = = 1\n")
    assert main([str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert "20 files, 20 findings" in out and err.count("\n") == 1 and "broken.py:1:" in err


def test_environments_and_hidden_folders_are_not_searched(tmp_path):
    for folder in ("mine", ".hidden", "env/lib", "site-packages"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.py").write_text(OLD)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    assert scripts(tmp_path) == [tmp_path / "mine" / "a.py"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_chinese_comments_in_utf_8_and_in_gbk_are_read(tmp_path, encoding):
    file = tmp_path / "脚本.py"
    file.write_bytes(f"# 准备数据集\r\n{OLD}".encode(encoding))
    assert [finding.line for finding in find(read(file)[0])] == [3]


def notebook(*cells: str) -> str:
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": ["torch.range(1, 3)"]}, *code]})


def test_a_notebook_is_read_as_one_script_and_findings_name_their_cell(tmp_path, capsys):
    file = tmp_path / "a.ipynb"
    magic = "%matplotlib inline\n!pip install torch\nhelp?\nfiles = !ls\nimport torch"
    file.write_text(notebook(magic, "%%bash\nls -l", "def f(:", "\ny = 1  # what?\nx = torch.range(1, 3)"))
    assert main([str(file), "--json"]) == 2
    out, err = capsys.readouterr()
    (finding,) = json.loads(out)
    assert (finding["cell"], finding["line"], finding["id"]) == (4, 3, "range")
    assert err.count("\n") == 1 and "(cell 3)" in err


def test_json_says_all_that_the_text_says(tmp_path, capsys):
    (tmp_path / "old.py").write_text(OLD)
    main([str(tmp_path / "old.py"), "--json"])
    (finding,) = json.loads(capsys.readouterr().out)
    row = ROWS["range"]
    assert finding == {
        "file": str(tmp_path / "old.py"), "line": 2, "call": "torch.range(1, 3)", "id": "range", "effect": "warns",
        "today": row.message, "write": row.write, "why": row.why, "lesson": "Course00 §2",
    }  # fmt: skip


def test_python_2_is_named_not_refused_and_a_text_about_it_is_left_alone():
    script = 'print "a"\nprint "b" % 1, \\\n    2\nexcept_ = 1\n"""\nprint "in a text"\n"""\nprint ("c") if 1 else 2\n'
    assert find_lines(script) == [("print-statement", 1), ("print-statement", 2)]
    assert find_lines("if x: print y\nraise ValueError, 1\nif a <> b: pass\nexec 'a'\n") == [
        ("print-statement", 1), ("raise-comma", 2), ("angle-brackets", 3), ("exec-statement", 4),
    ]  # fmt: skip


def find_lines(text: str) -> list[tuple[str, int]]:
    return [(finding.row.id, finding.line) for finding in find(Source(Path("a.py"), text))]


def test_names_are_followed_through_every_kind_of_import(tmp_path):
    for text in (
        "from torch import range as arange\narange(1, 3)\n",
        "import torch as t\nt.range(1, 3)\n",
        "def f():\n    import torch\n    return torch.range(1, 3)\n",
        "import torch.nn.functional as G\nG.softmax(x)\n",
        "from torch.nn import functional\nfunctional.softmax(x)\n",
        "import torch\ntorch.nn.functional.softmax(x)\n",
        "from torch.nn.functional import softmax as s\ns(x)\n",
        "from torchvision.models import *\nvgg16(pretrained=True)\n",
    ):
        assert len(found(text)) == 1, text
    (tmp_path / "model.py").write_text("import torch\nfrom torch import nn\nimport torch.nn.functional as F\n")
    assert found("from model import *\nF.softmax(x)\n", tmp_path / "train.py") == ["functional-softmax"]


def test_a_line_marked_as_on_purpose_is_left_alone():
    assert found("import torch\nx = torch.range(1, 3)  # on purpose\n") == []
    assert found("import torch\nx = torch.range(1, 3)  # the old one, on purpose\n") == []
    assert found("import torch\n# the old one, on purpose\nx = torch.range(1, 3)\n") == []
    assert found("import torch\ny = 1  # on purpose\nx = torch.range(1, 3)\n") == ["range"]
    assert found("import torch\nx = torch.range(1, 3), 'on purpose'\n") == ["range"]


@pytest.mark.parametrize("folder", [*LESSONS, "common", "trainer"])
def test_nothing_is_found_in_the_course_itself(folder, capsys):
    files = sorted((REPOSITORY / folder).rglob("*.py"))  # the notebooks hold the same lines: test_notebooks.py
    files = [file for file in files if file.name not in ("exercises.py", "solutions.py")]  # wrong on purpose, unmarked
    assert main([str(file) for file in files]) == 0, capsys.readouterr().out


# ---- --diff ----------------------------------------------------------------------------------------------------------

CHANGED = """import time
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Variable
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset
from torchvision import models, transforms, utils
from torchvision.transforms import Scale


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.layer = nn.Linear(4, 2)
        nn.init.xavier_uniform(self.layer.weight)

    def forward(self, x):
        return F.sigmoid(self.layer(x))


zeit = time.clock(); übung = np.zeros(3).astype(np.float)
model = Net()
x = Variable(torch.ones(3, 4))
loss = nn.MSELoss(size_average=False)(model(x), torch.zeros(3, 2))
loss.backward(retain_variables=True)
total = loss.data[0]
nn.utils.clip_grad_norm(model.parameters(), 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scheduler = lr_scheduler.StepLR(optimizer, 10, verbose=True)
optimizer.step()
rate = scheduler.get_lr()
(first,) = iter(DataLoader(TensorDataset(x))).next()
grid = utils.make_grid(torch.rand(2, 3, 4, 4), range=(0, 1))
net = models.squeezenet1_1(pretrained=False)
resize = transforms.Scale(8), Scale(9)
torch.save(model.state_dict(), "weights.pt")
weights = torch.load("weights.pt", map_location=lambda storage, loc: storage)
"""


def apply(patch: str, folder: Path) -> None:
    command = ["git", "apply", "--unsafe-paths", "-"]
    subprocess.run(command, input=patch.encode(), cwd=folder, check=True, capture_output=True)


def test_the_proposal_applies_and_what_comes_out_runs_without_a_word(stage, capsys):
    file = stage / "changed.py"
    file.write_text(CHANGED, encoding="utf-8")
    assert len(found(CHANGED)) == 19
    assert main(["changed.py", "--diff"]) == 1  # the tests stand in this folder
    patch = capsys.readouterr().out
    assert file.read_text(encoding="utf-8") == CHANGED, "the file itself is not changed"
    subprocess.run(
        ["patch", "-p1"], input=patch, text=True, encoding="utf-8", cwd=stage, check=True, capture_output=True
    )
    today = file.read_text(encoding="utf-8")
    assert found(today) == []
    with warnings.catch_warnings(action="error"):
        names = runpy.run_path(str(file))
    assert isinstance(names["total"], float) and names["rate"] == [0.1] and names["first"].shape == (1, 4)


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row.fix and not row.gpu], ids=lambda row: row.id)
def test_each_certain_change_runs_without_a_word_and_without_a_finding(row, stage, capsys):
    file = stage / "certain.py"
    file.write_text(BEFORE + row.old, encoding="utf-8")
    main(["certain.py", "--diff"])
    patch = capsys.readouterr().out
    assert patch, "no change is proposed"
    subprocess.run(
        ["patch", "-p1"], input=patch, text=True, encoding="utf-8", cwd=stage, check=True, capture_output=True
    )
    today = file.read_text(encoding="utf-8")
    assert row.id not in found(today)
    _, said, error = run(today.removeprefix(BEFORE), stage)
    assert not error
    assert [text for text in said if "CUDA is not available" not in text] == []


# ---- Speed, and the tests themselves ---------------------------------------------------------------------------------


def test_a_long_script_takes_less_than_a_second(tmp_path):
    lines = (OLD_SCRIPTS / "train_2023.py").read_text(encoding="utf-8").split("\n")
    (tmp_path / "long.py").write_text("\n".join((lines * 40)[:5000]), encoding="utf-8")
    table()
    begin = time.process_time()
    assert find(read(tmp_path / "long.py")[0])
    assert time.process_time() - begin < 1.0


@pytest.mark.slow
def test_a_thousand_files_take_less_than_twenty_seconds(tmp_path, capsys):
    for i in range(1000):
        name = ("train_2017.py", "train_2020.py", "train_2023.py", "look_alikes.py")[i % 4]
        (tmp_path / f"{i}.py").write_bytes((OLD_SCRIPTS / name).read_bytes())
    begin = time.process_time()
    assert main([str(tmp_path)]) == 1
    assert time.process_time() - begin < 20.0


@pytest.mark.parametrize(
    ("row", "change"),
    [
        ("loss-data-0", {"message": "IndexError: invalid index of a 1-dim tensor"}),
        ("range", {"effect": "works", "message": ""}),
        ("range", {"message": "FutureWarning: torch.range is deprecated"}),
        ("to-tensor", {"effect": "warns", "message": "UserWarning: deprecated"}),
        ("transforms-Scale", {"effect": "works"}),
        ("softmax-twice", {"gives": "0.0"}),
        ("zero-grad-missing", {"does": "adds up"}),
        ("variable", {"new": "result = x + 1\n"}),
        ("elementwise-mean", {"new": 'result = nn.MSELoss(reduction="elementwise_mean")(x, x)\n'}),
    ],
)
def test_a_wrong_statement_is_caught(row, change, stage):
    assert problems_of(dataclasses.replace(ROWS[row], **change), stage) != []


def test_a_wrong_lesson_and_a_wrong_word_in_the_notes_are_caught():
    assert lesson_problem("16 §14 pretrained") == ""
    assert lesson_problem("16 §99 pretrained") and lesson_problem("21 §1 Setup") and lesson_problem("16 §14 freeze")
    assert disagreement(ROWS["loss-data-0"], "IndexError") == ""
    assert disagreement(ROWS["loss-data-0"], "works") and disagreement(ROWS["loss-data-0"], "TypeError")
    assert disagreement(ROWS["to-tensor"], "warns") and disagreement(ROWS["range"], 'warns that "it is gone"')
