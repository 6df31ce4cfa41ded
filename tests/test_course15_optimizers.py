"""Course 15: seven rules against torch.optim, and the claims of the notes against formulas."""

import inspect
import math

import numpy as np
import pytest
import torch

RULES = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.01}),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("lr", [0.003, 0.3])
def test_a_rule_written_by_hand_is_torchs_to_six_digits(lesson, rule, lr):
    optimizer_class, settings = RULES[rule]
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    theirs = start.clone().requires_grad_()
    optimizer = optimizer_class([theirs], lr=lr, **settings)
    ours, memory = start, {}
    for step in range(25):
        gradient = torch.randn(4, 5, generator=generator, dtype=torch.float64) * 10.0 ** (step % 5 - 2)
        theirs.grad = gradient.clone()
        optimizer.step()
        ours = lesson[rule](ours, gradient, memory, lr)
        assert torch.allclose(ours, theirs.detach(), rtol=1e-6, atol=1e-6), f"step {step}"
    assert not torch.allclose(ours, start, atol=1e-3), "and it moved"


def test_the_lesson_compared_all_seven_rules(lesson):
    assert set(lesson["largest_difference"]) == set(RULES)
    assert max(lesson["largest_difference"].values()) < 1e-6


@pytest.mark.parametrize("surface", ["ravine", "saddle"])
def test_plain_sgd_on_a_surface_goes_where_its_slopes_say(lesson, surface):
    slopes = {"ravine": lambda x, y: (0.1 * x, 2 * y), "saddle": lambda x, y: (x, y**3 - y)}[surface]
    x, y = -1.5, 0.8
    path = lesson["path_by_torch"](torch.optim.SGD, lesson[surface], [x, y], 12, lr=0.1)
    for place in path.tolist():
        assert place == pytest.approx([x, y])
        dx, dy = slopes(x, y)
        x, y = x - 0.1 * dx, y - 0.1 * dy


def test_the_loop_follows_its_formula(lesson):
    assert lesson["walk"] == pytest.approx([3 * (1 - 0.8**k) for k in range(1, 21)], abs=1e-5)


def test_each_step_multiplies_the_distance_by_one_minus_twice_the_rate(lesson):
    assert list(lesson["walks"]) == [0.01, 0.4, 0.95, 1.05]
    for lr, walk in lesson["walks"].items():
        assert walk == pytest.approx([3 - 3 * (1 - 2 * lr) ** k for k in range(21)], rel=1e-3, abs=1e-4)


def test_adagrads_first_step_is_the_learning_rate_however_steep_the_loss(lesson):
    for scale in (1, 1000):
        w, g = torch.tensor([-1.5, 0.8]), scale * torch.tensor([-0.15, 1.6])
        assert (lesson["adagrad"](w, g, {}, 0.1) - w).tolist() == pytest.approx([0.1, -0.1], abs=1e-6)
    assert (lesson["first"][1] - lesson["first"][0]).tolist() == pytest.approx([0.1, -0.1], abs=1e-6)


def test_rmsprops_first_step_is_ten_learning_rates_and_adams_is_one(lesson):
    w, g = torch.zeros(1), torch.ones(1)
    assert lesson["rmsprop"](w, g, {}, 0.1).item() == pytest.approx(-1.0, rel=1e-4)
    assert lesson["adam"](w, g, {}, 0.1).item() == pytest.approx(-0.1, rel=1e-4)


def test_every_walk_ends_at_a_lowest_point(lesson):
    for (name, scene), path in lesson["paths"].items():
        x, y = path[-1].tolist()
        if scene == "ravine":
            assert 0.05 * x**2 + y**2 < 0.01, name
        else:
            assert x**2 / 2 - y**2 / 2 + y**4 / 4 < -0.25 + 0.01 and y > 0.7, name


def test_sgd_zigzags_in_the_ravine_and_waits_at_the_saddle(lesson):
    y = lesson["paths"]["SGD", "ravine"][:20, 1]
    assert (y[1:] * y[:-1] < 0).all(), "the other side in every step"
    near = {
        name: (path.norm(dim=1) < 0.3).sum() for (name, scene), path in lesson["paths"].items() if scene == "saddle"
    }
    assert max(near, key=near.get) == "SGD"
    assert near["Adam"] == near["Adagrad"] == 0


def test_weight_decay_in_sgd_is_a_penalty_and_in_adamw_a_factor(lesson):
    assert torch.allclose(lesson["penalty_in_the_loss"], lesson["decay_in_sgd"], atol=1e-9)
    factor = (1 - 0.01 * 0.1) ** 1000
    assert lesson["left_over"]["AdamW"] == pytest.approx([factor, factor], abs=0.02)
    soft, loud = lesson["left_over"]["Adam"]
    assert abs(soft) < 0.02 and loud > 0.8


def test_schedules_follow_their_formulas(lesson):
    def cosine(t, length):
        return (1 + math.cos(math.pi * t / length)) / 2

    truth = {
        "StepLR": [0.3 ** (t // 15) for t in range(60)],
        "ExponentialLR": [0.95**t for t in range(60)],
        "CosineAnnealingLR": [cosine(t, 60) for t in range(60)],
        "LinearLR, then cosine": [0.1 + 0.09 * t if t < 10 else cosine(t - 10, 50) for t in range(60)],
    }
    for name, values in truth.items():
        assert lesson["schedules"][name] == pytest.approx(values, abs=1e-6), name


def test_one_cycle_rises_once_and_falls_once(lesson):
    values = lesson["schedules"]["OneCycleLR"]
    top = values.index(max(values))
    assert values[top] == pytest.approx(1, abs=0.01)
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert values[-1] < 0.001


def test_the_plateau_schedule_waits_for_its_patience(lesson):
    values = lesson["schedules"]["ReduceLROnPlateau"]
    assert values.index(pytest.approx(0.3)) == 14 + 5 + 2, "best in epoch 14; the 6th epoch without progress is 20"


def test_each_group_moves_by_its_own_learning_rate(lesson):
    assert lesson["ratio"]["features"] == pytest.approx(0.001, rel=0.05)
    assert lesson["ratio"]["classifier"] == pytest.approx(0.1, rel=0.01)


def test_of_four_learning_rates_the_third_is_best_and_the_last_leaps_up(lesson):
    (tiny, small, good, large), first = lesson["curves"].values(), math.log(10)
    assert [curve[0] for curve in (tiny, small, good, large)] == pytest.approx([first] * 4, abs=1e-4)
    assert good[-1] < small[-1] < tiny[-1] and good[-1] < large[-1]
    assert max(large) > 1.5 * first
    for curve in (tiny, small, good):
        assert curve == sorted(curve, reverse=True)


def test_the_templates_descend_as_numpy_says(lesson):
    """Softmax regression by its formulas, without autograd and without an optimizer."""
    x, labels = lesson["some_images"].double().numpy(), lesson["some_labels"].numpy()
    truth, w, b = np.eye(10)[labels], np.zeros((3072, 10)), np.zeros(10)
    for step in range(20):
        logits = x @ w + b
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        assert lesson["curves"][0.01][step] == pytest.approx(-np.log(p[truth == 1]).mean(), abs=1e-4)
        w -= 0.01 * x.T @ (p - truth) / len(x)
        b -= 0.01 * (p - truth).mean(axis=0)


def test_the_network_learns(lesson):
    losses, batches = lesson["batch_losses"], len(lesson["train_loader"])
    epochs = [sum(losses[i * batches : (i + 1) * batches]) / batches for i in range(3)]
    assert len(losses) == 3 * batches == 90
    assert epochs[0] > epochs[1] > epochs[2] and epochs[2] < 2.0
    assert lesson["accuracies"][-1] > 0.18, "ten classes: guessing gives 0.10"


def test_a_layer_that_came_after_the_optimizer_never_moves(lesson):
    assert lesson["moves"] == {"optimizer first": False, "layer first": True}
    assert lesson["missing"] == []


def test_without_zero_grad_the_weight_swings_for_ever(lesson):
    w, total = 0.0, 0.0
    for value in lesson["forgetful"][True]:
        total += 2 * (w - 3)  # all gradients so far
        w -= 0.1 * total
        assert value == pytest.approx(w, abs=1e-3)
    assert max(lesson["forgetful"][True][-14:]) > 5.5
    assert lesson["forgetful"][False][-1] == pytest.approx(3, abs=0.01)


def test_used_up_parameters_are_none(lesson):
    assert lesson["count"] == sum(p.numel() for p in lesson["model"].parameters())
    assert list(lesson["weights"]) == []


def test_a_scheduler_that_steps_first_skips_the_first_rate(lesson):
    assert lesson["first_lr"] == pytest.approx(0.1)
    assert "before `optimizer.step()`" in str(lesson["caught"][0].message)


def test_the_default_learning_rates_in_the_notes_are_torchs():
    defaults = {"SGD": 0.001, "Adagrad": 0.01, "RMSprop": 0.01, "Adam": 0.001, "AdamW": 0.001}
    for name, lr in defaults.items():
        assert inspect.signature(getattr(torch.optim, name)).parameters["lr"].default == lr
