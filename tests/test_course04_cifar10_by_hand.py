"""Course 04: the hand-written data set against torchvision's, and against the places of the bytes in the files."""

import pickle
import struct

import numpy as np
import pytest
import torch
from torchvision import datasets

from common.paths import REPOSITORY


def assert_equal_picture_by_picture(mine, theirs):
    assert len(mine) == len(theirs)
    for i in range(len(theirs)):
        (my_picture, my_label), (their_picture, their_label) = mine[i], theirs[i]
        assert my_picture.mode == their_picture.mode and my_picture.size == their_picture.size
        assert my_picture.tobytes() == their_picture.tobytes(), i
        assert my_label == their_label, i
    assert mine.classes == theirs.classes


def test_every_picture_and_label_is_torchvisions(lesson):
    assert len(lesson["my_train_set"]) == 10_000 and len(lesson["my_test_set"]) == 2_000
    assert_equal_picture_by_picture(lesson["my_train_set"], lesson["train_set"])
    assert_equal_picture_by_picture(lesson["my_test_set"], lesson["test_set"])


REAL = REPOSITORY / "data" / datasets.CIFAR10.base_folder


@pytest.mark.skipif(not REAL.is_dir(), reason="the real CIFAR-10 is not in data/")
@pytest.mark.parametrize("train", [True, False])
def test_every_real_picture_and_label_is_torchvisions(lesson, train):
    assert_equal_picture_by_picture(lesson["CIFAR10Dataset"](REAL, train), datasets.CIFAR10(REAL.parent, train))


def test_every_byte_of_a_picture_comes_from_its_place_in_the_row(lesson):
    place = np.array([[[1024 * c + 32 * i + j for c in range(3)] for j in range(32)] for i in range(32)])
    assert (lesson["places"].permute(1, 2, 0).numpy() == place).all()
    assert place[lesson["i"], lesson["j"], lesson["channel"]] == 1214
    batches = [pickle.loads((lesson["folder"] / name).read_bytes()) for name in ("data_batch_1", "data_batch_5")]
    for batch, first in zip(batches, (0, 8000), strict=True):
        for k in range(0, 2000, 7):
            picture, label = lesson["my_train_set"][first + k]
            assert (np.asarray(picture) == batch["data"][k][place]).all()
            assert label == batch["labels"][k]


def test_a_label_is_the_class_that_the_name_of_the_file_tells(lesson):
    batch = pickle.loads((lesson["folder"] / "test_batch").read_bytes())
    for (_, label), name in zip(lesson["my_test_set"], batch["filenames"], strict=True):
        assert lesson["my_test_set"].classes[label] == name.split("_")[0]


def test_the_ten_classes_are_equally_frequent(lesson):
    targets = [lesson["train_set"][i][1] for i in range(10_000)]
    assert lesson["counts"].tolist() == [targets.count(c) for c in range(10)] == [1000] * 10


# ---- As Python 2 wrote the real files --------------------------------------------------------------------------------


def text(value):
    return b"T" + struct.pack("<i", len(value)) + value  # BINSTRING: a str of Python 2, bytes without an encoding


def number(value):
    return b"J" + struct.pack("<i", value)


def python_2_pickle(rows, labels):
    """A batch in the opcodes that Python 2 and its NumPy used: rows uint8 (N, 3072)."""
    dtype = (
        b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN" + number(-1) * 2 + b"K\x00tb"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + number(len(rows)) + number(3072) + b"\x86" + dtype + b"\x89" + text(rows.tobytes()) + b"tb"
    label_list = b"](" + b"".join(number(label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + label_list + b"u."


def test_files_that_python_2_wrote_are_read_as_well(lesson, tmp_path):
    random = np.random.default_rng(4)
    rows = random.integers(0, 256, (15, 3072), dtype=np.uint8)
    for n in range(5):
        (tmp_path / f"data_batch_{n + 1}").write_bytes(python_2_pickle(rows[3 * n :][:3], [n, 9 - n, 0]))
    names = b"](" + text(b"airplane") + text(b"automobile") + b"e"
    (tmp_path / "batches.meta").write_bytes(b"\x80\x02}(" + text(b"label_names") + names + b"u.")
    with pytest.raises(UnicodeDecodeError):
        pickle.loads((tmp_path / "data_batch_1").read_bytes())
    dataset = lesson["CIFAR10Dataset"](tmp_path, train=True)
    assert dataset.classes == ["airplane", "automobile"]
    assert dataset.targets == [0, 9, 0, 1, 8, 0, 2, 7, 0, 3, 6, 0, 4, 5, 0]
    for i in range(15):
        red, green, blue = rows[i].reshape(3, 32, 32)
        assert (np.asarray(dataset[i][0]) == np.dstack([red, green, blue])).all()


def test_the_same_bytes_have_keys_of_bytes_or_of_text(lesson):
    data = lesson["written_by_python_2"]
    assert lesson["as_bytes"] == {b"labels": [6, 9], b"data": b"\x3b\xfe\x9c"}
    assert pickle.loads(data, encoding="latin1") == {"labels": [6, 9], "data": "\x3b\xfe\x9c"}


# ---- Shapes ----------------------------------------------------------------------------------------------------------


def test_cat_puts_the_files_end_to_end_in_their_order(lesson):
    files = [pickle.loads((lesson["folder"] / f"data_batch_{n}").read_bytes()) for n in range(1, 6)]
    for k in (0, 1999, 2000, 5678, 9999):
        expected = torch.from_numpy(files[k // 2000]["data"][k % 2000])
        assert torch.equal(lesson["my_train_set"].images[k].flatten(), expected)
        assert lesson["my_train_set"].targets[k] == files[k // 2000]["labels"][k % 2000]
        assert lesson["parts"][k // 2000][k % 2000] == files[k // 2000]["labels"][k % 2000]


def test_the_wrong_reshape_takes_three_neighbours_in_a_row_for_red_green_and_blue(lesson):
    wrong, rows = lesson["wrong"], lesson["rows"]
    assert wrong.shape == lesson["right"].shape == (2000, 32, 32, 3)
    for i, j in [(0, 0), (3, 17), (31, 31)]:
        start = 3 * (32 * i + j)
        assert torch.equal(wrong[5, i, j], rows[5, start : start + 3])
    changed = (wrong != lesson["right"]).any(dim=3).float().mean()
    assert changed > 0.9


def test_a_transform_changes_items_and_not_what_is_kept(lesson):
    dataset = lesson["float_set"]
    for i in (0, 77, 1999):
        image, label = dataset[i]
        expected = torch.from_numpy(lesson["test_set"].data[i]).permute(2, 0, 1) / 255
        assert image.shape == (3, 32, 32) and torch.allclose(image, expected, atol=1e-6)
        assert label == lesson["test_set"].targets[i]
    assert dataset.images.dtype == torch.uint8 and dataset.images.max() > 1


def test_a_folder_without_the_files_is_refused_and_no_folder_at_all_as_well(printed, tmp_path):
    assert "TypeError: CIFAR10.__init__() missing 1 required positional argument: 'root'" in printed
    with pytest.raises(RuntimeError) as refused:
        datasets.CIFAR10(tmp_path)
    assert f"RuntimeError: {refused.value}\n" in printed


def test_the_smallest_row_is_cut_into_channels_rows_and_columns(lesson):
    for channel in range(3):
        for i in range(2):
            for j in range(2):
                assert lesson["small"][channel, i, j] == 4 * channel + 2 * i + j


def test_the_page_shows_four_different_pictures_of_each_class(lesson):
    samples = lesson["samples"]
    assert len({i for indices in samples for i in indices}) == 40
    assert [[lesson["train_set"][i][1] for i in indices] for indices in samples] == [[c] * 4 for c in range(10)]
