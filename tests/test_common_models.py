"""The networks: their sizes and names are those of their papers and videos."""

import pytest
import torch

from common import UserError
from common.models import IMAGE_SIZES, MODELS, BasicBlock, ClassicCNN, count_parameters, make_model


@pytest.mark.parametrize("name", MODELS)
def test_every_model_turns_pictures_into_logits(name):
    model = make_model(name, 7)
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_the_models_have_the_sizes_that_their_papers_and_videos_give():
    conv = [32 * (3 * 25 + 1), 32 * (32 * 25 + 1), 64 * (32 * 25 + 1)]
    linear = [64 * (1024 + 1), 10 * (64 + 1)]
    assert count_parameters(make_model("cnn-classic")) == sum(conv + linear) == 145_578
    assert count_parameters(make_model("cnn")) == sum(conv + linear) + 128, "BatchNorm has two, a bias is one"
    lenet = [6 * (3 * 25 + 1), 16 * (6 * 25 + 1), 120 * (400 + 1), 84 * (120 + 1), 10 * (84 + 1)]
    assert count_parameters(make_model("lenet")) == sum(lenet)
    assert make_model("resnet18").conv1.stride == (1, 1)
    stages = [[(16, 16)] * 6, [(16, 32)] + [(32, 32)] * 5, [(32, 64)] + [(64, 64)] * 5]  # shortcuts have no weights
    channels = [(3, 16), *sum(stages, [])]
    resnet20 = sum(9 * a * b + 2 * b for a, b in channels) + 10 * (64 + 1)
    assert count_parameters(make_model("resnet20")) == resnet20 == 269_722, "0.27 million, says the paper"


@pytest.mark.parametrize("size", [33, 64])
def test_resnet20_takes_pictures_of_any_size(size):
    assert make_model("resnet20")(torch.rand(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize("name", IMAGE_SIZES)
def test_a_single_picture_of_the_least_size_can_be_trained_on(name):
    """BatchNorm refuses a batch that gives it one number for each channel."""
    least, usual, most = IMAGE_SIZES[name]
    assert make_model(name).train()(torch.rand(1, 3, least, least)).shape == (1, 10)
    assert least <= usual <= most


def test_a_block_whose_convolutions_give_nothing_is_its_shortcut():
    block = BasicBlock(2, 4, stride=2).eval()
    torch.nn.init.zeros_(block.bn2.weight)
    x = torch.rand(1, 2, 6, 6)
    out = block(x)
    assert torch.equal(out[:, :2], x[:, :, ::2, ::2])
    assert out.shape == (1, 4, 3, 3) and not out[:, 2:].any()


def test_the_classic_network_has_the_state_dict_names_of_the_videos():
    names = [f"model.{i}.{kind}" for i in (0, 2, 4, 7, 8) for kind in ("weight", "bias")]
    assert list(ClassicCNN().state_dict()) == names


def test_an_unknown_model_is_refused_with_the_list_of_known_ones():
    with pytest.raises(UserError, match="'vgg'.*cnn, cnn-classic, lenet, resnet18, resnet20, resnet18-224"):
        make_model("vgg")
