"""The page of predictions: what stands above each picture, and where the pictures lie."""

import pytest
import torch
from PIL import Image

from trainer.plots import BLUE, ORANGE, plot_predictions

CLASSES = ["ant", "a class with a long name", "worth $1 or $2"]


def page(count, labels=None, **kwargs):
    images = [Image.new("RGB", (32, 32), (i, 0, 0)) for i in range(count)]
    probabilities = torch.eye(3)[torch.arange(count) % 3] * 0.9
    figure = plot_predictions(images, probabilities, CLASSES, labels, **kwargs)
    (axes,) = figure.axes
    return figure, axes, [(text.get_text(), text.get_color()) for text in axes.texts]


def test_above_each_picture_stand_guess_and_share_and_a_long_name_is_shortened():
    assert page(3)[2] == [("ant 90%", "black"), ("a class with a … 90%", "black"), ("worth $1 or $2 90%", "black")]
    assert not any(text.get_parse_math() for text in page(3)[1].texts), "between two $ stands no formula"


def test_with_labels_mistakes_are_orange_and_say_what_it_is():
    assert page(3, [0, 0, 1])[2] == [
        ("ant 90%", BLUE),
        ("a class with a … 90%\nnot ant", ORANGE),
        ("worth $1 or $2 90%\nnot a class with a …", ORANGE),
    ]


@pytest.mark.parametrize("labels", [None, [0] * 7])
def test_each_picture_lies_in_its_own_cell_and_no_line_of_text_in_another(labels):
    figure, axes, _ = page(7, labels, columns=3)
    figure.draw_without_rendering()
    drawn = [image.get_window_extent() for image in axes.images]
    assert [round(box.width) for box in drawn] == [round(box.height) for box in drawn] == [round(1.5 * 90)] * 7
    texts = [text.get_window_extent() for text in axes.texts]
    boxes = [*drawn, *texts]
    assert not [(a, b) for a in boxes for b in boxes if a is not b and a.overlaps(b)]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height for box in boxes)
    middle = [(box.x0 + box.x1) / 2 for box in drawn]
    assert middle == pytest.approx([(text.x0 + text.x1) / 2 for text in texts], abs=1)
    assert [round(x / 144 - 0.5) for x in middle] == [0, 1, 2, 0, 1, 2, 0]
    assert all(text.y0 > box.y1 for text, box in zip(texts, drawn, strict=True))
