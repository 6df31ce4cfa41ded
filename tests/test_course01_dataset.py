"""Course 01: data sets against the files on disk."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.paths import home


def pixels(image):
    return np.asarray(image.convert("RGB"))


def fingerprint(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_the_pictures_come_from_two_folders_below_the_courses_home(lesson):
    assert lesson["root"].is_relative_to(home() / "data")
    assert {folder.name for folder in lesson["root"].iterdir()} == {"ants", "bees"}


def test_odd_or_even_is_right_about_every_number(lesson):
    dataset = lesson["OddOrEven"]()
    dataset.numbers = [*dataset.numbers, 6, 0, 7]
    for i in range(len(dataset)):
        number, label = dataset[i]
        assert label == ("even" if str(number)[-1] in "02468" else "odd")
    assert [number for number, _ in dataset] == dataset.numbers, "a for loop ends where the list does"


def test_width_and_height_change_places_between_pillow_and_a_tensor(lesson, printed):
    with Image.open(min((lesson["root"] / "bees").iterdir())) as image:
        width, height = image.size
    assert width != height
    assert f"size {(width, height)}" in printed
    assert f"tensor: {(3, height, width)}" in printed


def test_the_careless_data_set_counts_every_file_and_the_careful_one_the_pictures(lesson):
    files = list((lesson["root"] / "ants").iterdir())
    photographs = {path.name for path in files if Image.open(path).format == "JPEG"}  # by content, not by name
    assert len(lesson["naive"]) == len(files) == len(photographs) + 1
    assert [path.name for path in lesson["ants"].paths] == sorted(photographs)


def test_exactly_the_gif_has_one_channel(lesson):
    one_channel = [path.name for path in lesson["naive"].paths if len(Image.open(path).getbands()) == 1]
    assert one_channel == ["imageNotFound.gif"] == [lesson["naive"].paths[i].name for i in lesson["strays"]]
    assert lesson["failed"] == len(one_channel)


def test_an_upper_case_suffix_is_a_picture_too(lesson, tmp_path):
    (tmp_path / "ants").mkdir()
    for name in ("a.JPG", "b.jpeg", "c.gif", "d.txt"):
        (tmp_path / "ants" / name).touch()
    assert [path.name for path in lesson["PictureFolder"](tmp_path, "ants").paths] == ["a.JPG", "b.jpeg"]


def test_a_sum_of_data_sets_is_the_first_then_the_second(lesson):
    ants, bees, insects = lesson["ants"], lesson["bees"], lesson["insects"]
    assert len(insects) == len(ants) + len(bees)
    for i in (0, len(ants) - 1, len(ants), len(insects) - 1):
        path = (ants.paths + bees.paths)[i]
        image, label = insects[i]
        assert label == path.parent.name
        assert np.array_equal(pixels(image), pixels(Image.open(path)))


def test_the_two_other_layouts_hold_the_same_pictures_byte_by_byte(lesson):
    originals = sorted(fingerprint(path) for path in lesson["ants"].paths + lesson["bees"].paths)
    for dataset in (lesson["from_text"], lesson["from_name"]):
        assert sorted(fingerprint(path) for path in dataset.paths) == originals


@pytest.mark.parametrize("name", ["from_text", "from_name"])
def test_each_picture_keeps_the_label_of_the_folder_that_it_came_from(lesson, name):
    folder_by_picture = {fingerprint(path): path.parent.name for path in lesson["root"].glob("*/*")}
    dataset = lesson[name]
    for i, path in enumerate(dataset.paths):
        assert dataset[i][1] == folder_by_picture[fingerprint(path)], path.name


def test_a_text_label_is_found_by_name_though_another_file_comes_first(lesson, tmp_path):
    for folder in ("pictures", "labels"):
        (tmp_path / folder).mkdir()
    for name, label in [("b", "bees"), ("c", "ants")]:
        Image.new("RGB", (4, 3)).save(tmp_path / "pictures" / f"{name}.png")
        (tmp_path / "labels" / f"{name}.txt").write_text(f"{label}\n")
    (tmp_path / "labels" / "a.txt").write_text("wasps")
    dataset = lesson["TextLabels"](tmp_path)
    assert [label for _, label in dataset] == ["bees", "ants"]


def test_image_folder_numbers_the_classes_by_name_and_leaves_the_gif_out(lesson):
    folder = lesson["image_folder"]
    assert folder.class_to_idx == {"ants": 0, "bees": 1}
    for (path, target), expected in zip(folder.samples, folder.targets, strict=True):
        assert target == expected == ["ants", "bees"].index(Path(path).parent.name)
    everything = {str(path) for path in lesson["root"].glob("*/*")}
    assert {Path(path).name for path in everything - {path for path, _ in folder.samples}} == {"imageNotFound.gif"}


def test_a_subset_is_the_named_samples_in_the_named_order(lesson):
    few, insects = lesson["few"], lesson["insects"]
    for i, index in enumerate([0, len(lesson["ants"]), 1]):
        assert few[i][1] == insects[index][1]
        assert np.array_equal(pixels(few[i][0]), pixels(insects[index][0]))


def test_the_parts_share_no_sample_lose_none_and_are_shuffled(lesson):
    train, val, count = lesson["train_part"].indices, lesson["val_part"].indices, len(lesson["image_folder"])
    assert sorted([*train, *val]) == list(range(count))
    assert (len(train), len(val)) == (count * 8 // 10, count * 2 // 10)
    assert list(train) != sorted(train)
    assert {lesson["image_folder"].targets[i] for i in val} == {0, 1}


def test_the_seed_decides_the_parts(lesson):
    assert lesson["again"].indices == lesson["train_part"].indices
    assert lesson["other"].indices != lesson["train_part"].indices


def test_labels_dealt_out_by_place_are_as_good_as_a_tossed_coin(lesson):
    truth = [path.parent.name for path in lesson["ants"].paths + lesson["bees"].paths]
    by_place = [truth[int(path.stem)] for path in lesson["label_files"]]
    wrong = sum(a != b for a, b in zip(by_place, truth, strict=True))
    assert lesson["wrong"] == wrong
    assert 0.35 < wrong / len(truth) < 0.65
    assert Counter(by_place) == Counter(truth), "the counts show nothing"


def test_a_cut_without_shuffling_leaves_no_ant_in_the_last_part(lesson):
    parts = lesson["first_part"], lesson["last_part"]
    truth = [path.parent.name for path in lesson["ants"].paths + lesson["bees"].paths]
    assert [label for part in parts for _, label in part] == truth
    assert {label for _, label in lesson["last_part"]} == {"bees"}


def test_a_data_set_that_never_raises_index_error_goes_on_past_its_length(lesson):
    dataset = lesson["NoEnd"]()
    samples = [sample for _, sample in zip(range(10), dataset, strict=False)]
    assert len(dataset) == 3 and samples == [i * i for i in range(10)]
