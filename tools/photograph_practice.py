"""Photograph the screen of `make practice` for the README: practice/screen.svg, 80 columns wide.

Run   python tools/photograph_practice.py [--states] [--lang zh]

A workbook of Course 08 with two answers and one known mistake is judged in a temporary home, and what a learner would
see is drawn. To look at when the screen is changed, into outputs/: --states, the states of an exercise in one picture
(done, to do, wrong in a known and in an unknown way, a crash), and --lang zh, the same in Chinese.
"""

import io
import os
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from common.paths import REPOSITORY, output_dir
from practice import cli, words
from practice.exercise import source_of
from practice.judge import Judge
from practice.lessons import find, split_cells


def main() -> int:
    lesson, _ = find("08")
    shape, output_size, count_parameters, *_ = lesson.exercises()
    mistake = next(mistake for mistake in count_parameters.mistakes if "groups" in mistake.hint)
    codes = {1: shape.source(), 2: output_size.source(), 3: source_of(mistake.answer)}
    words.given = "zh" if sys.argv[-2:] == ["--lang", "zh"] else "en"
    target = REPOSITORY / "practice" / "screen.svg"
    if words.given == "zh":
        target = output_dir("practice") / "screen.zh-CN.svg"
    if "--states" in sys.argv:
        codes[3], codes[4] = codes[3].replace("kernel_size**2", "9"), "import os\nos._exit(1)\n"
        codes[2] = source_of(output_size.mistakes[0].answer)
        target = output_dir("practice") / f"states.{words.given}.svg"
    with tempfile.TemporaryDirectory() as home, Judge() as judge:
        os.environ["COURSE_HOME"] = home
        os.chdir(home)
        workbook = cli.workbook_of(lesson)
        workbook.make()
        cells = split_cells(workbook.read())
        texts = [cell.text for cell in cells]
        for i, cell in enumerate(cells):
            if cell.number in codes:
                comment = re.match(r"(?:#.*\n)*", cell.text)[0]
                texts[i] = f"{comment}\n\n{codes[cell.number]}\n\n"
        workbook.path.write_text("".join(texts), encoding="utf-8")
        console = Console(
            width=80, height=40, record=True, force_terminal=True, file=io.StringIO(), highlight=False, markup=False
        )
        judge.judge(workbook)  # now, so that the picture does not show how it waits
        cli.show(console, workbook, cli.standings(console, judge))
        console.print()
        svg = console.export_svg(title="make practice")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts from the network; any fixed-width one will do
    Path(target).write_text(svg, encoding="utf-8")
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
