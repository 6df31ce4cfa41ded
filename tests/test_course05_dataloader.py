"""Course 05: batches, orders, workers and their speed against counting, raw bytes and files."""

import json
import re

import numpy as np
import pytest
import torch
from lessons import load_module, run_lesson

from common.paths import REPOSITORY, output_dir

LESSON = "Course05-DataLoader"


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
    orders = re.findall(r"^seed (\d): \[(.*)\]$", printed, re.M)
    assert [seed for seed, _ in orders] == ["5", "5", "6"]
    assert orders[0] == orders[1] and orders[0][1] != orders[2][1]


def test_the_weighted_sampler_gives_both_classes_the_same_chance(lesson):
    weights, rare = lesson["weights"], lesson["rare"]
    assert torch.isclose(weights[rare == 0].sum(), weights[rare == 1].sum())
    assert len(lesson["drawn"]) == 1000
    assert 440 < int(lesson["drawn"].sum()) < 560  # 500, give or take nearly four standard deviations of 15.8


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


def test_batched_fetching_gives_the_same_pictures_with_one_call_a_batch(lesson, printed):
    raw, targets = lesson["dataset"].dataset.data, lesson["dataset"].dataset.targets
    for name in ("one by one", "batched"):
        images = torch.cat([images for images, _ in lesson["loaded"][name]])
        labels = torch.cat([labels for _, labels in lesson["loaded"][name]])
        assert np.allclose(images.numpy(), raw[:1000].transpose(0, 3, 1, 2) / 255, atol=1e-6)
        assert labels.tolist() == targets[:1000]
    assert re.findall(r"from (\d+) calls", printed) == ["1000", "16"]


def test_batched_fetching_is_faster_than_one_by_one_and_both_than_the_plain_loader(lesson):
    ratios = lesson["panels"]["fetching, in memory"]
    assert ratios["batched"] > 1.2 * ratios["one by one"]  # 2.4 on a quiet machine
    assert ratios["batched"] > 3  # about 18


def test_workers_cost_more_than_they_bring_for_pictures_in_memory(lesson):
    ratios = lesson["panels"]["num_workers, in memory"]
    assert ratios["0"] == 1 and max(ratios["1"], ratios["2"]) < 0.7


def test_the_chart_shows_what_the_worker_program_measured(lesson):
    measured = json.loads((output_dir(LESSON) / "speeds.json").read_text())
    for kind in ("JPEG files", "in memory"):
        bars = lesson["panels"][f"num_workers, {kind}"]
        assert {n: ratio * measured[kind]["0"] for n, ratio in bars.items()} == pytest.approx(measured[kind])
        assert list(bars) == ["0", "1", "2"]


def test_spawned_workers_import_the_file_under_another_name_and_load_the_same_pictures(lesson):
    lines = lesson["spawn_printed"].splitlines()
    assert lines[1] == "this file is called __main__ here, and in the spawned worker __mp_main__"
    assert [line.split(": ")[-1] for line in lines[2:]] == ["True", "True"]


def test_the_worker_program_does_nothing_when_it_is_imported(capfd):
    program = load_module(REPOSITORY / LESSON / "workers.py")
    assert capfd.readouterr().out == ""
    assert not {"pictures", "speeds", "loader"} & set(vars(program)), "all of that belongs below the guard"


def throws(lesson, init_fn, source):
    """What workers 0 and 1 threw, as printed."""
    part = f"{lesson['copied_printed']}\n{lesson['cured_printed']}\n".split(f"worker_init_fn: {init_fn}\n")[1]
    numbers = re.search(rf"^ +{source} +worker 0 \[(.*)\], worker 1 \[(.*)\]$", part, re.M).groups()
    return [[int(n) for n in some.split(", ")] for some in numbers]


def test_a_generator_kept_by_the_data_set_is_copied_with_its_state(lesson):
    alone = np.random.default_rng(5)
    expected = [int(alone.integers(100)) for _ in range(4)]
    assert throws(lesson, None, "self.rng.integers") == [expected, expected]
    first, second = throws(lesson, "give_own_generator", "self.rng.integers")
    assert first != second and first != expected


def test_torch_seeds_each_worker_with_its_own_number_added_to_a_seed_from_the_generator(lesson):
    base = torch.empty((), dtype=torch.int64).random_(generator=torch.Generator().manual_seed(5)).item()
    expected = []
    for worker in (0, 1):
        own = torch.Generator().manual_seed(base + worker)
        expected.append([int(torch.randint(100, (), generator=own)) for _ in range(4)])
    assert throws(lesson, None, "torch.randint") == expected
    assert throws(lesson, "give_own_generator", "torch.randint") == expected
    first, second = throws(lesson, None, "np.random.randint")
    assert first != second


def test_the_mistakes_give_the_messages_that_the_notes_explain(lesson, printed):
    assert "stack expects each tensor to be equal size, but got [3, 144, 192]" in printed
    assert lesson["lambda_printed"].startswith("PicklingError: Can't pickle <function <lambda>")
    assert "\nguarded.py: hello from the worker\n" in printed
    failed = printed.split("no_guard.py:")[1].split("guarded.py:")[0]
    assert "before the\n        current process has finished its bootstrapping phase" in failed
    assert "hello" not in failed
