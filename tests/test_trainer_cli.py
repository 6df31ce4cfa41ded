"""The command line: one clear line for what is wrong, and the exit codes."""

import subprocess
import sys

import pytest

from trainer.cli import OneLineParser, number, run_cli


def test_bad_command_lines_become_one_line_and_run_cli_2(capsys):
    def program(argv):
        parser = OneLineParser("words")
        parser.add_argument("--size", type=number(int, 1, 9))
        return 0 if vars(parser.parse_args(argv)) else 1

    assert run_cli("p.py", lambda: program(["--size", "9"])) == 0
    assert run_cli("p.py", lambda: program([])) == 1, "what was not typed is not there"
    assert capsys.readouterr().err == ""
    assert run_cli("p.py", lambda: program(["--size", "10"])) == 2
    err = capsys.readouterr().err
    assert err.startswith("p.py: argument --size: '10' is no whole number from 1 to 9") and err.count("\n") == 1


def test_ctrl_c_is_130(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert run_cli("p.py", interrupted) == 130
    assert capsys.readouterr().err == "\np.py: stopped\n"


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "in the middle"])
def test_a_reader_that_leaves_ends_the_program_quietly(lines):
    """As `python test.py | head` does."""
    code = "import sys, time; from trainer.cli import run_cli\n"
    code += f"def run():\n  time.sleep(0.5)\n  for _ in range({lines}): print('a line of output')\n  return 0\n"
    code += "sys.exit(run_cli('p.py', run))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child.stdout.close()
    assert (child.stderr.read(), child.wait()) == (b"", 141)
    child.stderr.close()
