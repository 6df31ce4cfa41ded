"""Course 18: what the flat loop measured, measured again in another way."""

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.data import MemoryLoader, in_memory, open_data
from common.models import CifarCNN
from common.paths import home

LESSON = "Course18-ModelTrainProcess"


def accuracy_of_checkpoint(epoch):
    model = CifarCNN(10)
    model.load_state_dict(torch.load(home() / f"checkpoints/{LESSON}/epoch_{epoch}.pt", weights_only=True))
    model.eval()
    loader = MemoryLoader(*in_memory(open_data("drawn", "test")), 500, [0.0] * 3, [1.0] * 3)
    with torch.no_grad():
        return sum((model(images).argmax(dim=1) == labels).sum().item() for images, labels in loader) / 2000


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_each_epochs_checkpoint_has_the_accuracy_that_was_printed(lesson, epoch):
    assert accuracy_of_checkpoint(epoch) == pytest.approx(lesson["history"]["test accuracy"][epoch - 1], abs=0.002)


def test_the_network_learns(lesson):
    losses, accuracies = lesson["history"]["train loss"], lesson["history"]["train accuracy"]
    assert losses[0] > losses[1] > losses[2] and losses[2] < 1.4
    assert accuracies[2] > 0.45, "ten classes: guessing gives 0.10"


def test_an_untrained_network_has_the_loss_of_guessing(lesson):
    assert lesson["first_loss"] == pytest.approx(torch.tensor(10.0).log().item(), abs=0.15)


def test_every_curve_is_in_tensorboard(lesson):
    log = EventAccumulator(str(home() / "logs" / LESSON))
    log.Reload()
    for name, values in lesson["history"].items():
        split, measure = name.split()
        assert [event.value for event in log.Scalars(f"{measure}/{split}")] == pytest.approx(values)


def test_without_zero_grad_gradients_add_up(lesson):
    assert [norm / lesson["norms"][0] for norm in lesson["norms"]] == pytest.approx([1, 2, 3, 4], rel=1e-3)


def test_without_eval_the_answer_depends_on_the_neighbours(lesson):
    assert not lesson["same"]


def test_the_training_loader_shuffles_and_the_test_loader_does_not(lesson):
    first = [next(iter(lesson["train_loader"]))[1].tolist() for _ in range(2)]
    assert first[0] != first[1]
    assert next(iter(lesson["test_loader"]))[1].tolist() == lesson["test_set"].targets[:64]
