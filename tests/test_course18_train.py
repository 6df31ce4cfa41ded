"""Course 18: what the flat loop measured, measured again in another way."""

import contextlib
import copy
import os
import re
import subprocess
import sys

import pytest
import torch
from lessons import script_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.optim.swa_utils import update_bn

from common.data import in_memory, open_data
from common.models import CifarCNN
from common.paths import home

LESSON = "Course18-ModelTrainProcess"


def accuracy_on_drawn_tests(model):
    images, labels = in_memory(open_data("drawn", "test"))
    with torch.no_grad():
        guesses = torch.cat([model(batch / 255).argmax(dim=1) for batch in images.split(500)])
    return (guesses == labels).float().mean().item()


def saved_model(epoch):
    model = CifarCNN(10)
    model.load_state_dict(torch.load(home() / f"checkpoints/{LESSON}/epoch_{epoch}.pt", weights_only=True))
    return model.eval()


def logged(tag):
    log = EventAccumulator(str(home() / "logs" / LESSON))
    log.Reload()
    return [(event.step, event.value) for event in log.Scalars(tag)]


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_each_epochs_checkpoint_has_the_accuracy_that_was_printed(lesson, printed, epoch):
    accuracy = accuracy_on_drawn_tests(saved_model(epoch))
    assert accuracy == pytest.approx(lesson["history"]["test accuracy"][epoch - 1], abs=0.002)
    line = re.search(rf"^epoch {epoch} test  loss \d\.\d\d, accuracy (\d+)%$", printed, re.MULTILINE)
    assert int(line[1]) == pytest.approx(100 * accuracy, abs=0.7)


def test_the_network_learns(lesson):
    losses, accuracies = lesson["history"]["train loss"], lesson["history"]["train accuracy"]
    assert losses[0] > losses[1] > losses[2] and losses[2] < 1.4
    assert accuracies[2] > 0.45, "ten classes: guessing gives 0.10"


def test_an_untrained_network_has_the_loss_of_guessing(lesson):
    assert lesson["first_loss"] == pytest.approx(torch.tensor(10.0).log().item(), abs=0.15)


def test_every_curve_is_in_tensorboard_with_a_point_per_epoch(lesson):
    for name, values in lesson["history"].items():
        split, measure = name.split()
        points = logged(f"{measure}/{split}")
        assert [step for step, _ in points] == [1, 2, 3]
        assert [value for _, value in points] == pytest.approx(values)


def test_the_loss_of_every_hundredth_step_is_in_tensorboard(lesson):
    points = logged("loss/every 100 steps")
    assert lesson["step"] == 3 * 157 and [step for step, _ in points] == [100, 200, 300, 400]
    assert points[-1][1] == pytest.approx(lesson["history"]["train loss"][2], rel=0.5), "one batch of the third epoch"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_on_a_terminal_a_bar_shows_epoch_total_loss_and_accuracy(tmp_path):
    import pty
    import termios

    (tmp_path / "data").symlink_to(home() / "data")  # drawn already
    place = os.environ | {"COURSE_HOME": str(tmp_path)}
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    child = subprocess.Popen([sys.executable, script_of(LESSON)], stdout=subprocess.DEVNULL, stderr=end, env=place)
    os.close(end)
    seen = ""
    with contextlib.suppress(OSError):  # the terminal is closed when the program ends
        while not (bar := re.search(r"epoch 1/3: .*\| +[1-9]\d*/157 \[.*accuracy=\d+%, loss=\d\.\d\d\]", seen)):
            seen += os.read(terminal, 4096).decode(errors="ignore")
    child.kill()
    child.wait()
    os.close(terminal)
    assert bar, seen


def test_the_drawn_mistakes_are_the_six_wrong_answers_with_the_largest_shares(lesson):
    model, (images, labels) = saved_model(3), in_memory(open_data("drawn", "test"))
    with torch.no_grad():
        shares = torch.cat([model(batch / 255).softmax(dim=1) for batch in images.split(500)])
    worst = lesson["worst"]
    assert len(worst) == 6 and all(shares[i].argmax() != labels[i] for i in worst)
    of_wrong_answers = torch.where(shares.argmax(dim=1) == labels, 0.0, shares.amax(dim=1))
    assert shares[worst].amax(dim=1).tolist() == pytest.approx(of_wrong_answers.topk(6).values.tolist(), abs=1e-3)


def test_with_few_pictures_the_training_loss_vanishes_and_the_test_accuracy_stops_far_below(lesson):
    few, new = lesson["few"], lesson["new"]
    assert few["accuracy"][-1] > 0.98 and few["loss"][-1] < 0.1
    assert len(new["accuracy"]) == 30 and new["accuracy"][-1] < 0.5
    assert sum(new["accuracy"][-5:]) / 5 - sum(new["accuracy"][-10:-5]) / 5 < 0.04, "it no longer rises"
    assert new["loss"][-1] > 1.05 * min(new["loss"]) and new["loss"].index(min(new["loss"])) < 20
    learned, unseen = ({image.numpy().tobytes() for image in lesson[f"{which}_images"]} for which in ("few", "new"))
    assert (len(learned), len(unseen)) == (250, 500) and not learned & unseen


def test_collecting_batchnorms_statistics_again_takes_the_jumps_away(lesson):
    jumping, fresh = lesson["history"]["test accuracy"], lesson["fresh"]
    assert fresh[0] < fresh[1] < fresh[2], "with the statistics of the weights that are measured, it rises"
    assert all(after > before - 0.01 for before, after in zip(jumping, fresh, strict=True))
    assert sum(fresh) - sum(jumping) > 0.05


def test_only_the_running_statistics_were_changed_and_as_pytorch_does_it(lesson):
    model, saved = lesson["model"], saved_model(3)
    for (name, ours), theirs in zip(model.named_parameters(), saved.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    update_bn(lesson["images"].split(64), saved)
    for (name, ours), theirs in zip(model.named_buffers(), saved.buffers(), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-4), name
    assert accuracy_on_drawn_tests(saved.eval()) == pytest.approx(lesson["fresh"][2], abs=0.005)


def test_without_zero_grad_gradients_add_up(lesson):
    assert [norm / lesson["norms"][0] for norm in lesson["norms"]] == pytest.approx([1, 2, 3, 4], rel=1e-3)


@pytest.mark.parametrize(
    ("order", "right"),
    [
        ("zero forward backward step", True),
        ("forward zero backward step", True),
        ("forward backward step zero", True),
        ("forward backward zero step", False),
    ],
)
def test_zero_grad_may_stand_anywhere_between_a_step_and_the_next_backward(order, right):
    torch.manual_seed(0)
    start = nn.Linear(4, 3)
    batches = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(5)]
    by_hand = copy.deepcopy(start)  # w <- w - lr * gradient, the gradient of this batch alone
    for images, labels in batches:
        loss = nn.functional.cross_entropy(by_hand(images), labels)
        gradients = torch.autograd.grad(loss, list(by_hand.parameters()))
        with torch.no_grad():
            for weights, gradient in zip(by_hand.parameters(), gradients, strict=True):
                weights -= 0.1 * gradient

    model = copy.deepcopy(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        for what in order.split():
            match what:
                case "zero":
                    optimizer.zero_grad()
                case "forward":
                    loss = nn.functional.cross_entropy(model(images), labels)
                case "backward":
                    loss.backward()
                case "step":
                    optimizer.step()
    assert torch.allclose(model.weight, by_hand.weight, atol=1e-6) == right
    assert torch.equal(model.weight, start.weight) == (not right), "no gradient was left, so nothing moved"
    if not right:
        assert model.weight.grad is None


def test_without_eval_the_answer_depends_on_the_neighbours(printed, lesson):
    assert not lesson["same"]
    assert "with eval:    same answer whatever else is in the batch: True" in printed


def test_the_training_loader_shuffles_and_the_test_loader_does_not(lesson):
    first = [next(iter(lesson["train_loader"]))[1].tolist() for _ in range(2)]
    assert first[0] != first[1]
    assert next(iter(lesson["test_loader"]))[1].tolist() == lesson["test_set"].targets[:64]
