"""Course 05: batches, orders, workers and their speed against counting, raw bytes and files."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from lessons import load_module, run_lesson
from PIL import Image

from common import UserError
from common.paths import REPOSITORY, output_dir

LESSON = "Course05-DataLoader"
PROGRAM = REPOSITORY / LESSON / "workers.py"


def test_the_number_of_batches_is_what_counting_gives(printed):
    lines = re.findall(r"^(\d+) in batches of (\d+), drop_last=(\w+): predicted (\d+), actual (\d+)$", printed, re.M)
    assert len(lines) == 6
    for count, batch_size, drop_last, predicted, actual in lines:
        sizes, left = [], int(count)
        while left:
            sizes.append(min(left, int(batch_size)))
            left -= sizes[-1]
        counted = sum(size == int(batch_size) or drop_last == "False" for size in sizes)
        assert int(predicted) == int(actual) == counted


def test_batches_by_hand_hold_every_number_in_order(lesson):
    assert [batch.tolist() for batch in lesson["by_hand"]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert re.findall(r"^loader:  (.*)$", run_lesson(LESSON).printed, re.M) == [str(b) for b in lesson["by_hand"]]


def test_a_real_batch_is_the_raw_bytes_of_its_pictures_divided_by_255(lesson):
    data = lesson["dataset"].dataset.data[:64].astype(np.float32) / 255  # (64, 32, 32, 3)
    assert np.allclose(lesson["stacked"].numpy(), data.transpose(0, 3, 1, 2), atol=1e-6)


def test_each_epoch_shows_every_sample_once_and_in_another_order(lesson):
    orders = [tuple(order.tolist()) for order in lesson["orders"]]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({*orders, tuple(range(10))}) == 4


def test_the_seed_of_the_loaders_own_generator_decides_the_order(printed):
    orders = dict(re.findall(r"^(loader [AB], epoch [12]): \[(.*)\]$", printed, re.M))
    first, second = orders["loader A, epoch 1"], orders["loader A, epoch 2"]
    assert (orders["loader B, epoch 1"], orders["loader B, epoch 2"]) == (first, second)
    assert first != second
    for seed, same in ((5, True), (6, False)):
        generator = torch.Generator().manual_seed(seed)
        loader = torch.utils.data.DataLoader(range(5), 5, shuffle=True, generator=generator)
        assert (str(next(iter(loader)).tolist()) == f"[{first}]") is same


def test_the_weighted_sampler_gives_both_classes_the_same_chance(lesson):
    weights, rare = lesson["weights"], lesson["rare"]
    assert torch.isclose(weights[rare == 0].sum(), weights[rare == 1].sum())
    assert len(lesson["drawn"]) == 1000
    assert 440 < int(lesson["drawn"].sum()) < 560  # 500, give or take nearly four standard deviations of 15.8


def test_an_epoch_of_weighted_draws_leaves_out_more_than_half_of_the_frequent_class(lesson):
    generator = np.random.default_rng(5)
    chances = 0.5 / np.where(lesson["rare"].numpy() == 1, 10, 90)  # one half for each class
    assert np.allclose(lesson["weights"].numpy() / lesson["weights"].numpy().sum(), chances)
    assert np.allclose(1000 * chances[lesson["rare"].numpy() == 1], 50)
    epochs = [set(generator.choice(100, size=100, p=chances)) for _ in range(300)]
    missing = [sum(index not in drawn for index in np.flatnonzero(lesson["rare"].numpy() == 0)) for drawn in epochs]
    assert 45 < np.mean(missing) < 60  # of 90


def test_padding_keeps_each_picture_in_its_corner_and_adds_only_black(lesson):
    samples = [(torch.rand(3, 2, 5) + 1, 1), (torch.rand(3, 4, 3) + 1, 0), (torch.rand(3, 1, 6) + 1, 1)]
    images, labels = lesson["pad_to_largest"](samples)
    assert images.shape == (3, 3, 4, 6) and labels.tolist() == [1, 0, 1]
    for i, (image, _) in enumerate(samples):
        for row in range(4):
            for column in range(6):
                inside = row < image.shape[1] and column < image.shape[2]
                expected = image[:, row, column] if inside else torch.zeros(3)
                assert torch.equal(images[i, :, row, column], expected)


def test_the_batch_sampler_decides_what_shares_a_batch(printed):
    assert re.findall(r"^own batches: (.*)$", printed, re.M) == ["['a', 'j']", "['b', 'c', 'd']", "['f']"]
    assert "own order:   ['h', 'h', 'c', 'a']\n" in printed
    assert "batch_size=4 makes [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]\n" in printed


def test_batched_fetching_gives_the_same_pictures_with_one_call_a_batch(lesson, printed):
    raw, targets = lesson["dataset"].dataset.data, lesson["dataset"].dataset.targets
    for name in ("one by one", "batched"):
        images = torch.cat([images for images, _ in lesson["loaded"][name]])
        labels = torch.cat([labels for _, labels in lesson["loaded"][name]])
        assert np.allclose(images.numpy(), raw[:1000].transpose(0, 3, 1, 2) / 255, atol=1e-6)
        assert labels.tolist() == targets[:1000]
    assert re.findall(r"from (\d+) calls", printed) == ["1000", "16"]


def test_batched_fetching_is_faster_than_one_by_one_and_both_than_the_plain_loader(lesson):
    ratios = lesson["groups"][3]
    assert ratios["in memory, batched"] > 1.2 * ratios["in memory, one by one"]  # 2.4 on a quiet machine
    assert ratios["in memory, batched"] > 3  # about 18


def test_workers_cost_more_than_they_bring_for_pictures_in_memory(lesson):
    ratios = lesson["groups"][2]
    assert ratios["in memory, num_workers=0"] == 1
    assert max(ratios["in memory, num_workers=1"], ratios["in memory, num_workers=2"]) < 0.7


def test_the_chart_shows_what_the_worker_program_measured(lesson):
    measured = json.loads((output_dir(LESSON) / "speeds.json").read_text())
    for kind, shown in (("picture files", lesson["groups"][1]), ("in memory", lesson["groups"][2])):
        speeds = measured[kind]
        assert shown == pytest.approx({f"{kind}, num_workers={n}": speeds[n] / speeds["0"] for n in "012"})


def test_what_stands_below_the_guard_runs_in_the_program_alone(printed):
    before, after = printed.split("you start the program:\n")[1].split("a worker imports it:\n")
    assert before.splitlines() == [
        "above the guard: this file is called __main__",
        "below the guard: load, train, save",
    ]
    assert after.splitlines()[0] == "above the guard: this file is called __mp_main__"
    assert "below the guard" not in after


# ---- workers.py ------------------------------------------------------------------------------------------------------


def test_a_folder_without_pictures_gets_one_clear_line_and_exit_code_2(tmp_path):
    folder = tmp_path / "pictures of 蚂蚁"
    (folder / "album.jpg").mkdir(parents=True)
    (folder / "notes.txt").write_text("no picture")
    done = subprocess.run([sys.executable, PROGRAM, folder], capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"workers\.py: .*pictures of 蚂蚁 holds no pictures.*\n", done.stderr), done.stderr


def test_what_cannot_be_measured_is_named(tmp_path):
    program = load_module(PROGRAM)
    with pytest.raises(UserError, match="name one folder of pictures: python Course05-DataLoader/workers.py FOLDER"):
        program.main([])
    with pytest.raises(UserError, match="there is no folder .*missing"):
        program.main([tmp_path / "missing"])
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match="there is no folder .*damaged.jpg"):
        program.main([damaged])
    with pytest.raises(UserError, match="damaged.jpg cannot be read"):
        program.main([tmp_path])
    with pytest.raises(UserError, match="name one folder"):
        program.main([tmp_path, tmp_path])


def test_any_folder_of_pictures_is_measured_whatever_the_case_of_its_suffixes(tmp_path):
    (tmp_path / "ants").mkdir()
    for name in ("a.JPG", "ants/b.png", "ants/c.jpeg"):
        Image.new("RGB", (40, 30), "#0072B2").save(tmp_path / name)
    program = load_module(PROGRAM)
    assert [path.name for path in program.find_pictures([tmp_path])] == ["a.JPG", "b.png", "c.jpeg"]
    image, _ = program.decode_all(program.Pictures(program.find_pictures([tmp_path])))[1]
    assert image.shape == (3, 64, 64)
    assert torch.allclose(image[:, 5, 5], torch.tensor([0x00, 0x72, 0xB2]) / 255)


def test_the_worker_program_does_nothing_when_it_is_imported(capfd):
    program = load_module(PROGRAM)
    assert capfd.readouterr().out == ""
    assert not {"pictures", "speeds", "loader"} & set(vars(program)), "all of that belongs below the guard"


def test_two_workers_load_the_same_pictures_in_the_same_order(printed):
    assert "two workers: the same pictures in the same order: True\n" in printed


SPAWNING = """
import sys
sys.path.insert(0, {folder!r})
import torch
from torch.utils.data import DataLoader
from workers import Pictures, find_pictures

class Here(Pictures):
    def __getitem__(self, index):
        return super().__getitem__(index)[0], __name__

if __name__ == "__main__":
    pictures = Here(find_pictures([{pictures!r}])[:8])
    loader = DataLoader(pictures, 4, num_workers=1, multiprocessing_context="spawn")
    for (images, names), (expected, _) in zip(loader, DataLoader(pictures, 4), strict=True):
        print(torch.equal(images, expected), set(names))
"""


def test_spawned_workers_import_the_file_under_another_name_and_load_the_same_pictures(lesson, tmp_path):
    program = tmp_path / "spawning.py"
    program.write_text(SPAWNING.format(folder=str(PROGRAM.parent), pictures=str(lesson["insects"].root)), "utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120)
    assert done.stdout == "True {'__mp_main__'}\n" * 2, done.stderr


# ---- Random numbers and mistakes -------------------------------------------------------------------------------------


def throws(printed, init_fn, source):
    """What workers 0 and 1 threw, as printed."""
    part = printed.split(f"worker_init_fn: {init_fn}\n")[1]
    numbers = re.search(rf"^ +{source} +worker 0 \[(.*)\], worker 1 \[(.*)\]$", part, re.M).groups()
    return [[int(n) for n in some.split(", ")] for some in numbers]


def test_a_generator_kept_by_the_data_set_is_copied_with_its_state(printed):
    alone = np.random.default_rng(5)
    expected = [int(alone.integers(100)) for _ in range(4)]
    assert throws(printed, None, "self.rng") == [expected, expected]
    first, second = throws(printed, "give_own_generator", "self.rng")
    assert first != second and first != expected


def test_torch_seeds_each_worker_with_its_own_number_added_to_a_seed_from_the_generator(printed):
    base = torch.empty((), dtype=torch.int64).random_(generator=torch.Generator().manual_seed(5)).item()
    expected = []
    for worker in (0, 1):
        own = torch.Generator().manual_seed(base + worker)
        expected.append([int(torch.randint(100, (), generator=own)) for _ in range(4)])
    assert throws(printed, None, "torch") == expected
    assert throws(printed, "give_own_generator", "torch") == expected
    first, second = throws(printed, None, "np.random")
    assert first != second


def test_the_mistakes_give_the_messages_that_the_notes_explain(printed):
    assert "stack expects each tensor to be equal size, but got [3, 144, 192]" in printed
    assert "\nValueError: sampler option is mutually exclusive with shuffle\n" in printed
    assert "\na lambda: PicklingError: Can't pickle <function <lambda>\n" in printed
    assert "\npad_to_largest: sent, and its name is among the bytes: True\n" in printed
    assert "\nguarded.py: hello from the worker, which calls this file __mp_main__\n" in printed
    failed = printed.split("no_guard.py:")[1].split("guarded.py:")[0]
    assert "before the\n        current process has finished its bootstrapping phase" in failed
    assert "hello" not in failed
