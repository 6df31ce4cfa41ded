"""The networks: their sizes and names are those of their papers and videos."""

import pytest
import torch

from common import UserError
from common.models import MODELS, ClassicCNN, count_parameters, make_model


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


def test_the_classic_network_has_the_state_dict_names_of_the_videos():
    names = [f"model.{i}.{kind}" for i in (0, 2, 4, 7, 8) for kind in ("weight", "bias")]
    assert list(ClassicCNN().state_dict()) == names


def test_an_unknown_model_is_refused_with_the_list_of_known_ones():
    with pytest.raises(UserError, match="'vgg'.*cnn, cnn-classic, lenet, resnet18"):
        make_model("vgg")
