"""Course 06: what a module registers, and each family of layers against its formula."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn


def test_the_gradients_of_the_line_are_finite_differences(lesson):
    line, x, h = lesson["line"], torch.tensor(3.0), 1e-2
    for parameter in line.parameters():
        with torch.no_grad():
            parameter += h
            above = line(x).item()
            parameter -= 2 * h
            below = line(x).item()
            parameter += h
        assert parameter.grad.item() == pytest.approx((above - below) / (2 * h), rel=1e-3)


def test_the_network_is_two_matrix_products_with_a_relu_between(lesson):
    state = {name: value.detach().double().numpy() for name, value in lesson["model"].state_dict().items()}
    images = lesson["batch"].double().numpy().reshape(64, -1)
    hidden = np.maximum(images @ state["first.weight"].T + state["first.bias"], 0)
    expected = hidden @ state["second.weight"].T + state["second.bias"]
    logits = lesson["model"].eval()(lesson["batch"]).detach().numpy()
    assert np.allclose(logits, expected, atol=1e-4)


def test_the_printed_parameter_count_is_the_size_of_all_arrays(lesson, printed):
    sizes = [math.prod(value.shape) for value in lesson["model"].state_dict().values()]
    assert f"\nnumbers that training can change: {sum(sizes)}\n" in printed
    assert sum(sizes) == (3072 + 1) * 64 + (64 + 1) * 10


def test_a_module_with_one_hidden_layer_more_has_the_parameters_that_the_notes_ask_for():
    layers = nn.Sequential(nn.Linear(3072, 64), nn.Linear(64, 32), nn.Linear(32, 10))
    assert sum(parameter.numel() for parameter in layers.parameters()) == 199_082


def test_accuracy_is_the_share_of_the_given_pictures_that_are_right(lesson):
    images, labels = lesson["train_images"][:300], lesson["train_labels"][:300]
    answers = [int(row.argmax()) for row in lesson["model"].eval()(images).detach().numpy()]
    right = sum(answer == label for answer, label in zip(answers, labels.tolist(), strict=True))
    assert lesson["accuracy"](lesson["model"], images, labels) == pytest.approx(right / 300)


def test_the_network_learns_and_remembers(lesson, printed):
    """The printed shares, counted again: far above guessing (ten classes, 200 pictures of each), and the twin's too."""
    before = int(re.search(r"^before: (\d+)% right$", printed, re.M)[1])
    epochs = [int(share) for share in re.findall(r"^epoch \d: (\d+)% right$", printed, re.M)]
    assert before < 17 and len(epochs) == 8
    assert epochs[-1] > epochs[0] + 5 and epochs[0] > 12
    weight = {name: value.detach().numpy() for name, value in lesson["model"].state_dict().items()}
    hidden = np.maximum(lesson["test_images"].flatten(1).numpy() @ weight["first.weight"].T + weight["first.bias"], 0)
    answers = (hidden @ weight["second.weight"].T + weight["second.bias"]).argmax(axis=1)
    share = (answers == lesson["test_labels"].numpy()).mean()
    assert share > 0.25
    assert f"\nthe twin now: {share:.0%} right\n" in printed


def test_one_step_subtracts_the_learning_rate_times_the_gradient(lesson):
    """What the notes say of optim.SGD, with a gradient found by finite differences."""
    line = lesson["StraightLine"](slope=2.0, start=1.0)
    optimizer = torch.optim.SGD(line.parameters(), lr=lesson["optimizer"].param_groups[0]["lr"])
    assert isinstance(lesson["optimizer"], torch.optim.SGD)
    assert {id(p) for p in lesson["optimizer"].param_groups[0]["params"]} == {
        id(p) for p in lesson["model"].parameters()
    }
    optimizer.zero_grad()
    (line(torch.tensor(3.0)) ** 2).backward()
    optimizer.step()
    slope = (((2.001 * 3 + 1) ** 2) - ((1.999 * 3 + 1) ** 2)) / 0.002
    assert line.slope.item() == pytest.approx(2.0 - 0.02 * slope, rel=1e-4)


def test_the_training_and_the_test_pictures_are_different_ones(lesson):
    train = {picture.numpy().tobytes() for picture in lesson["train_images"][:, :, ::4]}
    assert not any(picture.numpy().tobytes() in train for picture in lesson["test_images"][:, :, ::4])


def test_only_the_buffer_is_saved_and_moves(lesson):
    normalize = lesson["normalize"]
    assert list(normalize.state_dict()) == ["mean"] and not list(normalize.parameters())
    assert normalize.mean.dtype == torch.float64 and normalize.std.dtype == torch.float32
    pixels = lesson["pictures"].numpy().astype(float)
    out = normalize(lesson["pictures"].double()).numpy()
    for channel in range(3):
        values = pixels[:, channel]
        assert normalize.mean[channel].item() == pytest.approx(values.mean(), abs=1e-5)
        assert np.allclose(out[:, channel], (values - values.mean()) / values.std(), atol=1e-3)


def test_the_twin_holds_the_same_numbers_in_memory_of_its_own(lesson):
    for ours, theirs in zip(lesson["model"].parameters(), lesson["twin"].parameters(), strict=True):
        assert torch.equal(ours.cpu(), theirs.cpu()) and ours.data_ptr() != theirs.data_ptr()


def test_a_module_changes_in_place_and_a_tensor_does_not(printed):
    assert "\nweight of the module torch.float64\ntensor torch.float32\n" in printed


def test_modes_reach_the_modules_inside_and_only_dropout_makes_answers_differ(lesson, printed):
    assert "train(): training=True, in the dropout too: True\n  same answers twice: False\n" in printed
    assert "eval(): training=False, in the dropout too: False\n  same answers twice: True\n" in printed
    model, images = lesson["model"], lesson["batch"]
    model.train()
    model.dropout.eval()
    assert torch.equal(model(images), model(images))
    model.eval()


def test_forward_called_by_name_skips_the_hooks(printed):
    assert (
        "\nmodel(x): the hook of the model ran: True\nmodel.forward(x): the hook of the model ran: False\n" in printed
    )
    assert "\nafter remove(): []\n" in printed
    assert "Linear: (64, 3072) -> (64, 64)" in printed


@pytest.mark.parametrize(
    ("name", "numpy_mode"),
    [("zero", "constant"), ("reflection", "reflect"), ("replication", "edge"), ("circular", "wrap")],
)
def test_padding_is_what_numpy_makes(lesson, printed, name, numpy_mode):
    line = re.search(rf"^{name} +\[(.*)\]$", printed, re.M)[1]
    assert [int(n) for n in line.split(", ")] == np.pad([1, 2, 3], 2, mode=numpy_mode).tolist()
    pictures = lesson["pictures"][:2].numpy()
    expected = np.pad(pictures, [(0, 0), (0, 0), (8, 8), (8, 8)], mode=numpy_mode)
    assert np.array_equal(lesson["paddings"][name][1](lesson["pictures"][:2]).numpy(), expected)


def test_batch_norm_takes_one_mean_a_channel_and_layer_norm_one_a_picture(lesson):
    pixels = lesson["batch"].numpy().astype(float)
    batch_norm, layer_norm = lesson["batch_norm"].train(), lesson["layer_norm"]
    of_batch, of_layer = (norm(lesson["batch"]).detach().numpy() for norm in (batch_norm, layer_norm))
    for channel in range(3):
        own = pixels[:, channel]
        assert np.allclose(of_batch[:, channel], (own - own.mean()) / np.sqrt(own.var() + 1e-5), atol=1e-4)
    for picture in (0, 63):
        own = pixels[picture]
        assert np.allclose(of_layer[picture], (own - own.mean()) / np.sqrt(own.var() + 1e-5), atol=1e-4)


def test_only_batch_norm_in_training_mode_looks_at_the_other_pictures(printed):
    lines = re.findall(r"^training=(\w+), (\w+): the same answer alone and in company: (\w+)$", printed, re.M)
    assert len(lines) == 4
    for training, layer, same in lines:
        assert (same == "False") == (training == "True" and layer == "BatchNorm2d")


def test_the_norms_differ_in_their_parameters_and_buffers_as_well(lesson, printed):
    sizes = {name: [p.numel() for p in lesson[name].parameters()] for name in ("batch_norm", "layer_norm")}
    assert sizes == {"batch_norm": [3, 3], "layer_norm": [3 * 32 * 32, 3 * 32 * 32]}
    assert not list(lesson["layer_norm"].buffers()) and len(list(lesson["batch_norm"].buffers())) == 3
    assert "\nLayerNorm: 6144 parameters {'weight': (3, 32, 32), 'bias': (3, 32, 32)}\n  buffers []\n" in printed


def test_dropout_halves_the_count_and_doubles_the_rest(lesson):
    dropped = lesson["dropped"]
    assert set(dropped.tolist()) == {0.0, 2.0}
    assert 437 < int((dropped == 0).sum()) < 563  # 500, give or take four standard deviations of 15.8


def test_an_embedding_is_the_product_of_one_hot_rows_with_its_table(lesson):
    one_hot = np.eye(10)[lesson["test_labels"][:64].numpy()]  # (64, 10)
    expected = one_hot @ lesson["embedding"].weight.detach().double().numpy()
    assert np.allclose(lesson["vectors"].detach().numpy(), expected)


def test_recurrent_layers_have_one_three_and_four_times_the_parameters(printed):
    counts = dict(re.findall(r"^(RNN|GRU|LSTM) .* (\d+) parameters$", printed, re.M))
    one = 20 * 96 + 20 * 20 + 20 + 20
    assert {name: int(count) for name, count in counts.items()} == {"RNN": one, "GRU": 3 * one, "LSTM": 4 * one}


def test_the_recurrent_layer_is_its_formula_step_by_step(lesson):
    weight = {name: value.detach().double().numpy() for name, value in lesson["rnn"].state_dict().items()}
    pictures = lesson["batch"][:3].double().numpy()
    for picture, outputs in zip(pictures, lesson["rnn"](lesson["sequence"][:3])[0], strict=True):
        state = np.zeros(20)
        for step in range(32):
            x = np.concatenate([picture[channel, step] for channel in range(3)])  # row `step`, red, green, blue
            state = np.tanh(
                weight["weight_ih_l0"] @ x
                + weight["bias_ih_l0"]
                + weight["weight_hh_l0"] @ state
                + weight["bias_hh_l0"]
            )
            assert np.allclose(outputs[step].detach().numpy(), state, atol=1e-5)
    assert torch.allclose(lesson["state"][:3], lesson["rnn"](lesson["sequence"][:3])[1][0], atol=1e-5)


def test_the_patches_are_tiles_of_the_picture(lesson):
    image = lesson["batch"][4]
    for number in range(16):
        row, column = divmod(number, 4)
        tile = image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert torch.equal(lesson["patches"][4, number], tile.flatten())


def test_the_encoder_lets_every_tile_look_at_every_other_and_knows_no_order(lesson, printed):
    assert "\ntiles that notice a change of tile 5: 16 of 16\nshuffled in, shuffled out: True\n" in printed
    encoder, tokens = lesson["encoder"], lesson["tokens"][:2].detach()
    with torch.no_grad():
        assert torch.allclose(encoder(tokens.flip(1)), encoder(tokens).flip(1), atol=1e-5)
        # One element cannot be heard by another when each is alone in its sequence.
        alone = encoder(tokens.reshape(32, 1, 32)).reshape(2, 16, 32)
        assert not torch.allclose(alone, encoder(tokens), atol=1e-3)


def test_a_plain_list_hides_its_layers_and_a_module_list_does_not(lesson, printed):
    assert "\nlist: logits (64, 10), parameter tensors 0, in the state_dict 0\n" in printed
    assert "\nModuleList: logits (64, 10), parameter tensors 4, in the state_dict 4\n" in printed
    hidden, shown = (
        lesson["ManyLayers"](lesson["plain_list"]),
        lesson["ManyLayers"](nn.ModuleList(lesson["plain_list"])),
    )
    assert torch.equal(hidden(lesson["batch"]), shown(lesson["batch"]))
    assert "\nValueError: optimizer got an empty parameter list\n" in printed


def test_the_misspelt_init_never_runs(lesson, printed):
    typo = lesson["typo"]
    assert not hasattr(typo, "linear") and type(typo).__init__ is nn.Module.__init__
    assert "\nTypeError: Typo.__init__() takes 1 positional argument but 2 were given\n" in printed
    assert "\nAttributeError: 'Typo' object has no attribute 'linear'\n" in printed
