"""Draw the pictures of the notes again: run the lessons, then copy what their notes show into their figures/.

Run   python tools/update_figures.py [LESSON …]      all lessons, or those that are named
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

with tempfile.TemporaryDirectory() as home:
    os.environ["COURSE_HOME"] = os.environ["TORCH_HOME"] = home
    os.environ["MPLBACKEND"] = "Agg"
    from lessons import LESSONS, drawn_figure, links, run_lesson

    for lesson in sys.argv[1:] or LESSONS:
        run_lesson(lesson)
        folder = REPOSITORY / lesson / "figures"
        shutil.rmtree(folder, ignore_errors=True)
        for target in links((REPOSITORY / lesson / "notes.md").read_text(encoding="utf-8")):
            if target.startswith("figures/"):
                folder.mkdir(exist_ok=True)
                shutil.copy(drawn_figure(lesson, Path(target).name), folder)
                print(f"{lesson}/{target}")
