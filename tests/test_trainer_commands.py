"""The commands that the programs print: pasted into a terminal, they do what they say."""

import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from lessons import load_module, script_of
from test_course19_train import FOUR_EPOCHS, QUICK, signal_in_batch

from common.paths import REPOSITORY
from trainer import commands, distributed

train = load_module(script_of("Course19-TrainGPU"))
test = load_module(script_of("Course20-ModelTest"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current directory whose name needs quotes, and which is the home of the course."""
    place = tmp_path / "my 'own' 课程 $HOME"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("COURSE_HOME", str(place))
    return place


def run(program, *argv, capsys):
    code = program.main([str(word) for word in argv])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def words_of(line, label):
    """What a shell makes of the command after the label."""
    return shlex.split(line[line.index(label) + len(label) :])


def test_the_python_of_a_virtual_environment_is_named_as_it_was_typed(place, monkeypatch):
    """Its link must stay: the Python that it leads to has none of the packages."""
    (place / ".venv/bin").mkdir(parents=True)
    (place / ".venv/bin/python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(place / ".venv/bin/python"))
    assert commands.python("-m", "x") == ".venv/bin/python -m x"
    monkeypatch.chdir(place / ".venv/bin")
    assert words_of(commands.python(), "") == [str(place / ".venv/bin/python")], "python alone would be another one"
    monkeypatch.chdir(REPOSITORY)
    assert words_of(commands.python(), "") == [str(place / ".venv/bin/python")]


def test_a_shell_takes_each_argument_as_it_was_meant(place):
    paths = [place / name for name in ("best.pt", "with space.pt", "$(date).pt", "it's.pt", "*.pt", "a;b.pt")]
    printed = commands.quoted("printf", r"%s\n", *paths)
    done = subprocess.run(printed, shell=True, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines() == [path.name for path in paths]


def test_on_windows_it_is_quoted_as_windows_does_it(monkeypatch):
    monkeypatch.setattr(commands, "os", SimpleNamespace(name="nt"))
    assert commands.quoted("python.exe", "my pictures\\a.jpg") == 'python.exe "my pictures\\a.jpg"'


def test_the_last_lines_of_a_run_can_be_pasted(place, pictures, capsys):
    code, out, _ = run(train, "--data", pictures, *QUICK, capsys=capsys)
    assert code == 0
    *_, tensorboard, use_it = out.splitlines()
    module = ["-m", "tensorboard.main", "--logdir", "logs"]
    python, *arguments = words_of(tensorboard, "TensorBoard ")
    assert Path(python).samefile(sys.executable) and arguments == module
    python, program, *arguments = words_of(use_it, "use it ")
    assert Path(python).samefile(sys.executable) and Path(program).samefile(script_of("Course20-ModelTest"))
    assert arguments == ["PICTURE", "…"], "the newest run needs no name"

    picture = pictures / "test/red/0.png"
    _, out, _ = run(train, "--data", pictures, *QUICK, "--out", place / "elsewhere", capsys=capsys)
    _, _, *arguments, _, _ = words_of(out.splitlines()[-1], "use it ")
    assert arguments == ["--checkpoint", "elsewhere/best.pt"], "test.py would take run-001"
    assert words_of(out.splitlines()[-2], "--logdir") == ["elsewhere"]
    code, out, _ = run(test, *arguments, picture, capsys=capsys)
    assert code == 0 and "checkpoint: elsewhere/best.pt" in out


def test_a_quick_trial_is_named_and_does_not_replace_the_run_before(place, pictures, capsys):
    run(train, "--data", pictures, *QUICK, capsys=capsys)  # --limit 100 is more than there are
    _, out, _ = run(train, "--data", pictures, *QUICK, "--limit", 20, capsys=capsys)
    trial = "checkpoints/Course19-TrainGPU/run-002/best.pt"
    assert words_of(out.splitlines()[-1], "use it ")[2:-2] == ["--checkpoint", trial]
    code, out, _ = run(test, pictures / "test/red/0.png", capsys=capsys)
    assert code == 0 and "checkpoint: checkpoints/Course19-TrainGPU/run-001/best.pt" in out
    assert f"run-002 is newer, but a quick trial (--limit 20). To take it, add\n--checkpoint {trial}\n" in out


@pytest.mark.parametrize("where", ["its usual place", "--out and --logdir"])
def test_what_a_stopped_run_advises_goes_on_with_it(where, place, pictures, monkeypatch, capsys):
    places = [] if where == "its usual place" else ["--out", "my run", "--logdir", "my logs"]
    signal_in_batch(10, monkeypatch)
    code, _, err = run(train, "--data", pictures, *FOUR_EPOCHS, *places, capsys=capsys)
    assert code == 130
    python, program, *arguments = words_of(err, "all is saved; go on with the next step: ")
    assert Path(python).samefile(sys.executable) and Path(program).samefile(script_of("Course19-TrainGPU"))
    folder = "my run" if places else "checkpoints/Course19-TrainGPU/run-001"
    assert arguments == ["--resume", folder, *(["--logdir", "my logs"] if places else [])]
    code, out, _ = run(train, *arguments, capsys=capsys)
    assert code == 0 and "to go on there" not in out
    assert len(list((place / (places[-1] if places else "logs/Course19-TrainGPU/run-001")).iterdir())) == 2


def test_a_run_that_is_resumed_without_its_log_folder_says_what_to_add(place, pictures, monkeypatch, capsys):
    signal_in_batch(10, monkeypatch)
    run(train, "--data", pictures, *FOUR_EPOCHS, "--logdir", "my logs", capsys=capsys)
    _, out, _ = run(train, "--resume", capsys=capsys)
    line = next(line for line in out.splitlines() if "to go on there" in line)
    assert words_of(line, "add ")[0] == "--logdir" and Path(words_of(line, "add ")[1]).name == "my logs"


def test_of_several_processes_torchrun_is_named_whose_options_nobody_knows(monkeypatch):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.chdir(REPOSITORY)
    assert commands.train_again("--resume", Path("a run")) == ("torchrun … Course19-TrainGPU/train.py --resume 'a run'")
