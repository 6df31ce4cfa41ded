"""Course 16: what learns and what does not, counted by hand and compared bit by bit; and what transfer gains."""

import json
import re
from statistics import mean

import pytest
import torch
from lessons import alike, load_module
from torch import nn
from torchvision.models import resnet18, vgg16

from common.data import in_memory, open_data
from common.models import count_parameters, make_model
from common.paths import REPOSITORY
from common.pretrained import load_course_network

FOLDER = REPOSITORY / "Course16-ModifyNN"
HEAD = {"fc.weight", "fc.bias"}


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


def test_imagenets_weights_know_larger_pictures_than_those_that_the_lesson_gives_them(lesson, printed):
    assert lesson["prepare"].crop_size == [224] and lesson["val_images"].shape[1:] == (3, 64, 64)
    assert "its weights know pictures of 224 pixels, mean" in printed


def test_the_word_default_is_the_best_set_and_not_always_the_first(lesson, printed):
    default = lesson["ResNet18_Weights"].verify("DEFAULT")  # what resnet18(weights="DEFAULT") makes of the word
    assert default is lesson["ResNet18_Weights"].DEFAULT and f'weights="DEFAULT" means {default}\n' in printed
    best = max(lesson["ResNet50_Weights"], key=lambda w: w.meta["_metrics"]["ImageNet-1K"]["acc@1"])
    assert lesson["ResNet50_Weights"].DEFAULT is best is not lesson["ResNet50_Weights"].IMAGENET1K_V1


def test_the_pictures_of_the_networks_say_the_parameters_that_they_have():
    drawing = load_module(FOLDER / "drawing.py")
    with torch.device("meta"):
        vgg, resnet = vgg16(weights=None), make_model("resnet20")
    vgg.classifier[6] = nn.Linear(4096, 10, device="meta")
    cuts = (0, 5, 10, 17, 24, 31)
    parts = [vgg.features[a:b] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
    parts += [vgg.classifier[i] for i in (0, 3, 6)]
    others = [resnet.stem, *resnet.stages, nn.Identity(), resnet.fc]
    for drawn, modules in ((drawing.VGG, parts), (drawing.RESNET, others)):
        for (name, _, text, *_), module in zip(drawn, modules, strict=True):
            number, _, unit = text.partition(" ")
            scale = {"": 1, "k": 1e3, "M": 1e6}[unit]
            error = abs(count_parameters(module) - float(number) * scale)
            assert error <= scale * (0.05 if "." in number else 0.5), name


def test_the_pictures_of_the_networks_say_what_comes_out_of_each_part():
    drawing = load_module(FOLDER / "drawing.py")
    model = make_model("resnet20").eval()
    shapes, x = [], torch.zeros(1, 3, 32, 32)
    for part in (model.stem, *model.stages):
        x = part(x)
        shapes.append("×".join(map(str, x.shape[1:])))
    assert [row[1] for row in drawing.RESNET] == [*shapes, str(x.shape[1]), str(model.fc.out_features)]


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


# ---- What is learned, and what stays ---------------------------------------------------------------------------------


def test_the_lesson_learns_from_drawings_also_where_the_real_cifar10_is(lesson):
    images, labels = in_memory(open_data("drawn", "train"))
    assert torch.equal(lesson["all_bytes"], images) and torch.equal(lesson["all_labels"], labels)


def test_ten_drawings_of_each_class_are_learned_and_twenty_others_of_each_are_the_test(lesson):
    assert lesson["train_labels"].bincount().tolist() == [10] * 10
    assert lesson["test_labels"].bincount().tolist() == [20] * 10
    for labels, count in ((lesson["all_labels"], 7), (torch.arange(10).repeat(5), 5)):
        chosen = lesson["some_of_each"](labels, count, seed=3)
        assert labels[chosen].bincount().tolist() == [count] * 10 and len(chosen.unique()) == len(chosen)
        assert torch.equal(chosen, lesson["some_of_each"](labels, count, seed=3))
        assert not torch.equal(chosen, lesson["some_of_each"](labels, count, seed=4))


def test_the_drawings_are_normalised_as_the_photographs_were_that_the_network_learned_from(lesson):
    trained = load_course_network().trained
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (trained.mean, trained.std))
    assert torch.allclose((lesson["test_images"] * std + mean) * 255, lesson["test_bytes"].float(), atol=1e-3)


def test_the_frozen_part_is_the_file_bit_by_bit_after_the_head_has_learned(lesson, printed):
    """With the running statistics of BatchNorm. `before` was copied after all that the lesson does in eval mode."""
    file, after = load_course_network().trained.model.state_dict(), lesson["before"]
    assert file.keys() == after.keys() and len(file) > 100
    assert {name for name in file if not torch.equal(file[name], after[name])} == HEAD
    assert "changed by training: ['fc.weight', 'fc.bias']\n" in printed


def test_fine_tuning_moved_every_parameter_and_every_buffer(lesson):
    before, after = lesson["frozen_before"], lesson["fine_tuned"].state_dict()
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_the_counts_of_learning_parameters_are_those_of_the_layers(printed):
    def block(inputs, outputs):
        return 9 * inputs * outputs + 9 * outputs**2 + 4 * outputs  # the shortcut has none

    stem = 9 * 3 * 16 + 2 * 16
    stages = [block(i, o) + 2 * block(o, o) for i, o in ((16, 16), (16, 32), (32, 64))]
    everything = stem + sum(stages) + linear(64, 10)
    assert f"new head: parameters that learn {linear(64, 10):,} of {everything:,}\n" in printed
    assert f"thawed: parameters that learn {everything:,}\n" in printed
    assert f"parameters that learn {linear(512, 2):,} of 11,177,538\n" in printed
    assert sum(p.numel() for p in resnet18(num_classes=2).parameters()) == 11_177_538


def test_features_computed_once_are_those_of_each_picture_alone_and_the_head_makes_them_answers(lesson):
    """eval mode: whatever else is in the batch."""
    model = load_course_network().trained.model
    model.fc = nn.Identity()
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in lesson["test_images"][:5]])
    assert torch.allclose(alone, lesson["test_features"][:5], atol=1e-4)
    model = load_course_network().trained.model
    with torch.no_grad():
        answers = model.fc(lesson["test_features"])
    assert torch.allclose(answers, lesson["answers"]["nothing, trained weights"], atol=1e-3)


def test_train_mode_moves_exactly_the_buffers_of_batch_norm(lesson):
    model = lesson["model"]
    layers = {name for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    assert {name.rpartition(".")[0] for name in lesson["changed"]} == layers
    assert set(lesson["changed"]) == {name for name, _ in model.named_buffers()}


def test_what_train_mode_does_to_a_frozen_network_is_counted_by_its_answers(lesson):
    model = lesson["model"].eval()
    with torch.no_grad():
        now = (model(lesson["test_images"]).argmax(1) == lesson["test_labels"]).double().mean().item()
    assert lesson["after"] == pytest.approx(now) and lesson["after"] < lesson["before_drift"] - 0.08


# ---- What transfer gains ---------------------------------------------------------------------------------------------


def right(lesson, name):
    return (lesson["answers"][name].argmax(1) == lesson["test_labels"]).double().mean().item()


def test_a_head_on_trained_weights_finds_far_more_than_one_on_random_weights(lesson):
    assert right(lesson, "head, on trained weights") > right(lesson, "head, on random weights") + 0.25


def test_a_new_head_finds_more_drawings_than_the_one_for_photographs(lesson):
    assert right(lesson, "head, on trained weights") > right(lesson, "nothing, trained weights") + 0.05
    assert right(lesson, "nothing, random weights") < 0.2, "it can only guess"


def test_from_scratch_on_few_drawings_is_far_worse_than_with_trained_weights(lesson):
    scratch = right(lesson, "everything, from random weights")
    assert scratch < right(lesson, "head, on trained weights") - 0.1
    assert scratch < right(lesson, "everything, from trained weights") - 0.15


def test_the_confusion_matrix_counts_every_picture_once(lesson):
    labels = lesson["test_labels"].tolist()
    guesses = lesson["answers"]["head, on trained weights"].argmax(1).tolist()
    pairs = list(zip(labels, guesses, strict=True))
    expected = [[pairs.count((row, column)) for column in range(10)] for row in range(10)]
    assert lesson["confusion"].tolist() == expected


def test_weights_are_taken_only_where_their_file_lies_in_the_cache(lesson, tmp_path, monkeypatch, capsys):
    weights = lesson["ResNet18_Weights"].DEFAULT
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert lesson["cached"](weights) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / weights.url.rsplit("/", 1)[1]).touch()
    assert lesson["cached"](weights) is weights
    assert "ResNet18: trained weights" in capsys.readouterr().out


def test_the_insects_have_the_mean_that_imagenets_weights_ask_for(lesson):
    back = lesson["val_images"] * lesson["imagenet_std"] + lesson["imagenet_mean"]
    expected, _ = in_memory(lesson["more_insects"], 64)
    assert torch.allclose(back * 255, expected.float(), atol=1e-3)
    assert lesson["imagenet_mean"].flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_pretrained_true_did_not_touch_the_readers_own_cache(lesson):
    assert torch.hub.get_dir() == lesson["kept"]
    assert len(lesson["caught"]) == 2 and {w.category for w in lesson["caught"]} == {UserWarning}


# ---- transfer_helps.py, and what it measured -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program():
    return load_module(FOLDER / "transfer_helps.py")


@pytest.fixture
def measured():
    return json.loads((FOLDER / "measured" / "transfer.json").read_text(encoding="utf-8"))


def test_each_way_trains_what_it_says_and_leaves_the_rest_bit_by_bit(program):
    images, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 0, 1])
    file = load_course_network().trained.model.state_dict()
    for way in program.WAYS:
        torch.manual_seed(0)
        random = make_model("resnet20", 2).state_dict()  # the same random numbers as learn() takes for its own
        torch.manual_seed(0)
        model = program.learn(way, images, labels, epochs=5)
        start = file if way in (program.FINE_TUNED, program.FROZEN) else random
        moved = {name for name, value in model.state_dict().items() if name not in HEAD}
        moved = {name for name in moved if not torch.equal(model.state_dict()[name], start[name])}
        assert moved == (set() if way.startswith("head on") else set(start) - HEAD), way
        assert not model.training and model.fc.out_features == 2, way


def test_every_way_was_measured_with_each_count_and_five_seeds(program, measured):
    for file, counts in ((measured, program.COUNTS[False]), (measured_insects(), program.COUNTS[True])):
        rows = [
            (way, int(count), len(seeds)) for way, row in file["accuracies"].items() for count, seeds in row.items()
        ]
        assert rows == [(way, count, 5) for way in program.WAYS for count in counts]


def test_an_accuracy_that_was_measured_is_a_whole_number_of_pictures(measured):
    for file in (measured, measured_insects()):
        for row in file["accuracies"].values():
            for share in (share for seeds in row.values() for share in seeds):
                hits = round(share * file["test pictures"])
                assert share == round(hits / file["test pictures"], 4)


def test_trained_weights_gain_less_with_more_pictures_and_frozen_ones_lose_in_the_end(program, measured):
    fine, frozen, scratch, random = (
        {int(count): mean(seeds) for count, seeds in measured["accuracies"][way].items()} for way in program.WAYS
    )
    gain, frozen_gain = ({n: shares[n] - scratch[n] for n in shares} for shares in (fine, frozen))
    assert frozen_gain[10] > 0.25 and frozen[10] > random[10] + 0.25
    assert max(gain, key=gain.get) == 30 and gain[30] > gain[100] > gain[300] + 0.1 > 0.1
    assert frozen_gain[30] > frozen_gain[100] + 0.1 > frozen_gain[300] + 0.2 and frozen_gain[300] < 0
    assert fine[1] < frozen[1] - 0.05 and fine[3] < frozen[3] - 0.05, "everything learns too much from so few"
    assert fine[100] > frozen[100] + 0.1


def test_the_points_that_the_notes_name_are_what_was_measured(program, measured):
    def gain(way, count):
        return round(
            100 * (mean(measured["accuracies"][way][count]) - mean(measured["accuracies"]["from scratch"][count]))
        )

    assert f"fine-tuning gains most, {gain(program.FINE_TUNED, '30')} points" in notes()
    assert f"- 300: {gain(program.FINE_TUNED, '300')} points are left." in notes()
    head, scratch = (mean(measured["accuracies"][way]["10"]) for way in (program.FROZEN, program.SCRATCH))
    assert f"finds {100 * head:.0f} %, training from scratch {100 * scratch:.0f} %" in " ".join(notes().split())


def test_the_lesson_prints_the_means_that_were_measured(program, measured, printed):
    for way in program.WAYS:
        means = [100 * mean(seeds) for seeds in measured["accuracies"][way].values()]
        (line,) = re.findall(rf"^{way} .*%$", printed, re.MULTILINE)
        assert [int(number) for number in re.findall(r"(\d+)%", line)] == pytest.approx(means, abs=0.5001)


def test_the_table_of_ants_and_bees_in_the_notes_is_what_was_measured(program):
    accuracies = measured_insects()["accuracies"]
    rows = re.findall(r"^\| (\d+) \| (\d+) % \| (\d+) % \| (\d+) % \| (\d+) % \|$", notes(), re.MULTILINE)
    assert [count for count, *_ in rows] == list(accuracies[program.FROZEN])
    for count, *shares in rows:
        expected = [100 * mean(accuracies[way][count]) for way in program.WAYS]
        assert [int(share) for share in shares] == pytest.approx(expected, abs=0.5001), count


def test_the_picture_in_the_notes_is_what_the_program_draws_of_the_measurements(program, measured, tmp_path):
    program.save_figure(program.draw(measured), tmp_path / "transfer.png")
    kept = FOLDER / "measured" / "transfer.png"
    assert alike(kept, tmp_path / "transfer.png", pixels=0.01)
    for way in program.WAYS:
        measured["accuracies"][way] = {count: [0.5] * 5 for count in measured["accuracies"][way]}
    program.save_figure(program.draw(measured), tmp_path / "wrong.png")
    assert not alike(kept, tmp_path / "wrong.png", pixels=0.01), "the comparison must see other lines"


def test_a_line_is_the_mean_of_the_seeds_in_a_band_from_the_worst_to_the_best(program, measured):
    above, below = program.draw(measured).axes
    for way, line, band in zip(program.WAYS, above.lines, above.collections, strict=True):
        rows = [[100 * share for share in seeds] for seeds in measured["accuracies"][way].values()]
        assert line.get_ydata() == pytest.approx([mean(row) for row in rows])
        edges = {round(y, 6) for _, y in band.get_paths()[0].vertices}
        assert edges == {round(edge, 6) for row in rows for edge in (min(row), max(row))}
    scratch = measured["accuracies"][program.SCRATCH]
    for way, line in zip((program.FINE_TUNED, program.FROZEN), below.lines, strict=False):
        gains = [100 * (mean(seeds) - mean(scratch[n])) for n, seeds in measured["accuracies"][way].items()]
        assert line.get_ydata() == pytest.approx(gains)


def notes():
    return (FOLDER / "notes.md").read_text(encoding="utf-8")


def measured_insects():
    return json.loads((FOLDER / "measured" / "transfer-ants-bees-32.json").read_text(encoding="utf-8"))


def test_a_quick_measurement_prints_a_row_for_each_way_keeps_each_seed_and_draws_them(program, course_home, capfd):
    assert program.main(["--quick", "--seeds", "2", "--counts", "3", "--ants-bees"]) == 0
    rows = re.findall(r"^ +(\d+)  (.+?)  +\d+\.\d%", capfd.readouterr().out, re.MULTILINE)
    assert rows == [("3", way) for way in program.WAYS]
    file = course_home / "outputs" / "Course16-ModifyNN" / "transfer-ants-bees-32-quick.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert {way: [len(seeds) for seeds in row.values()] for way, row in kept["accuracies"].items()} == {
        way: [2] for way in program.WAYS
    }
    assert kept["versions"]["torch"] == torch.__version__ and kept["test pictures"] == 80
    assert file.with_suffix(".png").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seeds", "0"], "'0' is no whole number of at least 1"),
        (["--image-size", "64"], "the drawings have 32 pixels: use --image-size with --ants-bees"),
        (["--counts", "7"], "invalid choice: 7"),
        (["--counts", "120", "--ants-bees"], "there are 60 pictures of a class, not 120: choose smaller --counts"),
        (["--wrong"], "unrecognized arguments: --wrong"),
    ],
)
def test_a_wrong_option_of_the_measurement_gets_one_line_and_exit_code_2(program, options, said, capfd):
    assert program.main(options) == 2
    told = capfd.readouterr().err
    assert told.startswith("transfer_helps.py: ") and said in told and told.count("\n") == 1
