"""Course 01: data sets against the files on disk."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset, Subset, random_split

from common.paths import home


class Stream(IterableDataset):
    """Three samples, one after the other. (Here, and not in a test, because loading processes look for it by name.)"""

    def __iter__(self):
        yield from range(3)


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


@pytest.mark.parametrize("name", ["from_text", "from_name", "from_csv"])
def test_each_picture_keeps_the_label_of_the_folder_that_it_came_from(lesson, name):
    folder_by_picture = {fingerprint(path): path.parent.name for path in lesson["root"].glob("*/*")}
    dataset = lesson[name]
    paths = dataset.paths if name != "from_csv" else [dataset.picture_folder / row["file"] for row in dataset.rows]
    assert len(dataset) == len(paths) == 120
    for i, path in enumerate(paths):
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


def test_a_table_is_read_by_its_column_names_in_whatever_order(lesson, tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "wasp, young.png")
    (tmp_path / "labels.csv").write_text('year,label,file\n2024,wasps,"wasp, young.png"\n')
    image, label = lesson["CsvLabels"](tmp_path / "labels.csv", tmp_path)[0]
    assert image.size == (4, 3) and label == "wasps", "a comma inside quotes is part of the name"


def test_a_tensor_data_set_pairs_what_stands_at_the_same_place(lesson):
    images, targets, pairs = lesson["images"], lesson["targets"], lesson["pairs"]
    assert len(pairs) == len(images) == len(targets) == 120
    assert targets.tolist() == lesson["image_folder"].targets
    for i in (0, 59, 60, 119):
        assert torch.equal(pairs[i][0], images[i]) and pairs[i][1] == targets[i]
        middle = Image.open(lesson["image_folder"].samples[i][0]).convert("RGB")
        colour = pixels(middle).reshape(-1, 3).mean(0)
        assert np.abs(images[i].float().mean(dim=(1, 2)).numpy() - colour).max() < 40, "about the picture's own colours"


def test_an_iterable_data_set_hands_out_the_rows_in_order_and_has_no_index_and_no_length(lesson):
    lines = lesson["lines"]
    rows = [(row["file"], row["label"]) for row in lesson["from_csv"].rows]
    assert list(lines) == list(lines) == rows, "a second loop begins anew"
    with pytest.raises(NotImplementedError):
        lines[0]
    with pytest.raises(TypeError):
        len(lines)


def test_each_loading_process_hands_out_the_whole_of_an_iterable_data_set():
    loaded = list(DataLoader(Stream(), batch_size=None, num_workers=2))
    assert sorted(loaded) == [0, 0, 1, 1, 2, 2]


def test_a_loader_fetches_a_batch_with_one_call_of_getitems(lesson, printed, capsys):
    assert "a batch of four\n   many: [0, 1, 2, 3]\n   [0, 1, 2, 3] [0, 1, 4, 9]\n" in printed
    numbers, squares = zip(*Subset(lesson["squares"], [9, 4]).__getitems__([1, 0]), strict=True)
    assert capsys.readouterr().out == "   many: [4, 9]\n", "a subset hands the request on"
    assert [int(n) for n in numbers] == [4, 9] and [int(n) for n in squares] == [16, 81]


def test_image_folder_numbers_the_classes_by_name_and_leaves_the_gif_out(lesson):
    folder = lesson["image_folder"]
    assert folder.class_to_idx == {"ants": 0, "bees": 1}
    for (path, target), expected in zip(folder.samples, folder.targets, strict=True):
        assert target == expected == ["ants", "bees"].index(Path(path).parent.name)
    everything = {str(path) for path in lesson["root"].glob("*/*")}
    assert {Path(path).name for path in everything - {path for path, _ in folder.samples}} == {"imageNotFound.gif"}


def test_a_subset_is_the_named_samples_in_the_named_order(lesson):
    few, folder = lesson["few"], lesson["image_folder"]
    for i, index in enumerate([0, len(lesson["ants"]), 1]):
        path, label = folder.samples[index]
        assert few[i][1] == label
        assert np.array_equal(pixels(few[i][0]), pixels(Image.open(path)))


def test_the_parts_share_no_sample_lose_none_and_are_shuffled(lesson):
    train, val, count = lesson["train_part"].indices, lesson["val_part"].indices, len(lesson["image_folder"])
    assert sorted([*train, *val]) == list(range(count))
    assert (len(train), len(val)) == (count * 8 // 10, count * 2 // 10)
    assert list(train) != sorted(train)
    assert {lesson["image_folder"].targets[i] for i in val} == {0, 1}


def test_counts_split_as_well_as_shares_if_they_add_up(lesson):
    folder, seed = lesson["image_folder"], lambda: torch.Generator().manual_seed(1)
    train, val = random_split(folder, [96, 24], generator=seed())
    assert train.indices == lesson["train_part"].indices and val.indices == lesson["val_part"].indices
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split(folder, [96, 25], generator=seed())


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


def test_a_loop_does_not_find_half_a_picture_and_load_does(lesson, printed):
    broken = lesson["broken"]
    whole = {path.name: path.stat().st_size for path in lesson["bees"].paths}
    halves = [path for path in broken.paths if path.stat().st_size < whole[path.name]]
    assert len(broken) == 3 and [path.name for path in halves] == ["bee_001.jpg"]
    assert [label for _, label in broken] == ["bees"] * 3, "a loop that never needs the pixels finds nothing"
    for path in broken.paths:
        if path in halves:
            with pytest.raises(OSError, match="truncated"):
                Image.open(path).load()
        else:
            Image.open(path).load()
    assert "a loop over all: [True, True, True]\nbee_001.jpg: OSError: image file is truncated\n" in printed


def test_a_cut_without_shuffling_leaves_no_ant_in_the_last_part(lesson):
    parts = lesson["first_part"], lesson["last_part"]
    truth = [path.parent.name for path in lesson["ants"].paths + lesson["bees"].paths]
    classes = lesson["image_folder"].classes
    assert [classes[label] for part in parts for _, label in part] == truth
    assert {classes[label] for _, label in lesson["last_part"]} == {"bees"}


def test_a_data_set_that_never_raises_index_error_goes_on_past_its_length(lesson):
    dataset = lesson["NoEnd"]()
    samples = [sample for _, sample in zip(range(10), dataset, strict=False)]
    assert len(dataset) == 3 and samples == [i * i for i in range(10)]
