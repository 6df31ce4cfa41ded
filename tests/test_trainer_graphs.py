"""Training in which each step is launched as a whole: on any device, the very steps of train.py."""

import pytest
import torch
from lessons import load_module, script_of
from torch import nn

from common.models import make_model
from trainer.graphs import GraphedEpochs, remember
from trainer.loader import MemoryLoader

train = load_module(script_of("Course19-TrainGPU"))
CPU = torch.device("cpu")


def pictures(count, augment):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,), generator=generator)
    return MemoryLoader(images, labels, 8, [0.5] * 3, [0.25] * 3, shuffle=True, augment=augment)


def fresh(name, momentum):
    torch.manual_seed(0)
    model = train.build_model(name, 10, CPU)
    optimizer = torch.optim.SGD(model.parameters(), 0.02, momentum=momentum, nesterov=momentum > 0)
    return model, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


@pytest.mark.parametrize(("name", "momentum", "augment"), [("cnn-classic", 0, False), ("cnn", 0.9, True)])
@pytest.mark.parametrize("count", [24, 27])  # the last step is as large as the others, or smaller
def test_the_epochs_are_those_of_the_plain_loop_to_the_last_bit(name, momentum, augment, count):
    loss_fn, loader = nn.CrossEntropyLoss(), pictures(count, augment)
    model, optimizer, scheduler = fresh(name, momentum)
    expected = []
    for epoch in (4, 9):
        loader.set_epoch(epoch)
        expected.append(train.train_one_epoch(model, loader, loss_fn, optimizer, scheduler))

    other, optimizer, _ = fresh(name, momentum)
    epochs = GraphedEpochs(other, pictures(count, augment), loss_fn, optimizer)
    for epoch, (loss, accuracy) in zip((4, 9), expected, strict=True):
        assert epochs.run(epoch) == (pytest.approx(loss, rel=1e-5), pytest.approx(accuracy))
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_what_was_remembered_comes_back_in_its_place_and_moments_that_are_new_begin_at_zero():
    """A graph knows places in memory, not names: a fresh tensor with the right numbers would not be seen by it."""
    model = make_model("lenet")
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    places = {name: value.data_ptr() for name, value in model.state_dict().items()}
    undo = remember(model, optimizer)
    model(torch.rand(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    undo()
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert {name: value.data_ptr() for name, value in model.state_dict().items()} == places
    assert all(not kept["momentum_buffer"].any() for kept in optimizer.state.values())
    assert all(parameter.grad is None for parameter in model.parameters())
