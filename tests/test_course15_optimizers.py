"""Course 15: eight rules against torch.optim, and the claims of the notes against formulas."""

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
    "adadelta": (torch.optim.Adadelta, {}),
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
    assert not torch.allclose(ours, start, atol=1e-5), "and it moved"


def test_the_lesson_compared_all_eight_rules(lesson):
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


def test_adadeltas_first_step_is_the_root_of_eps_over_one_minus_rho(lesson):
    assert set(lesson["first_step"]) == {(0.9, 1e-6), (0.9, 1e-2), (0.99, 1e-6)}
    for (rho, eps), (along_x, _) in lesson["first_step"].items():
        g = 0.1 * 1.5
        assert along_x == pytest.approx(g * math.sqrt(eps / ((1 - rho) * g**2 + eps)), rel=1e-6)
        if eps < 1e-3:
            assert along_x == pytest.approx(math.sqrt(eps / (1 - rho)), rel=3e-3)


def test_adams_first_step_is_the_learning_rate_however_steep_the_loss(lesson):
    for scale in (1, 1000):
        w, g = torch.tensor([-1.5, 0.8]), scale * torch.tensor([-0.15, 1.6])
        assert (lesson["adam"](w, g, {}, 0.1) - w).tolist() == pytest.approx([0.1, -0.1], abs=1e-6)
    assert (lesson["steep"][1] - lesson["steep"][0]).tolist() == pytest.approx([0.1, -0.1], abs=1e-6)


def test_after_t_steps_adams_means_have_reached_the_share_by_which_it_divides(lesson):
    memory, w, g = {}, torch.zeros(1, dtype=torch.float64), torch.tensor([7.0], dtype=torch.float64)
    for t in range(1, 30):
        w = lesson["adam"](w, g, memory, 0.1)
        assert memory["m"].item() == pytest.approx((1 - 0.9**t) * 7)
        assert memory["s"].item() == pytest.approx((1 - 0.999**t) * 49)
        assert w.item() == pytest.approx(-0.1 * t, rel=1e-6), "corrected, each step is the learning rate"


def test_rmsprops_first_step_is_ten_learning_rates_and_adams_is_one(lesson):
    w, g = torch.zeros(1), torch.ones(1)
    assert lesson["rmsprop"](w, g, {}, 0.1).item() == pytest.approx(-1.0, rel=1e-4)
    assert lesson["adam"](w, g, {}, 0.1).item() == pytest.approx(-0.1, rel=1e-4)


def test_every_walk_ends_at_a_lowest_point(lesson):
    assert len(lesson["paths"]) == 16, "eight optimizers on two surfaces"
    for (name, scene), path in lesson["paths"].items():
        x, y = path[-1].tolist()
        if scene == "ravine":
            assert 0.05 * x**2 + y**2 < 0.01, name
        else:
            assert x**2 / 2 + (y**2 - 1) ** 2 / 4 < 0.01 and y > 0.7, name


def test_sgd_zigzags_in_the_ravine_and_waits_at_the_saddle(lesson):
    y = lesson["paths"]["SGD", "ravine"][:20, 1]
    assert (y[1:] * y[:-1] < 0).all(), "the other side in every step"
    near = {
        name: (path.norm(dim=1) < 0.3).sum() for (name, scene), path in lesson["paths"].items() if scene == "saddle"
    }
    assert max(near, key=near.get) == "SGD"
    assert near["Adam"] == near["Adagrad"] == 0


def steps_to_settle(lr, mu=0.0, nesterov=False):
    """Momentum in the ravine in plain Python: the first step from which on the loss stays within 0.01."""
    place, speed, last = [-8.0, 1.6], [0.0, 0.0], 0
    for step in range(1, 201):
        slopes = (0.1 * place[0], 2 * place[1])
        for i, g in enumerate(slopes):
            speed[i] = mu * speed[i] + g
            place[i] -= lr * (g + mu * speed[i] if nesterov else speed[i])
        if not 0.05 * place[0] ** 2 + place[1] ** 2 <= 0.01:
            last = step
    return last + 1


def test_tuned_momentum_is_three_times_as_fast_as_the_best_sgd_in_the_ravine(lesson):
    rates = [round(0.02 * k, 2) for k in range(1, 76)]
    best = {mu: min(steps_to_settle(lr, mu) for lr in rates) for mu in (0.0, 0.5, 0.9)}
    assert best == {0.0: 30, 0.5: 9, 0.9: 51}
    needed = lesson["needed"]
    assert [needed[name, "ravine"] for name in ("SGD", "momentum 0.5", "momentum 0.9")] == list(best.values())
    assert needed["Nesterov 0.7", "ravine"] == min(steps_to_settle(lr, 0.7, nesterov=True) for lr in rates)


def test_adams_rate_in_the_ravine_is_the_best_of_those_tried(lesson):
    rates = [round(0.02 * k, 2) for k in range(1, 76)]
    w, memory, last = torch.tensor([[-8.0, 1.6]], dtype=torch.float64).repeat(75, 1), {}, torch.zeros(75)
    for step in range(1, 201):  # all 75 learning rates side by side
        g = w * torch.tensor([0.1, 2.0])
        w = lesson["adam"](w, g, memory, torch.tensor(rates, dtype=torch.float64)[:, None])
        last[0.05 * w[:, 0] ** 2 + w[:, 1] ** 2 > 0.01] = step
    assert lesson["needed"]["Adam", "ravine"] == last.min() + 1


def test_zero_grad_may_stand_anywhere_but_between_backward_and_step(lesson):
    right = 3 * (1 - 0.8**20)
    assert list(lesson["ends"]) == ["first", "before backward", "after step", "before step"]
    assert list(lesson["ends"].values()) == pytest.approx([right, right, right, 0], abs=1e-5)


def test_a_gradient_of_none_stops_a_weight_and_a_gradient_of_zero_lets_it_roll(lesson):
    assert lesson["coasting"] == {True: pytest.approx(0.6), False: pytest.approx(0.6 + 0.9 * 0.6)}


def test_pytorchs_and_the_textbooks_momentum_differ_once_the_rate_changes(lesson):
    speed = [sum(0.9**i for i in range(k)) for k in range(1, 9)]  # of a gradient that is always 1
    steps, later = lesson["first_steps"], lesson["after_the_drop"]
    assert steps["PyTorch"] == pytest.approx([0.1 * v for v in speed[:5]])
    assert steps["textbook"] == pytest.approx(steps["PyTorch"])
    assert steps["averaging"] == pytest.approx([s * (1 - 0.9) for s in steps["PyTorch"]])
    assert later["PyTorch"] == pytest.approx([0.001 * v for v in speed[5:]])
    kept = steps["textbook"][-1]
    for step in later["textbook"]:
        kept = 0.9 * kept + 0.001
        assert step == pytest.approx(kept)


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
        "constant": [1.0] * 60,
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
    rate, best, waited = 1.0, math.inf, 0
    rates = lesson["schedules"]["ReduceLROnPlateau"]
    for loss, value in zip(lesson["losses"]["ReduceLROnPlateau"], rates, strict=True):
        assert value == pytest.approx(rate)
        waited = 0 if loss < best * (1 - 1e-4) else waited + 1
        best = min(best, loss) if waited == 0 else best
        if waited > 5:
            rate, waited = rate * 0.3, 0
    assert min(rates) < 1, "and fell"


def test_the_loss_under_each_schedule_follows_its_formula_and_falls_below_that_of_a_constant_rate(lesson):
    for name, rates in lesson["schedules"].items():
        square = 30.0**2  # expected square of the distance: the noise of size 1 adds the square of the rate
        for lr, loss in zip(rates, lesson["losses"][name], strict=True):
            assert loss == pytest.approx(0.15 * square, rel=0.2), name
            square = (1 - 0.3 * lr) ** 2 * square + lr**2
        if name != "constant":
            assert lesson["losses"][name][-1] < lesson["losses"]["constant"][-1] / 3, name


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
    x, labels = lesson["flat_images"].double().numpy(), lesson["train_labels"].numpy()
    truth, w, b = np.eye(10)[labels], np.zeros((3072, 10)), np.zeros(10)
    for step in range(20):
        logits = x @ w + b
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        assert lesson["curves"][0.01][step] == pytest.approx(-np.log(p[truth == 1]).mean(), abs=1e-4)
        w -= 0.01 * x.T @ (p - truth) / len(x)
        b -= 0.01 * (p - truth).mean(axis=0)


def test_the_network_learns(lesson):
    losses, accuracies = lesson["epoch_losses"], lesson["accuracies"]
    assert len(losses) == len(accuracies) == 4
    assert losses == sorted(losses, reverse=True) and losses[-1] < 2.0
    assert accuracies[-1] > 0.2, "ten classes: guessing gives 0.10"


def test_a_layer_that_came_after_the_optimizer_never_moves(lesson):
    assert lesson["moves"] == {"optimizer first": False, "layer first": True}


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
    defaults = {"SGD": 0.001, "Adagrad": 0.01, "RMSprop": 0.01, "Adadelta": 1.0, "Adam": 0.001, "AdamW": 0.001}
    for name, lr in defaults.items():
        assert inspect.signature(getattr(torch.optim, name)).parameters["lr"].default == lr
