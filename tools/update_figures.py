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
    from lessons import LESSONS, drawn_figure, pages_of, run_page, shown_figures

    for lesson in sys.argv[1:] or LESSONS:
        for page in pages_of(lesson):
            run_page(page)
        drawn = {target: drawn_figure(lesson, Path(target).name) for target in shown_figures(lesson)}
        folder = REPOSITORY / lesson / "figures"
        shutil.rmtree(folder, ignore_errors=True)
        for target, picture in drawn.items():  # found first, so that a missing one leaves the folder as it was
            folder.mkdir(exist_ok=True)
            shutil.copy(picture, folder)
            print(f"{lesson}/{target}")
