"""Course 03: what each transform does, against pixels that are counted, cut and averaged by hand."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2


def test_the_tensor_is_the_array_divided_by_255_with_the_channels_first(lesson):
    array = lesson["array"]
    assert lesson["scaled"].shape == lesson["old"].shape == (3, 2, 3)
    for row in range(2):
        for column in range(3):
            assert lesson["tiny"].getpixel((column, row)) == tuple(array[row, column])
            for channel in range(3):
                expected = int(array[row, column, channel]) / 255
                assert lesson["scaled"][channel, row, column].item() == pytest.approx(expected)
                assert lesson["old"][channel, row, column].item() == pytest.approx(expected)
                assert lesson["unscaled"][channel, row, column] == array[row, column, channel]


def test_every_byte_survives_the_way_to_floats_and_back(lesson):
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    floats = v2.ToDtype(torch.float32, scale=True)(every)
    assert torch.equal(v2.ToDtype(torch.uint8, scale=True)(floats), every)
    assert torch.equal(lesson["back"], torch.from_numpy(lesson["array"]).permute(2, 0, 1))


def test_opencv_stores_blue_first_and_the_conversion_swaps_red_and_blue(lesson):
    assert (lesson["bgr"] == lesson["array"][:, :, [2, 1, 0]]).all()
    assert (lesson["bee_bgr"] == lesson["bee_rgb"][:, :, [2, 1, 0]]).all()
    with Image.open(lesson["bee_path"]) as file:
        by_pillow = np.asarray(file.convert("RGB")).astype(int)
    assert np.abs(lesson["bee_rgb"] - by_pillow).mean() < 1 < np.abs(lesson["bee_bgr"] - by_pillow).mean()


def test_one_number_scales_the_shorter_side_and_a_pair_both(lesson, printed):
    lines = re.findall(r"(\d+)x(\d+): Resize\(64\) by hand (.+), by v2 (.+)", printed)
    assert len(lines) == 2
    for height, width, predicted, actual in lines:
        short = min(int(height), int(width))
        assert predicted == actual == f"({int(height) * 64 // short}, {int(width) * 64 // short})"
    height, width = lesson["tall"].height, lesson["tall"].width
    assert height > width
    sizes = {name: picture.size for name, picture in lesson["views"].items()}
    assert sizes["Resize(64)"] == (64, height * 64 // width)
    assert sizes["Resize((64, 64))"] == sizes["Resize(64), then\nCenterCrop(64)"] == (64, 64)


def test_antialias_averages_all_old_pixels_under_the_new_one(lesson):
    lines = lesson["lines"][0, :, 0].tolist()  # one column: bright on every fourth row
    assert sum(lines) == 16 and len(lines) == 64
    for i in range(16):
        centre = (i + 0.5) * 4
        weights = [max(0.0, 1 - abs(j + 0.5 - centre) / 4) for j in range(64)]  # a triangle, eight rows wide
        average = sum(w * x for w, x in zip(weights, lines, strict=True)) / sum(weights)
        two_nearest = (lines[4 * i + 1] + lines[4 * i + 2]) / 2
        with_it, without = (v2.Resize(16, antialias=choice)(lesson["lines"])[0, i, 7] for choice in (True, False))
        assert with_it.item() == pytest.approx(average, abs=1e-5)
        assert without.item() == pytest.approx(two_nearest, abs=1e-5) == 0


def test_the_chain_shrinks_and_cuts_the_middle_out_as_pillow_does(lesson):
    for i in (0, 1, 2, 3, 60):
        picture, _ = lesson["pictures"][i]
        scale = 54 / min(picture.size)
        small = picture.resize((int(picture.width * scale), int(picture.height * scale)), Image.Resampling.BILINEAR)
        left, top = round((small.width - 48) / 2), round((small.height - 48) / 2)
        expected = torch.from_numpy(np.array(small.crop((left, top, left + 48, top + 48)))).permute(2, 0, 1) / 255
        assert (lesson["train_images"][i] - expected).abs().mean() < 1 / 255


def test_normalize_subtracts_the_measured_mean_and_divides_by_the_measured_std(lesson):
    pixels = (lesson["train_images"] * 255).round().numpy().astype(np.float64) / 255
    for channel in range(3):
        values = pixels[:, channel].ravel()
        mean, std = values.mean(), values.std()
        assert lesson["mean"][channel].item() == pytest.approx(mean, abs=1e-4)
        assert lesson["std"][channel].item() == pytest.approx(std, abs=1e-4)
        for picture, row, column in [(0, 0, 0), (7, 20, 33), (-1, 47, 47)]:
            expected = (pixels[picture, channel, row, column] - mean) / std
            assert lesson["normalized"][picture, channel, row, column].item() == pytest.approx(expected, abs=1e-3)


def test_the_std_of_all_pixels_also_counts_how_the_pictures_differ_from_each_other(lesson):
    pixels = lesson["train_images"].double()
    within = pixels.var(dim=(2, 3), correction=0).mean(dim=0)
    between = pixels.mean(dim=(2, 3)).var(dim=0, correction=0)
    assert torch.allclose(lesson["std"].double() ** 2, within + between, atol=1e-4)
    assert (lesson["mean_of_stds"] < lesson["std"] - 0.02).all()


def test_flips_mirror_and_happen_as_often_as_p_says(lesson):
    rows = lesson["arrow"][0].tolist()
    assert v2.RandomHorizontalFlip(p=1)(lesson["arrow"])[0].tolist() == [row[::-1] for row in rows]
    assert v2.RandomVerticalFlip(p=1)(lesson["arrow"])[0].tolist() == rows[::-1]
    assert lesson["flip"].p == 0.3
    assert abs(lesson["flipped"] - 300) < 5 * (1000 * 0.3 * 0.7) ** 0.5


def test_random_crops_begin_at_each_of_the_places_where_they_fit(lesson):
    places = {row * 54 + column for row in range(54) for column in range(54) if row + 48 <= 54 and column + 48 <= 54}
    assert lesson["corners"] == places and len(places) == 49


def test_a_padded_crop_only_moves_the_picture(lesson):
    picture = torch.ones(1, 48, 48)
    for _ in range(20):
        moved = lesson["padded_crop"](picture)
        assert moved.shape == picture.shape
        rows, columns = moved[0].any(dim=1).sum(), moved[0].any(dim=0).sum()
        assert moved.sum() == rows * columns and rows >= 42 and columns >= 42


def test_jitter_and_holes_stay_within_their_limits(lesson):
    assert 0.5 * 0.6 <= lesson["levels"].min() < 0.32 and 0.68 < lesson["levels"].max() <= 0.5 * 1.4
    holes = lesson["holes"]
    assert abs((holes > 0).sum().item() - 500) < 5 * (1000 * 0.25) ** 0.5
    assert (
        holes[holes > 0].min() > 0.018 and holes.max() < 0.35
    )  # rows and columns are whole: a little off 2 % and 33 %


def test_erasing_a_picture_of_pil_makes_a_black_rectangle_and_the_old_transform_fails(lesson, printed):
    before, after = np.asarray(lesson["bee"]), np.asarray(lesson["erased"])
    assert isinstance(lesson["erased"], Image.Image)
    changed = (before != after).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    inside = after[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (inside == 0).all() and 0.015 < inside[:, :, 0].size / changed.size < 0.35
    assert lesson["hole"] == changed.mean()
    assert "the old one: AttributeError: 'JpegImageFile' object has no attribute 'shape'" in printed


def test_training_pictures_change_at_each_visit_and_test_pictures_never(lesson):
    seen = torch.stack([lesson["train_set"][5][0] for _ in range(8)])
    assert len({tuple(picture.flatten().tolist()) for picture in seen}) == 8
    picture = lesson["test_set"].loader(lesson["test_set"].samples[3][0])
    expected = (lesson["to_48"](picture) - lesson["mean"][:, None, None]) / lesson["std"][:, None, None]
    for _ in range(3):
        assert torch.allclose(lesson["test_set"][3][0], expected, atol=1e-5)


def test_test_pictures_that_were_not_normalised_all_get_the_same_class(lesson):
    def classes(images):
        distances = [[((image - mean) ** 2).sum().item() for mean in lesson["mean_pictures"]] for image in images]
        return [row.index(min(row)) for row in distances]

    labels = lesson["test_set"].targets
    for images in (lesson["test_images"], lesson["not_normalized"], lesson["not_normalized"] * 255):
        right = sum(a == b for a, b in zip(classes(images), labels, strict=True))
        assert lesson["accuracy"](images) == pytest.approx(right / len(labels), abs=0.026)  # two ties of 80 at most
        assert sum(map(lesson["classify"], images)) == pytest.approx(sum(classes(images)), abs=2)
    assert lesson["accuracy"](lesson["test_images"]) > 0.6
    assert len(set(classes(lesson["not_normalized"]))) == 1


def test_pictures_of_two_sizes_do_not_stack(lesson, printed):
    assert lesson["wide"].size == lesson["tall"].size[::-1]
    assert "got [3, 64, 85] at entry 0 and [3, 85, 64] at entry 1" in printed


def test_channels_last_are_resized_without_a_word_into_nonsense(lesson):
    height = lesson["bee"].height
    assert lesson["channels_last"].shape == (height, lesson["bee"].width, 3)
    assert v2.Resize((64, 64))(lesson["channels_last"]).shape == (height, 64, 64)


def test_normalising_bytes_made_float_multiplies_every_contrast_by_255(lesson):
    silenced, right = lesson["silenced"], lesson["right"]
    contrast = (silenced[:, 5, 5] - silenced[:, 40, 60]) / (right[:, 5, 5] - right[:, 40, 60])
    assert torch.allclose(contrast, torch.full((3,), 255.0), rtol=1e-3)


def test_a_picture_passes_to_dtype_untouched_when_to_image_was_forgotten(lesson):
    assert isinstance(lesson["forgotten"], Image.Image)
    by_pillow = lesson["bee"].resize((64, 64), Image.Resampling.BILINEAR)
    assert lesson["forgotten"].tobytes() == by_pillow.tobytes()
