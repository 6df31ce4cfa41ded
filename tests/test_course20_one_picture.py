"""Course 20, one picture: what the flat script says of a file, found again by other means; its page against its run."""

import numpy as np
import pytest
import torch
from lessons import about_same, blocks, cells, is_printed, links, run_script, sections
from PIL import Image

from common.data import in_memory, open_data
from common.models import CifarCNN
from common.paths import REPOSITORY

SCRIPT = REPOSITORY / "Course20-ModelTest" / "one_picture.py"
PAGE = SCRIPT.with_suffix(".md").read_text(encoding="utf-8")


def run_once(script=SCRIPT):
    done = run_script(script)
    return done.names, done.printed


@pytest.fixture(scope="module")
def run():
    """The variables that the script left behind, and what it printed, the first time."""
    return run_once()


@pytest.fixture
def model(run):
    model = CifarCNN(10)
    model.load_state_dict(torch.load(run[0]["weights"], weights_only=True))
    return model.eval()


def test_the_file_has_four_channels_and_the_network_gets_three(run):
    names, _ = run
    with Image.open(names["path"]) as picture:
        assert picture.mode == "RGBA" and picture.size == (128, 128)
    assert names["picture"].mode == "RGB" and names["batch"].shape == (1, 3, 32, 32)


def test_the_network_gets_almost_the_pixels_of_the_test_picture(run):
    names, _ = run
    pixels = torch.from_numpy(np.asarray(names["test_set"].data[186])).permute(2, 0, 1) / 255
    assert (names["image"] - pixels).abs().mean() < 0.05, "enlarged and shrunk again, it is a little smoother"


def test_the_answer_is_the_class_with_the_largest_logit(run, model):
    names, printed = run
    with torch.no_grad():
        logits = model(names["batch"])[0].tolist()
    assert names["logits"][0].tolist() == pytest.approx(logits, abs=1e-4)
    assert f"the network says: {names['classes'][logits.index(max(logits))]}\n" in printed


def test_the_quick_training_is_far_better_than_guessing(model):
    images, labels = in_memory(open_data("drawn", "test"))
    with torch.no_grad():
        guesses = torch.cat([model(batch / 255).argmax(dim=1) for batch in images.split(500)])
    assert 0.3 < (guesses == labels).float().mean() < 0.6, "the page says about 4 of 10"


def test_without_eval_the_logits_are_others_and_the_statistics_change(run, model):
    names, printed = run
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.train()(names["batch"])
    assert all(not torch.equal(before[name], value) for name, value in model.named_buffers())
    assert "without eval, the same logits: False\nwith eval again, the same logits: False\n" in printed


def test_the_second_run_takes_the_weights_of_the_first(run):
    saved = run[0]["weights"].read_bytes()
    names, printed = run_once()
    assert "no weights yet" in run[1] and "weights of an earlier run" in printed
    assert names["weights"].read_bytes() == saved and torch.equal(names["logits"], run[0]["logits"])


@pytest.mark.parametrize(("mode", "suffix"), [("RGB", ".jpg"), ("L", ".jpg"), ("RGBA", ".png")])
def test_a_picture_of_your_own_is_classified_and_not_written(run, tmp_path, mode, suffix):
    own = tmp_path / f"own{suffix}"
    Image.new(mode, (40, 70)).save(own)
    before = own.read_bytes()
    source = SCRIPT.read_text(encoding="utf-8")
    assert source.count("path = sample ") == 1
    changed = tmp_path / "changed.py"
    changed.write_text(source.replace("path = sample ", f"path = {str(own)!r} "), encoding="utf-8")
    names, printed = run_once(changed)
    assert own.read_bytes() == before
    assert names["picture"].size == (40, 70) and "the network says: " in printed
    assert "the truth is" in run[1] and "the truth is" not in printed, "nobody told the script what it shows"


def test_the_page_has_the_cells_of_the_script_and_is_short():
    assert sections(PAGE) == cells(SCRIPT.read_text(encoding="utf-8"))
    assert len(PAGE.split()) < 700


def test_the_page_quotes_what_is_printed(run):
    for info, text in blocks(PAGE, "text"):
        assert is_printed(text, run[1], about_same if info == "about" else str.__eq__), text


def test_the_page_quotes_the_script_and_its_links_lead_somewhere():
    script = " ".join(SCRIPT.read_text(encoding="utf-8").split())
    for _, text in blocks(PAGE, "python"):
        assert " ".join(text.split()) in script, text
    assert all((SCRIPT.parent / target).exists() for target in links(PAGE))
