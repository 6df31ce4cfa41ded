"""Decoding: test_course20_test.py has the kinds of files; here stands what becomes of the shape."""

from PIL import Image

from common.pictures import to_uint8


def test_a_large_picture_is_cut_to_its_middle_square_before_it_shrinks():
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    inner = to_uint8(wide)[:, :, 1:-1]  # the outermost columns blend with what was cut off
    assert inner.amax(dim=(1, 2)).tolist() == [0, 0, 255]
