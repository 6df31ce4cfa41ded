"""Course 16: what learns and what does not, counted by hand and compared bit by bit."""

import pytest
import torch
from lessons import load_module, run_lesson
from torch import nn
from torchvision.models import resnet18, vgg16

from common.data import ants_bees
from common.models import count_parameters
from common.paths import REPOSITORY


def linear(inputs, outputs):
    return inputs * outputs + outputs


CLASSIFIER = linear(512 * 7 * 7, 4096) + linear(4096, 4096) + linear(4096, 1000)


def convolutions(*repeats):
    """Parameters of VGG's features, whose five blocks hold so many 3x3 convolutions each."""
    channels = [3]
    for width, repeat in zip((64, 128, 256, 512, 512), repeats, strict=True):
        channels += [width] * repeat
    return sum(9 * i * o + o for i, o in zip(channels[:-1], channels[1:], strict=True))


def test_vgg16_has_the_parameters_of_its_published_table(printed):
    features = convolutions(2, 2, 3, 3, 3)  # configuration D of the paper
    for count in (features, CLASSIFIER, features + CLASSIFIER):
        assert f" {count:,}\n" in printed


def test_vgg19_has_three_convolutions_more_and_the_same_classifier(lesson, printed):
    assert f"VGG19     16 convolutions + 3 linear, {convolutions(2, 2, 4, 4, 4) + CLASSIFIER:,} parameters" in printed
    assert lesson["layers"] == {"VGG16": (13, 3), "VGG19": (16, 3), "ResNet-18": (17, 1)}
    for name, counts in lesson["layers"].items():
        assert name.endswith(str(sum(counts)))
    sixth = lesson["large"]["VGG19"].classifier[6]
    assert (sixth.in_features, sixth.out_features) == (4096, 1000)


def test_the_pictures_are_smaller_than_those_that_the_weights_were_trained_with(lesson, printed):
    assert lesson["prepare"].crop_size == [224] and lesson["val_images"].shape[1:] == (3, 64, 64)
    assert "the trained weights know pictures of 224 pixels; ours have 64\n" in printed


def test_the_word_default_is_the_best_set_and_not_always_the_first(lesson, printed):
    default = lesson["ResNet18_Weights"].verify("DEFAULT")  # what resnet18(weights="DEFAULT") makes of the word
    assert default is lesson["ResNet18_Weights"].DEFAULT and f'weights="DEFAULT" means {default}\n' in printed
    best = max(lesson["ResNet50_Weights"], key=lambda w: w.meta["_metrics"]["ImageNet-1K"]["acc@1"])
    assert lesson["ResNet50_Weights"].DEFAULT is best is not lesson["ResNet50_Weights"].IMAGENET1K_V1


def test_the_picture_of_the_networks_says_the_parameters_that_they_have():
    drawing = load_module(REPOSITORY / "Course16-ModifyNN" / "drawing.py")
    with torch.device("meta"):
        vgg, resnet = vgg16(weights=None), resnet18(weights=None, num_classes=2)
    vgg.classifier[6] = nn.Linear(4096, 10, device="meta")
    cuts = (0, 5, 10, 17, 24, 31)
    parts = [vgg.features[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    parts += [vgg.classifier[i] for i in (0, 3, 6)]
    stem = nn.Sequential(resnet.conv1, resnet.bn1)
    others = [stem, resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4, resnet.avgpool, resnet.fc]
    for drawn, modules in ((drawing.VGG, parts), (drawing.RESNET, others)):
        for (name, _, text, *_), module in zip(drawn, modules, strict=True):
            number, _, unit = text.partition(" ")
            scale = {"": 1, "k": 1e3, "M": 1e6}[unit]
            error = abs(count_parameters(module) - float(number) * scale)
            assert error <= scale * (0.05 if "." in number else 0.5), name


def test_a_network_with_random_weights_gives_nearly_everything_the_same_answer(lesson):
    if lesson["trained_weights"] is None:
        assert lesson["share"] > 0.8


def test_the_replaced_vgg_is_vgg_with_ten_outputs_and_nothing_left_over(lesson):
    with torch.device("meta"):
        expected = vgg16(weights=None, num_classes=10)
    shapes = {name: value.shape for name, value in lesson["vgg"].state_dict().items()}
    assert shapes == {name: value.shape for name, value in expected.state_dict().items()}


def test_a_layer_added_to_the_network_is_not_used_and_one_added_to_the_classifier_is(printed):
    assert "added to the network:    (1, 1000) parameters 138,367,554" in printed
    assert "added to the classifier: (1, 10) parameters 138,367,554" in printed
    assert 138_357_544 + linear(1000, 10) == 138_367_554


def test_the_meta_network_holds_no_numbers(lesson):
    assert {p.device.type for p in lesson["vgg"].parameters()} == {"meta"}


def test_only_the_head_learned_in_section_7(lesson):
    before, after = lesson["frozen_before"], lesson["model"].state_dict()
    frozen = [name for name in before if not name.startswith(("layer4", "fc")) and "running" not in name]
    frozen = [name for name in frozen if not name.endswith("num_batches_tracked")]  # section 10 moves those
    assert len(frozen) > 40
    assert all(torch.equal(before[name], after[name]) for name in frozen), "the trunk never learns"
    line = next(line for line in run_lesson("Course16-ModifyNN").printed.splitlines() if "changed by training" in line)
    assert line.endswith("['fc.weight', 'fc.bias']")


def test_fine_tuning_moved_every_weight_of_the_last_block(lesson):
    before, after = lesson["frozen_before"], lesson["model"].state_dict()
    moved = [name for name, _ in lesson["model"].named_parameters() if name.startswith("layer4")]
    assert len(moved) == 15
    assert not any(torch.equal(before[name], after[name]) for name in moved)


def test_the_counts_of_learning_parameters_are_those_of_the_layers(printed):
    def block(inputs, outputs, shortcut):
        return 9 * inputs * outputs + 9 * outputs**2 + 4 * outputs + shortcut * (inputs * outputs + 2 * outputs)

    last = block(256, 512, True) + block(512, 512, False)
    assert f"parameters that learn {last + linear(512, 2):,}\n" in printed
    assert f"new head: parameters that learn {linear(512, 2):,} of 11,177,538" in printed
    assert sum(p.numel() for p in resnet18(num_classes=2).parameters()) == 11_177_538


def test_features_computed_once_are_those_of_each_picture_alone(lesson):
    """eval mode: whatever else is in the batch. The network is rebuilt as it was before anything was trained."""
    model = resnet18(weights=None, num_classes=2)
    model.load_state_dict(lesson["frozen_before"])
    model.fc = nn.Identity()
    model.eval()
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in lesson["val_images"][:5]])
    assert torch.allclose(alone, lesson["val_features"][:5], atol=1e-4)


def test_a_trained_head_knows_more_than_an_untrained_one(lesson):
    labels = torch.tensor(ants_bees("val").targets)
    right = {name: (logits.argmax(1) == labels).double().mean() for name, logits in lesson["answers"].items()}
    assert right["nothing trained"] < 0.62, "it can only guess"
    assert right["head trained"] > 0.62
    assert right["last block too"] > 0.62


def test_the_confusion_matrix_counts_every_picture_once(lesson):
    labels, guesses = lesson["val_labels"].tolist(), lesson["answers"]["last block too"].argmax(1).tolist()
    pairs = list(zip(labels, guesses, strict=True))
    expected = [[pairs.count((row, column)) for column in range(2)] for row in range(2)]
    assert lesson["confusion"].tolist() == expected


def test_the_pictures_have_the_mean_that_the_weights_ask_for(lesson):
    back = lesson["val_images"] * lesson["std"] + lesson["mean"]
    assert torch.allclose(back * 255, lesson["val_bytes"].float(), atol=1e-3)
    assert lesson["mean"].flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_weights_are_taken_only_where_their_file_lies_in_the_cache(lesson, tmp_path, monkeypatch, capsys):
    weights = lesson["ResNet18_Weights"].DEFAULT
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lesson["cached"](weights) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / weights.url.rsplit("/", 1)[1]).touch()
    assert lesson["cached"](weights) is weights
    assert "ResNet18: trained weights" in capsys.readouterr().out


def test_pretrained_true_did_not_touch_the_readers_own_cache(lesson):
    assert torch.hub.get_dir() == lesson["kept"]
    assert len(lesson["caught"]) == 2 and {w.category for w in lesson["caught"]} == {UserWarning}


def test_train_mode_moves_exactly_the_buffers_of_batch_norm(lesson):
    layers = {name for name, layer in lesson["model"].named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert {name.rpartition(".")[0] for name in lesson["changed"]} == layers
    assert set(lesson["changed"]) == {name for name, _ in lesson["model"].named_buffers()}


def test_what_train_mode_does_to_a_frozen_network_is_counted_by_its_answers(lesson):
    model, labels = lesson["model"].eval(), torch.tensor(ants_bees("val").targets)
    with torch.no_grad():
        now = (model(lesson["val_images"]).argmax(1) == labels).double().mean().item()
    assert lesson["after"] == pytest.approx(now) and lesson["after"] < lesson["before_drift"] - 0.1
