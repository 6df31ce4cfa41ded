"""Course 19, two ways to a GPU: what the flat script claims, checked by other means, and its page against its run."""

import pytest
import torch
from lessons import blocks, cells, is_printed, links, run_script, sections
from torch import nn

from common.models import CifarCNN
from common.paths import REPOSITORY

SCRIPT = REPOSITORY / "Course19-TrainGPU" / "two_ways.py"
PAGE = SCRIPT.with_suffix(".md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run():
    """The variables that the script left behind, and what it printed."""
    done = run_script(SCRIPT)
    return done.names, done.printed


def losses_on_the_cpu(pictures, answers):
    """The ten losses of the script's loop, with the step of plain SGD written out."""
    torch.manual_seed(19)
    model, losses = CifarCNN(10), []
    for images, labels in zip(pictures.split(64), answers.split(64), strict=True):
        loss = nn.functional.cross_entropy(model(images), labels)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for weights, gradient in zip(model.parameters(), gradients, strict=True):
                weights -= 0.1 * gradient
        losses.append(loss.item())
    return losses


def test_both_ways_train_as_a_loop_that_knows_no_device(run):
    names, _ = run
    right = losses_on_the_cpu(names["pictures"], names["answers"])
    assert names["first_way"] == pytest.approx(right, rel=1e-2)
    assert names["second_way"] == pytest.approx(right, rel=1e-2)


def test_a_module_moves_in_place_and_a_tensor_does_not(run):
    _, printed = run
    module, tensor = nn.Linear(2, 1), torch.zeros(2)
    assert module.to("meta") is module and module.weight.device.type == "meta"
    assert tensor.to("meta") is not tensor and tensor.device.type == "cpu"
    assert [line.split(": ")[1] for line in printed.splitlines() if "after .to" in line] == [
        "torch.float64",
        "torch.float32",
        "torch.float64",
    ]


def test_only_a_loss_with_class_weights_has_a_tensor_to_move(run):
    names, _ = run
    assert list(names["plain"].state_dict()) == [] and list(names["weighted"].state_dict()) == ["weight"]
    moved = nn.CrossEntropyLoss(weight=torch.ones(10)).to("meta")
    assert moved.weight.device.type == "meta"


def test_the_second_gpu_is_named_without_one(run):
    names, _ = run
    assert names["second_gpu"] == torch.device("cuda", 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_script_says_so_and_cuda_alone_fails(run):
    _, printed = run
    assert "no GPU here: everything below runs on the CPU" in printed
    with pytest.raises((AssertionError, RuntimeError)):
        nn.Linear(2, 1).cuda()


def test_the_page_has_the_cells_of_the_script_and_is_short():
    assert sections(PAGE) == cells(SCRIPT.read_text(encoding="utf-8"))
    assert len(PAGE.split()) < 700


@pytest.mark.skipif(torch.cuda.is_available(), reason="the page shows a run without a GPU")
def test_the_page_quotes_what_is_printed(run):
    _, printed = run
    for _, text in blocks(PAGE, "text"):
        assert is_printed(text, printed), text


def test_the_page_quotes_the_script_and_its_links_lead_somewhere():
    script = " ".join(SCRIPT.read_text(encoding="utf-8").split())
    for _, text in blocks(PAGE, "python"):
        assert " ".join(text.split()) in script, text
    assert all((SCRIPT.parent / target).exists() for target in links(PAGE))
