"""Paths, devices, models and the command line: small promises that everything else relies on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from common import UserError, paths
from common.cli import OneLineParser, exit_code, number
from common.device import pick_device
from common.models import MODELS, ClassicCNN, count_parameters, make_model

REPOSITORY = Path(__file__).parent.parent


def test_the_root_is_the_repository_or_course_home(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    assert paths.home() == tmp_path.resolve()
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.chdir(tmp_path)
    assert paths.home() == REPOSITORY, "found from the code's own place, not from the current directory"
    assert paths.data_dir() == REPOSITORY / "data" and paths.log_dir("X") == REPOSITORY / "logs" / "X"


def test_a_folder_that_cannot_be_made_is_named_with_a_way_out(course_home):
    (course_home / "outputs").write_text("in the way")
    with pytest.raises(UserError, match="cannot make the folder .*outputs.*COURSE_HOME"):
        paths.output_dir("Course08-Conv2d")


def test_a_fresh_log_folder_is_empty_and_leaves_other_lessons_alone(course_home):
    for lesson in ("Course08-Conv2d", "Course09-Pool"):
        (paths.log_dir(lesson) / "run").mkdir(parents=True)
    assert paths.fresh_log_dir("Course08-Conv2d") == course_home / "logs" / "Course08-Conv2d"
    assert [folder.name for folder in (course_home / "logs").iterdir()] == ["Course09-Pool"]


def test_a_path_is_shown_as_it_would_be_typed_here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert paths.shown(tmp_path / "a" / "b.pt") == str(Path("a") / "b.pt")
    assert paths.shown(tmp_path.parent / "b.pt") == str(tmp_path.parent / "b.pt")


def test_replacing_swaps_the_file_at_the_end_or_not_at_all(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), paths.replacing(path) as beside:
        beside.write_text("half")
        assert path.read_text() == "old"
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with paths.replacing(path) as beside:
        beside.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_auto_takes_the_accelerator_where_there_is_one_and_says_why(monkeypatch):
    device, reason = pick_device("auto")
    expected = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    assert device.type == expected and reason.startswith(f"device: {expected}") and "\n" not in reason
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("mps"))
    assert pick_device("auto")[0].type == "mps"
    assert pick_device("cpu")[1] == f"device: cpu ({torch.get_num_threads()} threads; asked for, though mps is here)"
    with pytest.raises(UserError, match="no cuda device here"):
        pick_device("cuda")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_turns_pictures_into_logits(name):
    model = make_model(name, 7)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_the_models_have_the_sizes_that_their_papers_and_videos_give():
    conv = [32 * (3 * 25 + 1), 32 * (32 * 25 + 1), 64 * (32 * 25 + 1)]
    linear = [64 * (1024 + 1), 10 * (64 + 1)]
    assert count_parameters(make_model("cnn-classic")) == sum(conv + linear) == 145_578
    assert count_parameters(make_model("cnn")) == sum(conv + linear) + 128, "BatchNorm has two, a bias is one"
    lenet = [6 * (3 * 25 + 1), 16 * (6 * 25 + 1), 120 * (400 + 1), 84 * (120 + 1), 10 * (84 + 1)]
    assert count_parameters(make_model("lenet")) == sum(lenet)
    assert make_model("resnet18").conv1.stride == (1, 1)


def test_the_classic_network_has_the_state_dict_names_of_the_videos():
    names = [f"model.{i}.{kind}" for i in (0, 2, 4, 7, 8) for kind in ("weight", "bias")]
    assert list(ClassicCNN().state_dict()) == names


def test_an_unknown_model_is_refused_with_the_list_of_known_ones():
    with pytest.raises(UserError, match="'vgg'.*cnn, cnn-classic, lenet, resnet18"):
        make_model("vgg")


def test_bad_command_lines_become_one_line_and_exit_code_2(capsys):
    def program(argv):
        parser = OneLineParser("words")
        parser.add_argument("--size", type=number(int, 1, 9))
        return 0 if vars(parser.parse_args(argv)) else 1

    assert exit_code("p.py", lambda: program(["--size", "9"])) == 0
    assert exit_code("p.py", lambda: program([])) == 1, "what was not typed is not there"
    assert capsys.readouterr().err == ""
    assert exit_code("p.py", lambda: program(["--size", "10"])) == 2
    err = capsys.readouterr().err
    assert err.startswith("p.py: argument --size: '10' is no whole number from 1 to 9") and err.count("\n") == 1


def test_ctrl_c_is_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert exit_code("p.py", interrupted) == 130
    assert capsys.readouterr().err == "\np.py: stopped\n"


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "in the middle"])
def test_a_reader_that_leaves_ends_the_program_quietly(lines):
    """As `python test.py | head` does."""
    code = "import sys, time; from common.cli import exit_code\n"
    code += f"def run():\n  time.sleep(0.5)\n  for _ in range({lines}): print('a line of output')\n  return 0\n"
    code += "sys.exit(exit_code('p.py', run))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == (b"", 141)
    child.stderr.close()


def test_the_tests_and_their_child_processes_cannot_reach_the_network():
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    with pytest.raises(OSError, match="may not use the network"):
        exec(reach)
    child = subprocess.run([sys.executable, "-c", reach], capture_output=True, text=True, env=os.environ)
    assert child.returncode != 0 and "may not use the network" in child.stderr
