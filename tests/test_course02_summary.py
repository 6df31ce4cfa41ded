"""Course 02: what TensorBoard's files and its page hold, against what was logged."""

import contextlib
import io
import json
import math
import re
import socket
import subprocess
import sys
import urllib.request
import wave

import numpy as np
import pytest
import torch
from lessons import links, load_module
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from torch.nn.functional import cross_entropy
from torch.utils.tensorboard import SummaryWriter

from common.models import LeNet
from common.paths import REPOSITORY, home

LESSON = "Course02-TensorBoard"
RATES = [0.05, 0.3, 0.8, 1.02]
tool = load_module(REPOSITORY / "tools" / "photograph_tensorboard.py")


@pytest.fixture(scope="module")
def logged(lesson):
    """A function run -> everything in the run's files."""
    keep_all = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0, "audio": 0}
    return lambda run: EventAccumulator(str(home() / "logs" / LESSON / run), keep_all).Reload()


def curve(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def pictures(events, tag):
    """[(step, (H, W, 3) uint8)]"""
    return [(e.step, np.array(Image.open(io.BytesIO(e.encoded_image_string)))) for e in events.Images(tag)]


@pytest.fixture(scope="module")
def ant(lesson):
    """The first picture of the data set, decoded anew from its file."""
    return np.array(Image.open(lesson["dataset"].samples[0][0]).convert("RGB"))


def test_the_first_curve_holds_the_squares_at_their_steps(logged):
    assert curve(logged("squares"), "first/square") == [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16), (5, 25)]


@pytest.mark.parametrize("rate", RATES)
def test_each_run_is_the_geometric_walk_that_its_learning_rate_makes(logged, rate):
    x = curve(logged(f"rate={rate}"), "downhill/x")
    y = curve(logged(f"rate={rate}"), "downhill/y")
    assert [step for step, _ in x] == [step for step, _ in y] == list(range(21))
    walk = [2 * (1 - 2 * rate) ** step for step in range(21)]
    assert [value for _, value in x] == pytest.approx(walk, rel=1e-4)
    assert [value for _, value in y] == pytest.approx([value**2 for value in walk], rel=1e-4)


def test_pictures_from_numpy_and_from_a_tensor_arrive_pixel_by_pixel(logged, ant):
    for tag in ("ant/from NumPy", "ant/from a tensor"):
        ((step, arrived),) = pictures(logged("pictures"), tag)
        assert step == 0 and np.array_equal(arrived, ant)


def test_the_darker_pictures_are_the_same_picture_at_later_steps(logged, ant):
    steps = pictures(logged("pictures"), "ant/getting dark")
    assert [step for step, _ in steps] == [0, 1, 2]
    for (_, arrived), light in zip(steps, [1.0, 0.6, 0.3], strict=True):
        assert np.abs(arrived - ant * light).max() <= 1, "within one step of 0…255"


def test_the_grid_shows_all_sixteen_pictures_in_rows_of_eight_with_lines_between(lesson, logged):
    small = lesson["squares"]
    ((_, grid),) = pictures(logged("pictures"), "grid/make_grid")
    ((_, close),) = pictures(logged("pictures"), "grid/add_images")
    assert grid.shape == (2 * (64 + 2) + 2, 8 * (64 + 2) + 2, 3)
    assert close.shape == (2 * 64, 8 * 64, 3)
    black = np.ones(grid.shape[:2], bool)
    for i in range(16):
        row, column = divmod(i, 8)
        top, left = 2 + 66 * row, 2 + 66 * column
        assert np.array_equal(grid[top : top + 64, left : left + 64], small[i])
        assert np.array_equal(close[64 * row :, 64 * column :][:64, :64], small[i])
        black[top : top + 64, left : left + 64] = False
    assert (grid[black] == 0).all()


def test_the_grid_shows_eight_ants_and_eight_bees(lesson):
    assert [lesson["dataset"].targets[i] for i in lesson["indices"]] == [0] * 8 + [1] * 8


def test_the_histograms_count_a_crowd_that_shrinks_by_a_fifth_each_step(lesson, logged):
    events = logged("crowd").Histograms("downhill/crowd")
    assert [event.step for event in events] == list(range(11))
    start = lesson["crowd"].double().numpy() / 0.8**11  # undo the eleven steps
    assert start.std() == pytest.approx(2, rel=0.1)
    for event in events:
        bars, crowd = event.histogram_value, start * 0.8**event.step
        assert math.sqrt(bars.sum_squares / bars.num) == pytest.approx(np.sqrt((crowd**2).mean()), rel=1e-4)
        below = np.cumsum(bars.bucket)
        expected = [(crowd <= limit).sum() for limit in bars.bucket_limit]
        assert np.abs(below - expected).max() <= 1, "a number may lie on the border of two bars"
        assert below[-1] == bars.num == 1000


def test_the_figure_in_tensorboard_is_the_one_that_was_saved(logged):
    ((_, arrived),) = pictures(logged("report"), "report/downhill")
    saved = np.array(Image.open(home() / "outputs" / LESSON / "downhill.png").convert("RGB"))
    assert arrived.shape == saved.shape
    assert np.abs(arrived.astype(int) - saved).mean() < 1


def test_the_text_arrives_as_markdown(logged):
    (event,) = logged("report").Tensors("report/findings/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text.startswith("Four learning rates on *y = x²*:\n\n- ") and "**fast**" in text


def test_the_graph_has_every_layer_with_the_shape_that_leaves_it(logged):
    shapes, names = {}, {}
    model = LeNet()
    for name, layer in model.named_modules():
        if not list(layer.children()):
            names[layer] = name
            layer.register_forward_hook(lambda layer, _, out: shapes.update({names[layer]: list(out.shape)}))
    model(torch.zeros(1, 3, 32, 32))

    drawn = {}
    for node in logged("network").Graph().node:
        place = re.match(r"LeNet/Sequential\[(\w+)\]/\w+\[(\d+)\]/", node.name)
        sizes = [[dim.size for dim in shape.dim] for shape in node.attr["_output_shapes"].list.shape]
        if place and node.op.startswith("aten::") and sizes:
            drawn[".".join(place.groups())] = sizes[0]
    assert len(shapes) == 12 and drawn == shapes


@pytest.mark.parametrize("rate", RATES)
def test_settings_and_result_stand_in_the_run_that_they_belong_to(logged, rate):
    events = logged(f"rate={rate}")
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert {name: value.number_value for name, value in settings.items()} == {"rate": rate, "start": 2.0}
    ((_, result),) = curve(events, "result/y")
    assert result == pytest.approx(curve(events, "downhill/y")[-1][1], rel=1e-4)
    folder = home() / "logs" / LESSON / f"rate={rate}"
    assert all(path.is_file() for path in folder.iterdir()), "no run below this run"


def test_the_best_rate_in_the_table_is_the_one_that_shrinks_x_most(lesson):
    assert lesson["best"] == min(RATES, key=lambda rate: abs(1 - 2 * rate))


def test_the_page_names_its_runs_after_the_folders_and_a_taken_port_is_refused(lesson):
    assert set(lesson["runs"]) == {path.name for path in (home() / "logs" / LESSON).iterdir()}
    assert lesson["second"].returncode != 0 and f"port {lesson['port']}" in lesson["second"].stderr
    assert lesson["server"].poll() is not None, "no server is left behind"


def test_a_port_that_nobody_named_and_that_is_taken_becomes_the_next_free_one(tmp_path):
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # another program has it: just as good
            taken.bind(("127.0.0.1", 6006))
            taken.listen()
        command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path)]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            address = next(line.split()[3] for line in server.stderr if " at http" in line)
        finally:
            server.terminate()
            server.communicate()
    assert 6006 < int(address.rstrip("/").split(":")[-1]) <= 6015


def test_the_weights_learn_and_the_forgotten_bias_keeps_its_histogram(lesson, logged):
    events = logged("learning")
    losses = [value for _, value in curve(events, "learning/loss")]
    assert losses[0] == pytest.approx(math.log(10), rel=1e-4), "ten equal scores: every class at one tenth"
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.05 and len(losses) == 31
    weights, bias = (events.Histograms(f"learning/{name}") for name in ("weights", "bias"))
    assert [event.step for event in weights] == [event.step for event in bias] == list(range(31))
    assert all(event.histogram_value.min == event.histogram_value.max == 0 for event in bias)
    widths = [event.histogram_value.sum_squares for event in weights]
    assert widths == sorted(widths) and widths[0] == 0 and widths[-1] > 0
    assert all(event.histogram_value.num == 10 * 3 * 8 * 8 for event in weights)


def test_the_gradient_of_the_first_step_is_that_of_softmax_regression(lesson):
    small, labels = lesson["small"].double(), lesson["labels"]
    wanted = torch.full((len(small), 10), 0.1, dtype=torch.float64)  # at first every class gets one tenth
    wanted[torch.arange(len(small)), labels] -= 1
    weights = torch.zeros(10, small.shape[1], dtype=torch.float64, requires_grad=True)
    cross_entropy(small @ weights.T, labels).backward()
    assert torch.allclose(weights.grad, wanted.T @ small / len(small))


def test_the_projector_gets_every_point_its_name_and_its_picture(lesson):
    folder = home() / "logs" / LESSON / "projector" / "00000" / "pictures"
    points = np.loadtxt(folder / "tensors.tsv")
    pixels = lesson["data"].data[:400].astype(float) / 255  # (400, 32, 32, 3)
    squares = pixels.reshape(400, 8, 4, 8, 4, 3).mean(axis=(2, 4))  # the mean of each square of 4x4 pixels
    assert np.allclose(points, squares.transpose(0, 3, 1, 2).reshape(400, -1), atol=1e-5)
    names = (folder / "metadata.tsv").read_text().split()
    assert names == [lesson["data"].classes[label] for label in lesson["data"].targets[:400]]
    sprite = np.array(Image.open(folder / "sprite.png").convert("RGB"))
    assert sprite.shape == (20 * 32, 20 * 32, 3), "twenty rows of twenty pictures"
    for i in (0, 21, 399):
        row, column = divmod(i, 20)
        shown = sprite[32 * row :, 32 * column :][:32, :32].astype(int)
        assert np.abs(shown - lesson["data"].data[i]).max() <= 1


def test_the_printed_shares_are_the_variances_along_the_principal_axes(lesson):
    points = lesson["small"].double().numpy()
    points = points - points.mean(axis=0)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    variances = np.linalg.eigvalsh(points.T @ points)[::-1]
    assert lesson["shares"].tolist() == pytest.approx((variances / variances.sum()).tolist(), abs=1e-4)
    assert lesson["shares"][:3].sum() > 10 * 3 / 192


def test_a_tone_arrives_with_its_pitch_and_one_that_is_too_loud_is_cut_off(logged):
    events, waves = logged("sound"), {}
    for tag in ("sound/tone", "sound/too loud"):
        (event,) = events.Audio(tag)
        with wave.open(io.BytesIO(event.encoded_audio_string)) as sound:
            assert (sound.getframerate(), sound.getnframes(), sound.getnchannels()) == (8000, 8000, 1)
            waves[tag] = np.frombuffer(sound.readframes(8000), "<i2") / 32767
    tone = waves["sound/tone"]
    assert np.abs(np.fft.rfft(tone)).argmax() == 440, "a second long: its 440th frequency is 440 swings a second"
    assert np.abs(waves["sound/too loud"] - np.clip(5 * tone, -1, 1)).max() < 5e-4


def test_floats_are_taken_for_shares_of_white_and_cut_off(logged, ant):
    def arrived(tag):
        ((_, picture),) = pictures(logged("mistakes"), tag)
        return picture

    assert np.array_equal(arrived("range/float 0 to 255"), np.where(ant > 0, 255, 0))
    assert np.abs(arrived("range/float -1 to 1") - np.clip(2.0 * ant - 255, 0, None)).max() <= 1
    assert np.abs(arrived("range/float 0 to 1").astype(int) - ant).max() <= 1


def test_hwc_needs_to_be_said(tmp_path):
    picture = np.zeros((48, 64, 3), np.uint8)
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(TypeError):
            writer.add_image("picture", picture, 0)
        writer.add_image("picture", picture, 0, dataformats="HWC")
        with pytest.raises(AssertionError):
            writer.add_image("picture", picture[..., 0], 0)
        writer.add_image("picture", picture[..., 0], 0, dataformats="HW")


def test_without_a_step_all_points_are_at_step_zero(logged):
    assert curve(logged("mistakes"), "mistake/no step") == [(0, 4.0), (0, 1.0), (0, 0.25)]


FIRST = [(step, 4 / 2**step) for step in range(8)]
SECOND = [(step, 3 / 2**step) for step in range(4)]


def test_two_runs_in_one_folder_are_one_curve_that_goes_back(logged):
    assert curve(logged("mistakes"), "twice/two runs") == FIRST + SECOND


@pytest.mark.parametrize(("load_fast", "shown"), [("true", SECOND), ("false", FIRST + SECOND)])
def test_the_fast_reader_forgets_the_first_run_and_the_slow_one_goes_back(lesson, load_fast, shown):
    if load_fast == "true":
        data_server = pytest.importorskip("tensorboard_data_server", reason="no fast reader on this system")
        if data_server.server_binary() is None:
            pytest.skip("no fast reader on this system")
    with tool.tensorboard(home(), f"logs/{LESSON}", load_fast) as address:
        no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        question = address + "data/plugin/scalars/scalars?run=mistakes&tag=twice%2Ftwo+runs"
        with no_proxy.open(question) as reply:
            assert [(step, value) for _, step, value in json.load(reply)] == shown


def test_a_picture_is_whole_in_the_file_only_after_close(lesson, logged):
    assert lesson["at_once"] < 1000
    ((_, noise),) = pictures(logged("mistakes/not closed"), "noise")
    assert noise.shape == (1000, 1000, 3)


# ---- The page --------------------------------------------------------------------------------------------------------


def test_the_notes_show_every_photograph_and_each_is_small():
    shown = set(links((REPOSITORY / LESSON / "notes.md").read_text(encoding="utf-8")))
    kept = sorted((REPOSITORY / LESSON / "page").iterdir())
    assert {target for target in shown if target.startswith("page/")} == {f"page/{path.name}" for path in kept}
    assert all(path.stat().st_size < 150_000 for path in kept)


@pytest.mark.parametrize("missing", ["playwright", "Chromium"])
def test_the_photographer_says_in_one_line_what_is_missing(missing, monkeypatch, capsys):
    monkeypatch.setattr(tool, "sync_playwright", None if missing == "playwright" else object())
    assert tool.main(["--chromium", "no-such-browser"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert missing in line and "install" in line


@pytest.fixture(scope="module")
def page(lesson):
    """The running TensorBoard page in a browser."""
    if problem := tool.what_is_missing("chromium"):
        pytest.skip(problem)
    with tool.tensorboard(home(), f"logs/{LESSON}") as address, tool.browser_page("chromium") as page:
        page.goto(address)
        yield page


def test_the_scalars_are_on_the_page_each_run_as_a_line_of_the_logged_shape(page, logged):
    tool.open_tab(page, "Scalars")
    tool.chart_with_lines(page, "first/square")
    tool.show_what_was_logged(page)
    for tag, runs in (("downhill/y", [f"rate={rate}" for rate in RATES]), ("first/square", ["squares"])):
        paths = tool.chart_with_lines(page, tag).locator("path.line").all()
        lines = [re.findall(r"[\d.-]+,([\d.-]+)", path.get_attribute("d")) for path in paths]  # heights, in pixels
        for run in runs:
            values = [-value for _, value in curve(logged(run), tag)]  # pixels are counted from above
            same = [np.corrcoef(values, np.array(line, float))[0, 1] for line in lines if len(line) == len(values)]
            assert max(same) > 0.99999, f"{run}: {tag} is not on the page"
            assert page.locator("tf-scalar-dashboard").get_by_text(run, exact=True).first.is_visible()


PIXELS = """image => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def test_the_pictures_on_the_page_are_those_that_were_logged(page, ant):
    tool.open_tab(page, "Images")
    for tag in ("ant/from NumPy", "ant/from a tensor"):
        shown = np.array(tool.picture_on_page(page, tag).evaluate(PIXELS)).reshape(*ant.shape[:2], 4)
        assert np.array_equal(shown[..., :3], ant)
