"""Draw the pictures of the notes again: run the lessons, then copy what their notes show into their figures/.

Run   python tools/update_figures.py [LESSON …]      all lessons, or those whose names begin so: Course08
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from lessons import LESSONS, chosen, drawn_figure, pages_of, run_page, shown_figures

from common.paths import REPOSITORY

lessons = chosen(LESSONS, sys.argv[1:])
with tempfile.TemporaryDirectory() as home:
    os.environ["COURSE_HOME"] = os.environ["TORCH_HOME"] = home
    os.environ["MPLBACKEND"] = "Agg"
    for lesson in lessons:
        for page in pages_of(lesson):
            run_page(page)
        drawn = {target: drawn_figure(lesson, Path(target).name) for target in shown_figures(lesson)}
        folder = REPOSITORY / lesson / "figures"
        shutil.rmtree(folder, ignore_errors=True)
        for target, picture in drawn.items():  # found first, so that a missing one leaves the folder as it was
            folder.mkdir(exist_ok=True)
            shutil.copy(picture, folder)
            print(f"{lesson}/{target}")
