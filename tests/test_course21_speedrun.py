"""Course 21: each piece of the race against arithmetic by hand, SVD or a loop; the ladder against its own file."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
import torch
from lessons import importable, load_module, run_lesson, script_of
from torch import nn

from common.models import CifarCNN
from common.paths import REPOSITORY, home
from trainer.options import RECIPES

FOLDER = REPOSITORY / "Course21-SpeedRun"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def speedrun():
    with importable(FOLDER):
        yield load_module(script_of(FOLDER.name))


@pytest.fixture(scope="module")
def muon():
    with importable(FOLDER):
        yield load_module(FOLDER / "muon.py")


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- The rungs -------------------------------------------------------------------------------------------------------


def test_the_script_has_fewer_than_three_hundred_lines():
    assert len(script_of(FOLDER.name).read_text(encoding="utf-8").splitlines()) < 300


def test_the_ladder_begins_with_the_modern_recipe_of_course_19(speedrun):
    recipe = speedrun.recipe_of("course19", CPU, 50_000)
    modern = {name: values[0] for name, values in RECIPES.items()}
    for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay", "schedule", "label_smoothing"):
        assert getattr(recipe, name) == modern[name], name
    assert isinstance(speedrun.build(recipe, 64, 10, CPU), CifarCNN)


def test_a_rung_keeps_what_the_rungs_above_it_have_changed(speedrun):
    whole, gpu = speedrun.Recipe(), torch.device("cuda")
    for name, (_, changed) in speedrun.RUNGS.items():
        whole = dataclasses.replace(whole, **changed)
        assert (
            dataclasses.replace(speedrun.recipe_of(name, gpu, 50_000), half=whole.half, compile=whole.compile) == whole
        )
    assert whole.muon and whole.whiten and whole.views == 6 and not whole.lookahead


def test_with_few_pictures_batches_and_steps_shrink_alike(speedrun):
    full, few = (speedrun.recipe_of("flips", CPU, count) for count in (50_000, 512))
    assert (full.batch_size, few.batch_size) == (1024, 128)
    assert full.lr / full.batch_size == pytest.approx(few.lr / few.batch_size)


def test_every_weight_that_learns_is_in_one_group_of_one_optimizer(speedrun):
    for rung in speedrun.RUNGS:
        recipe = speedrun.recipe_of(rung, CPU, 50_000)
        network = speedrun.build(recipe, 4, 10, CPU)
        speedrun.start_again(network, recipe, random(8, 3, 32, 32))
        optimizers = speedrun.make_optimizers(network, recipe)
        held = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        learning = [p for p in network.parameters() if p.requires_grad]
        assert sorted(map(id, held)) == sorted(map(id, learning)), rung


@pytest.mark.parametrize("total", [8, 33, 100])
def test_the_onecycle_factor_is_that_of_torch(total, speedrun):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1, total, cycle_momentum=False)
    for step in range(total):
        expected = scheduler.get_last_lr()[0]
        assert speedrun.lr_factor("onecycle", step, total) == pytest.approx(expected, rel=1e-6, abs=1e-9)
        optimizer.step()
        scheduler.step() if step < total - 1 else None


@pytest.mark.parametrize("schedule", [(0.2, 0.23, 0.07), (1, 0, 0)])
def test_a_triangle_goes_up_and_down_in_straight_lines(schedule, speedrun):
    first, peak, last = schedule
    factors = [speedrun.lr_factor(schedule, step, 200) for step in range(200)]
    expected = np.interp(
        np.arange(200) / 200, [0, peak, 1] if peak else [0, 1], [first, 1, last] if peak else [1, last]
    )
    assert factors == pytest.approx(list(expected))


# ---- Pictures --------------------------------------------------------------------------------------------------------


def test_moving_is_a_crop_of_the_picture_with_mirrored_borders_and_flipping_comes_after(speedrun):
    images = torch.randint(0, 256, (25, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    shift = torch.tensor(list(itertools.product(range(-2, 3), repeat=2)))  # all 25
    flip = torch.arange(25) % 2 == 0
    moved = speedrun.move_and_flip(images, shift, flip).numpy()
    for image, (down, right), mirrored, found in zip(images.numpy(), shift, flip, moved, strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        expected = padded[2 + down : 8 + down, 2 + right : 8 + right]
        assert (found == (expected[:, ::-1] if mirrored else expected)).all()


def test_normalised_pictures_have_mean_zero_and_deviation_one_with_the_channels_first(speedrun):
    images = torch.randint(0, 256, (50, 8, 8, 3), dtype=torch.uint8)
    scaled = images.double() / 255
    mean, std = scaled.mean(dim=(0, 1, 2)).float(), scaled.std(dim=(0, 1, 2), correction=0).float()
    pictures = speedrun.normalised(images, mean, std)
    assert pictures.shape == (50, 3, 8, 8) and pictures.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(pictures.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(pictures.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3)


def epochs_of(speedrun, count, recipe, epochs):
    """Whole epochs of pictures whose left half is their number and whose right half is 200."""
    images = torch.full((count, 8, 8, 3), 200, dtype=torch.uint8)
    images[:, :, :4] = torch.arange(count, dtype=torch.uint8)[:, None, None, None]
    torch.manual_seed(5)
    stream = speedrun.batches(images, torch.arange(count), torch.zeros(3), torch.ones(3), recipe)
    steps = count // recipe.batch_size
    return [list(itertools.islice(stream, steps)) for _ in range(epochs)]


def is_mirrored(pictures):
    return pictures[:, 0, 0, 0] > pictures[:, 0, 0, -1]


def test_flips_in_turn_show_each_side_in_every_other_epoch(speedrun):
    recipe = speedrun.Recipe(batch_size=10, shift=0, alternate=True)
    sides = torch.zeros(4, 100, dtype=torch.bool)
    for epoch, batches in enumerate(epochs_of(speedrun, 100, recipe, epochs=4)):
        for pictures, labels in batches:
            sides[epoch, labels] = is_mirrored(pictures)
    assert (sides[0] != sides[1]).all() and (sides[0] == sides[2]).all() and (sides[1] == sides[3]).all()
    assert 25 < sides[0].sum() < 75


def test_flips_at_random_repeat_a_side_half_of_the_time(speedrun):
    recipe = speedrun.Recipe(batch_size=10, shift=0)
    sides = torch.zeros(2, 100, dtype=torch.bool)
    for epoch, batches in enumerate(epochs_of(speedrun, 100, recipe, epochs=2)):
        for pictures, labels in batches:
            sides[epoch, labels] = is_mirrored(pictures)
    assert 25 < (sides[0] == sides[1]).sum() < 75


def test_an_epoch_shows_each_picture_once_with_its_label_and_no_smaller_batch(speedrun):
    orders = []
    for batches in epochs_of(speedrun, 103, speedrun.Recipe(batch_size=20, shift=0), epochs=2):
        assert [len(labels) for _, labels in batches] == [20] * 5
        for pictures, labels in batches:
            halves = torch.stack([pictures[:, 0, 0, 0], pictures[:, 0, 0, -1]]) * 255
            assert torch.allclose(halves.amin(dim=0), labels.float(), atol=1e-3)
        orders.append(torch.cat([labels for _, labels in batches]).tolist())
        assert len(set(orders[-1])) == 100
    assert orders[0] != orders[1]


def test_the_first_epochs_may_be_smaller_and_keep_their_mean(speedrun):
    recipe = speedrun.Recipe(batch_size=50, epochs=8, small=3 / 8, shift=0)
    sizes = [batches[0][0].shape[2:] for batches in epochs_of(speedrun, 100, recipe, epochs=5)]
    assert sizes == [(6, 6)] * 3 + [(8, 8)] * 2
    pictures, labels = epochs_of(speedrun, 100, recipe, epochs=1)[0][0]
    assert torch.allclose(pictures.mean(dim=(1, 2, 3)) * 255, (labels + 200) / 2, atol=1)


# ---- The network -----------------------------------------------------------------------------------------------------


def test_the_outputs_of_the_whitening_filters_are_uncorrelated_with_variance_one(speedrun):
    rough = random(40, 3, 32, 32)
    images = nn.functional.avg_pool2d(rough, 3, stride=1, padding=1) + torch.tensor([0.3, -0.2, 0.1]).view(3, 1, 1)
    images[:, 1] += 0.8 * images[:, 0]  # neighbours and channels go together, as in photographs
    filters = speedrun.whitening_filters(images, eps=0)
    assert filters.shape == (24, 3, 2, 2)
    outputs = nn.functional.conv2d(images, filters).double().transpose(0, 1).flatten(1).numpy()  # (24, N * 31 * 31)
    assert np.abs(np.cov(outputs[:12]) - np.eye(12)).max() < 1e-3
    assert np.allclose(outputs[12:], -outputs[:12], atol=1e-5)


def test_eps_keeps_a_direction_that_does_not_vary_from_being_blown_up(speedrun):
    images = random(40, 3, 32, 32)
    images[:, 2] = images[:, 0]  # four of the twelve directions have no variance
    assert speedrun.whitening_filters(images).abs().max() < 1 / 5e-4**0.5


def test_the_wide_network_has_the_sizes_of_airbench94(speedrun):
    network = speedrun.WideNet(64, 10, 1)
    assert network(random(2, 3, 32, 32)).shape == (2, 10)
    assert network.rest(network.first(random(2, 3, 32, 32))).shape == (2, 256, 3, 3)
    pairs = [(24, 64), (64, 64), (64, 256), (256, 256), (256, 256), (256, 256)]
    expected = 24 * (12 + 1) + sum(9 * a * b + b for a, b in pairs) + 256 * 10
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == expected
    assert network(random(2, 3, 24, 24)).shape == (2, 10), "and takes the smaller pictures"


def test_the_scale_of_the_convolutions_does_not_matter(speedrun):
    network, images = speedrun.WideNet(8, 10, 1), random(16, 3, 32, 32)
    before = network(images)
    with torch.no_grad():
        for layer in network.rest:
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(1e-3)
    assert torch.allclose(network(images), before, atol=1e-3)


def test_convolutions_that_begin_as_copies_copy(speedrun):
    recipe = dataclasses.replace(speedrun.Recipe(), copies=True, wide=True)
    network = speedrun.build(recipe, 8, 10, CPU)
    speedrun.start_again(network, recipe, random(8, 3, 32, 32))
    for layer in network.rest:
        if isinstance(layer, nn.Conv2d):
            inputs = random(2, layer.in_channels, 5, 5)
            same = min(layer.in_channels, layer.out_channels)
            assert torch.allclose(layer(inputs)[:, :same], inputs[:, :same], atol=1e-6)
            assert layer.weight[same:].abs().sum() > 0 or layer.out_channels == same


def test_a_new_start_gives_new_weights_in_the_same_memory(speedrun):
    recipe = speedrun.recipe_of("muon", CPU, 1000)
    network = speedrun.build(recipe, 8, 10, CPU)
    places = [t.data_ptr() for t in network.state_dict().values()]
    found = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        speedrun.start_again(network, recipe, random(50, 3, 32, 32))
        found.append(torch.cat([t.flatten().float() for t in network.state_dict().values()]))
        assert [t.data_ptr() for t in network.state_dict().values()] == places and network.first.bias.requires_grad
        network(random(8, 3, 32, 32))  # changes the running statistics
        network.first.bias.requires_grad_(False)
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])
    assert network.head.weight.std().item() == pytest.approx(1, abs=1e-5)


# ---- Training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (12, 12)])
def test_orthogonalising_changes_the_singular_values_alone_and_as_the_polynomial_says(shape, muon):
    matrix = random(*shape).double()
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s = s / s.square().sum().sqrt()
    for _ in range(3):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    assert torch.allclose(muon.orthogonalised(matrix), u @ torch.diag(s) @ v, atol=1e-5)


def test_five_steps_bring_all_singular_values_near_one(muon):
    matrix = random(20, 60) * torch.logspace(0, -1.5, 20)[:, None]  # from 1 down to 0.03
    singular = torch.linalg.svdvals(muon.orthogonalised(matrix, steps=5))
    assert singular.min() > 0.6 and singular.max() < 1.3


def test_a_step_of_muon_is_nesterov_momentum_on_weights_of_fixed_norm(muon):
    weight = nn.Parameter(random(4, 2, 3, 3))
    optimizer = muon.Muon([weight], lr=0.1, momentum=0.6, orthogonalise=lambda update: 2 * update)
    expected, momentum = weight.detach().double().clone(), 0
    for seed in (1, 2, 3):
        weight.grad = random(4, 2, 3, 3, seed=seed)
        gradient = weight.grad.double()
        momentum = 0.6 * momentum + gradient
        expected = expected * (4**0.5 / expected.norm()) - 0.1 * 2 * (gradient + 0.6 * momentum)
        optimizer.step()
    assert torch.allclose(weight.double(), expected, atol=1e-5)


def test_lookahead_moves_the_average_and_puts_the_weights_there(speedrun):
    slow, fast = [torch.tensor([0.0, 4.0])], [torch.tensor([1.0, 8.0])]
    speedrun.look_ahead(slow, fast, decay=0.75)
    assert slow[0].tolist() == fast[0].tolist() == [0.25, 5.0]
    fast[0] += 4
    speedrun.look_ahead(slow, fast, decay=1)
    assert slow[0].tolist() == fast[0].tolist() == [0.25, 5.0], "decay 1 puts the weights back on the average"


def small_problem(speedrun, rung, **changes):
    """A network, its recipe, and 20 batches of noise with labels."""
    recipe = dataclasses.replace(speedrun.recipe_of(rung, CPU, 64), half=False, batch_size=16, epochs=2, **changes)
    network = speedrun.build(recipe, 4, 10, CPU)
    torch.manual_seed(1)
    speedrun.start_again(network, recipe, random(32, 3, 32, 32))
    batches = [(random(16, 3, 32, 32, seed=seed), torch.arange(16) % 10) for seed in range(20)]
    return network, recipe, batches


def test_training_on_the_first_rung_is_plain_sgd_with_the_mean_loss_and_onecycle(speedrun):
    network, recipe, batches = small_problem(speedrun, "course19", lr=0.05)
    other = CifarCNN(10)
    other.load_state_dict(network.state_dict())
    speedrun.train(network, iter(batches), 10, recipe)

    optimizer = torch.optim.SGD(other.parameters(), 0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, 20, cycle_momentum=False)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    for images, labels in batches:
        optimizer.zero_grad()
        loss_fn(other(images), labels).backward()
        optimizer.step()
        scheduler.step()
    for name, tensor in other.state_dict().items():
        assert torch.allclose(network.state_dict()[name], tensor, atol=2e-3, rtol=2e-3), name


def test_the_first_bias_learns_in_the_first_30_percent_of_the_steps_alone(speedrun):
    for rung in ("lookahead", "muon"):
        network, recipe, batches = small_problem(speedrun, rung, lookahead=False)
        filters, biases = network.first.weight.clone(), []

        def watched(network=network, batches=batches, biases=biases):
            for batch in batches:
                biases.append(network.first.bias.detach().clone())
                yield batch

        speedrun.train(network, watched(), 10, recipe)
        biases.append(network.first.bias.detach().clone())
        changed = [not torch.equal(a, b) for a, b in itertools.pairwise(biases)]
        assert changed == [True] * 6 + [False] * 14
        assert torch.equal(network.first.weight, filters), "what was computed from the pictures never learns"


def test_lookahead_averages_every_fifth_step_and_training_ends_on_the_average(speedrun, monkeypatch):
    network, recipe, batches = small_problem(speedrun, "lookahead")
    decays, kept = [], []

    def recorded(slow, fast, decay, real=speedrun.look_ahead):
        real(slow, fast, decay)
        decays.append(decay)
        kept[:] = slow

    monkeypatch.setattr(speedrun, "look_ahead", recorded)
    speedrun.train(network, iter(batches), 10, recipe)
    assert decays == pytest.approx([0.95**5 * (step / 20) ** 3 for step in (9, 14, 19)] + [1])
    floats = [t for t in network.state_dict().values() if t.is_floating_point()]
    assert all(torch.equal(a, b) for a, b in zip(kept, floats, strict=True))


def settled_network(speedrun):
    """A network whose BatchNorm has seen a few batches, so that its logits are not all near 0."""
    torch.manual_seed(2)
    network = speedrun.WideNet(4, 10, 1)
    with torch.no_grad():
        for seed in range(5):
            network(random(16, 3, 32, 32, seed=seed))
    return network.eval()


def test_two_views_do_not_tell_a_picture_from_its_mirror_image(speedrun):
    network, images = settled_network(speedrun), random(6, 3, 32, 32)
    with torch.no_grad():
        one, two = speedrun.answer(network, images, 1), speedrun.answer(network, images, 2)
        assert torch.allclose(two, (network(images) + network(images.flip(3))) / 2, atol=1e-6)
        assert torch.allclose(two, speedrun.answer(network, images.flip(3), 2), atol=1e-6)
        assert torch.allclose(one, network(images), atol=1e-6) and not torch.allclose(one, two, atol=1e-3)


def test_six_views_weigh_the_unmoved_picture_as_much_as_both_moved_ones(speedrun):
    network, images = settled_network(speedrun), random(6, 3, 32, 32)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    views = [(images, 1 / 2), (padded[:, :, :32, :32], 1 / 4), (padded[:, :, 2:, 2:], 1 / 4)]
    with torch.no_grad():
        expected = sum(
            weight * network(torch.from_numpy(np.ascontiguousarray(view[..., ::step]))) / 2
            for view, weight in ((np.asarray(view), weight) for view, weight in views)
            for step in (1, -1)
        )
        assert torch.allclose(speedrun.answer(network, images, 6), expected, atol=1e-5)


def test_accuracy_counts_every_test_picture_once_and_evaluates(speedrun):
    images, labels = torch.zeros(4500, 3, 4, 4), torch.arange(4500) % 10
    images[:, 0, 0, 0] = torch.where(torch.arange(4500) < 4100, labels, (labels + 1) % 10).float()

    class Reader(nn.Module):
        def forward(self, images):
            assert not self.training
            return nn.functional.one_hot(images[:, 0, 0, 0].long(), 10).float()

    assert speedrun.accuracy(Reader(), images, labels, speedrun.Recipe()) == pytest.approx(4100 / 4500)


# ---- The ladder ------------------------------------------------------------------------------------------------------


def run(speedrun, capsys, *argv):
    """The program in this process: exit code, standard output, standard error."""
    code = speedrun.main(speedrun.LADDER, [str(a) for a in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_quick_look_prints_every_rung_and_writes_what_it_printed(speedrun):
    printed = run_lesson(FOLDER.name).printed
    file = home() / "outputs/Course21-SpeedRun/quick.json"
    measured = json.loads(file.read_text(encoding="utf-8"))
    for name, (adds, _) in speedrun.RUNGS.items():
        (line,) = re.findall(rf"^{name} +(.+)$", printed, re.MULTILINE)
        if name not in measured["rungs"]:
            assert line.startswith("left out")
            continue
        row = measured["rungs"][name]
        assert line.startswith(adds) and f"{row['accuracy']:.2%} ± {row['standard_error']:.2%}" in line
        assert row["accuracy"] == pytest.approx(np.mean(row["accuracies"]))
        assert row["standard_error"] == pytest.approx(np.std(row["accuracies"], ddof=1) / len(row["accuracies"]) ** 0.5)
        assert row["seconds"] == pytest.approx(np.median(row["all_seconds"])) and 0 < row["seconds"] < 60
    assert {"course19", "batch", "lookahead", "views", "muon", "small"} <= set(measured["rungs"])
    assert measured["setting"]["torch"] == torch.__version__ and measured["setting"]["train"] == 320


def test_a_row_is_the_mean_with_its_standard_error_and_the_median_of_the_seconds():
    with importable(FOLDER):
        row = load_module(FOLDER / "measuring.py").row_of([0.90, 0.92, 0.97], [1.0, 2.0, 9.0])
    assert (row["runs"], row["seconds"]) == (3, 2.0) and row["accuracy"] == pytest.approx(0.93)
    assert row["standard_error"] == pytest.approx(((0.03**2 + 0.01**2 + 0.04**2) / 2 / 3) ** 0.5)


def test_a_rung_is_measured_again_or_added_and_the_others_stay(speedrun, tmp_path, capsys):
    file = tmp_path / "new folder" / "ladder.json"
    quick = ["--quick", "--device", "cpu", "--runs", "1", "--out", file, "--rungs"]
    assert run(speedrun, capsys, *quick, "course19", "views")[0] == 0
    before = json.loads(file.read_text(encoding="utf-8"))["rungs"]
    assert list(before) == ["course19", "views"] and before["views"]["standard_error"] is None
    code, out, _ = run(speedrun, capsys, *quick, "flips")
    after = json.loads(file.read_text(encoding="utf-8"))["rungs"]
    assert code == 0 and list(after) == ["course19", "flips", "views"], "in the order of the ladder"
    assert after["views"] == before["views"] and "±" not in out
    assert after["flips"]["recipe"]["alternate"] and after["flips"]["command"].endswith("--rungs flips")

    code, _, err = run(speedrun, capsys, *quick, "flips", "--width", "4")
    assert code == 2 and err.count("\n") == 1 and "was measured with width 8" in err
    assert json.loads(file.read_text(encoding="utf-8"))["rungs"] == after
    file.write_text("no JSON", encoding="utf-8")
    code, _, err = run(speedrun, capsys, *quick, "flips")
    assert code == 2 and "is no file of this program" in err and file.read_text(encoding="utf-8") == "no JSON"


def test_the_same_seed_gives_the_same_accuracy(speedrun):
    pictures = {"images": torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8), "labels": torch.arange(64) % 10}
    pictures |= {"test images": pictures["images"], "test labels": pictures["labels"]}
    pictures |= {"mean": torch.full((3,), 0.5), "std": torch.full((3,), 0.29)}
    recipe = dataclasses.replace(speedrun.recipe_of("lookahead", CPU, 64), half=False)
    network = speedrun.build(recipe, 4, 10, CPU)
    found = []
    for seed in (1, 2, 1):
        found.append((speedrun.run_once(network, recipe, pictures, seed)[0], network.head.weight.clone()))
    assert found[0][0] == found[2][0] and torch.equal(found[0][1], found[2][1])
    assert not torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--device", "cpu"], "type --quick, or name --rungs"),
        (["--rungs", "fastest"], "invalid choice: 'fastest'"),
        (["--quick", "--runs", "0"], "whole number of at least 1"),
        (["--quick", "--data", "no/such/folder"], "there is no data folder"),
        (["--quick", "--limit", "10"], "whole number of at least 32"),
    ],
)
def test_bad_options_get_one_clear_line_and_leave_nothing(argv, says, speedrun, course_home, capsys):
    code, _, err = run(speedrun, capsys, *argv)
    assert code == 2 and says in err and err.count("\n") == 1
    assert not list(course_home.glob("outputs/**/*.json"))


def test_folders_are_not_named_in_the_file(speedrun, pictures, tmp_path, capsys):
    file = tmp_path / "ladder.json"
    few = ["--quick", "--rungs", "course19", "--runs", "1", "--device", "cpu"]
    assert run(speedrun, capsys, "--data", pictures, *few, f"--out={file}")[0] == 0
    written = file.read_text(encoding="utf-8")
    assert str(pictures) not in written and str(tmp_path) not in written
    expected = "python Course21-SpeedRun/speedrun.py --data FOLDER " + " ".join(few) + " --out=FILE"
    assert json.loads(written)["rungs"]["course19"]["command"] == expected
    assert json.loads(written)["setting"]["data"] == "a folder"


# ---- The notes -------------------------------------------------------------------------------------------------------


def table_of_rungs():
    """The rows of the ladder in the notes: name -> [what it adds, accuracy, seconds]."""
    notes = (FOLDER / "notes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", notes, re.MULTILINE)
    return {name: cells for name, *cells in rows}


def test_the_table_of_the_notes_has_every_rung_and_only_figures_that_were_measured(speedrun):
    table, file = table_of_rungs(), FOLDER / "measured/ladder.json"
    assert list(table) == list(speedrun.RUNGS)
    measured = json.loads(file.read_text(encoding="utf-8"))["rungs"] if file.exists() else {}
    for name, (adds, accuracy, seconds) in table.items():
        assert adds.lower().startswith(speedrun.RUNGS[name][0].lower())
        if name in measured:
            row = measured[name]
            few = "" if row["runs"] >= 25 else f" ({row['runs']} runs)"
            assert accuracy == f"{row['accuracy'] * 100:.2f} ± {row['standard_error'] * 100:.2f}{few}"
            assert seconds == f"{row['seconds']:.2f}"
        else:
            assert accuracy == seconds == "not measured yet"


def test_the_first_layer_is_computed_from_pictures_of_all_classes(speedrun, monkeypatch):
    """The pictures of a folder come class by class."""
    labels = torch.arange(10).repeat_interleave(400)
    images = labels.to(torch.uint8)[:, None, None, None].expand(4000, 4, 4, 3)  # a picture's bytes tell its class
    seen = []
    monkeypatch.setattr(speedrun, "start_again", lambda network, recipe, images: seen.append(images))
    monkeypatch.setattr(speedrun, "train", lambda *args: None)
    monkeypatch.setattr(speedrun, "accuracy", lambda *args: 0.0)
    pictures = {"images": images, "labels": labels, "test images": images[:1], "test labels": labels[:1]}
    pictures |= {"mean": torch.zeros(3), "std": torch.ones(3)}
    speedrun.run_once(torch.nn.Identity(), speedrun.Recipe(), pictures, seed=0)
    assert len(seen[0]) == 2000 and seen[0].mul(255).round().unique().tolist() == list(range(10))
