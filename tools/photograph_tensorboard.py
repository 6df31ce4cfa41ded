"""Photograph the TensorBoard page for the notes of Course 02.

Run   python tools/photograph_tensorboard.py [--chromium FILE]

The lesson is run in a temporary COURSE_HOME, TensorBoard serves what it logged on 127.0.0.1, and a Chromium without a
window clicks through the tabs. The pictures go to Course02-TensorBoard/page/. This needs two things that the course
does not: the Python package playwright (pip install playwright) and a Chromium (on Debian: apt-get install chromium).
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

try:
    from playwright.sync_api import Locator, Page, sync_playwright
except ImportError:
    sync_playwright = None

LESSON = Path(__file__).resolve().parent.parent / "Course02-TensorBoard"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTH, HEIGHT = 1100, 950


def what_is_missing(chromium: str | None) -> str | None:
    """One line that says what has to be installed before a page can be photographed, or None."""
    if sync_playwright is None:
        return "the Python package playwright is missing: type pip install playwright"
    if not chromium or not shutil.which(chromium):
        return "no Chromium found: install one (Debian: apt-get install chromium), or name it with --chromium FILE"
    return None


@contextmanager
def tensorboard(home: Path, logdir: str, load_fast: str = "auto") -> Iterator[str]:
    """The address of a TensorBoard that shows `logdir`, a path below `home`, on a free port of this machine.

    load_fast "false": read the files as on the systems for which TensorBoard has no fast reader.
    """
    options = ["--logdir", logdir, "--host", "127.0.0.1", "--port", "0", "--load_fast", load_fast]
    options += ["--reload_interval", "0", "--reload_task", "blocking"]  # read everything once, then serve
    command = [sys.executable, "-m", "tensorboard.main", *options]
    server = subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True)
    try:
        yield next(line.split()[3] for line in server.stderr if " at http" in line)
    finally:
        server.terminate()
        server.communicate()


@contextmanager
def browser_page(chromium: str) -> "Iterator[Page]":
    """An empty page in a fresh Chromium that has no window."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        browser = playwright.chromium.launch_persistent_context(
            profile, executable_path=shutil.which(chromium), headless=True, args=FLAGS
        )
        try:
            yield browser.pages[0]
        finally:
            browser.close()


def open_tab(page: "Page", name: str) -> None:
    """Click on a tab in the orange bar: "Scalars", "Images" …"""
    page.set_viewport_size({"width": 1400, "height": HEIGHT})  # all tabs fit: a narrow page hides some
    tab = page.locator("[role=tab]").filter(has_text=name).first
    tab.wait_for()
    for _ in range(100):  # a click that comes before the page is ready is lost
        if tab.get_attribute("aria-selected") == "true":
            break
        tab.click()
        page.wait_for_timeout(100)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def filter_tags(page: "Page", dashboard: str, regex: str) -> None:
    """Show only the charts whose tags match."""
    page.locator(f"{dashboard} tf-tag-filterer input").fill(regex)


def chart_with_lines(page: "Page", tag: str) -> "Locator":
    """The chart of a scalar, once its lines are drawn."""
    card = page.locator("tf-scalar-card").filter(has_text=tag).first
    card.locator("vz-line-chart2 svg path").first.wait_for(state="attached")
    return card


def picture_on_page(page: "Page", tag: str) -> "Locator":
    """The picture under a tag in the Images tab, once it is loaded."""
    image = page.locator("tf-image-loader").filter(has_text=tag).locator("img").first
    image.wait_for()
    image.evaluate("image => image.decode()")
    return image


def photograph(page: "Page", name: str, height: int, left: int = 0, top: int = 0, width: int = WIDTH) -> None:
    """Save a part of the page as Course02-TensorBoard/page/<name>.png, once nothing moves any more."""
    clip = {"x": left, "y": top, "width": width - left, "height": height - top}
    shots = [b"", page.screenshot(clip=clip)]
    while shots[-1] != shots[-2]:
        page.wait_for_timeout(500)
        shots.append(page.screenshot(clip=clip))
    picture = Image.open(io.BytesIO(shots[-1])).convert("RGB")
    path = LESSON / "page" / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{LESSON.name}/page/{path.name}: {picture.width}x{picture.height}, {path.stat().st_size >> 10} KB")


def show_what_was_logged(page: "Page") -> None:
    """Switch off smoothing and the cutting of outliers in the Scalars tab, and fit the charts to their lines."""
    page.locator("tf-scalar-dashboard").get_by_text("Ignore outliers in chart scaling").click()
    smoothing = page.locator("tf-scalar-dashboard tf-smoothing-input input").last
    smoothing.fill("0")
    smoothing.press("Enter")
    page.wait_for_timeout(2000)  # the charts are drawn again a little later
    for button in page.locator('tf-scalar-card [title="Fit domain to data"]').all():
        button.click()


def photograph_all(page: "Page", address: str) -> None:
    """All pictures but that of the slow reader."""
    page.goto(address)

    open_tab(page, "Scalars")
    chart_with_lines(page, "downhill/y")
    runs = page.locator("tf-scalar-dashboard tf-runs-selector #names-regex input").first
    runs.fill("rate|squares")  # the runs of the charts alone: there are fewer colours than runs
    page.wait_for_timeout(1500)
    photograph(page, "scalars", 800)
    runs.fill("")
    page.wait_for_timeout(1500)
    show_what_was_logged(page)
    photograph(page, "unsmoothed", 490, left=285, top=120, width=1000)
    filter_tags(page, "tf-scalar-dashboard", "twice")
    chart_with_lines(page, "twice/two runs")
    photograph(page, "two_runs", 490, left=285, top=120, width=660)
    filter_tags(page, "tf-scalar-dashboard", "")

    open_tab(page, "Images")
    picture_on_page(page, "ant/getting dark")
    photograph(page, "images", 850)
    filter_tags(page, "tf-image-dashboard", "grid")
    picture_on_page(page, "grid/make_grid")
    photograph(page, "grid", 390, left=285, top=120, width=1050)
    filter_tags(page, "tf-image-dashboard", "range")
    picture_on_page(page, "range/float 0 to 255")
    page.set_viewport_size({"width": 1580, "height": HEIGHT})  # all three side by side
    page.wait_for_timeout(500)
    left = int(page.locator("tf-image-loader").first.bounding_box()["x"]) - 16
    photograph(page, "range", 530, left=left, top=120, width=left + 1130)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    filter_tags(page, "tf-image-dashboard", "")

    open_tab(page, "Histograms")
    histogram = page.locator("tf-histogram-loader").first
    histogram.locator('[icon="fullscreen"]').click()
    histogram.locator("svg path").first.wait_for(state="attached")
    page.mouse.move(600, 450)  # into the chart and out again, so that its dots for the mouse disappear
    page.wait_for_timeout(500)
    page.mouse.move(WIDTH - 5, HEIGHT - 10)
    photograph(page, "histograms", 720)
    filter_tags(page, "tf-histogram-dashboard", "learning")
    page.locator("tf-histogram-loader svg path").nth(1).wait_for(state="attached")
    photograph(page, "learning", 490, left=285, top=120, width=1000)

    open_tab(page, "Graphs")
    page.set_viewport_size({"width": WIDTH, "height": 1800})
    for name in ("LeNet", "LeNet/Sequential[features]"):
        page.locator(f'g.node[data-name="{name}"] rect').first.dblclick()
        page.wait_for_timeout(1000)  # the box opens slowly
        page.get_by_text("Fit to screen").click()
    page.wait_for_timeout(1000)
    page.mouse.click(WIDTH - 100, HEIGHT - 100)  # beside the drawing: nothing is selected any more
    first = page.locator('g.node[data-name="LeNet/Sequential[features]/Conv2d[0]"] rect').first
    page.mouse.move(first.bounding_box()["x"], 250)
    page.mouse.wheel(0, -400)  # larger, so that the shapes on the arrows can be read
    page.wait_for_timeout(1000)
    box = first.bounding_box()
    left, bottom = int(box["x"]) - 50, int(box["y"] + box["height"]) + 80
    photograph(page, "graph", bottom, left=left, top=430, width=left + 510)

    page.goto(address)  # the first visit made TensorBoard look for embeddings: only now is there a tab for them
    open_tab(page, "Projector")
    page.wait_for_timeout(8000)  # the points fly to their places, and the scene begins to turn
    page.mouse.click(330, HEIGHT - 20)  # a click beside them ends that
    photograph(page, "projector", HEIGHT, width=800)


def photograph_slow_reader(page: "Page", address: str) -> None:
    """The two mistakes as the slow reader shows them."""
    page.goto(address)
    open_tab(page, "Scalars")
    chart_with_lines(page, "downhill/y")
    show_what_was_logged(page)
    filter_tags(page, "tf-scalar-dashboard", "twice")
    chart_with_lines(page, "twice/two runs")
    photograph(page, "two_runs_slow_reader", 490, left=285, top=120, width=660)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Photograph the TensorBoard page for the notes of Course 02.")
    parser.add_argument("--chromium", default="chromium", help="the browser's program (default: chromium)")
    chromium = parser.parse_args(argv).chromium
    if problem := what_is_missing(chromium):
        print(f"{Path(__file__).name}: {problem}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "COURSE_HOME": home}
        subprocess.run([sys.executable, LESSON / "summary.py"], env=environment, stdout=subprocess.DEVNULL, check=True)
        with tensorboard(Path(home), f"logs/{LESSON.name}") as address, browser_page(chromium) as page:
            photograph_all(page, address)
        with tensorboard(Path(home), f"logs/{LESSON.name}", "false") as address, browser_page(chromium) as page:
            photograph_slow_reader(page, address)
    return 0


if __name__ == "__main__":
    sys.exit(main())
