"""Course 17 · ModelSave: the answers, how they are judged, and the mistakes that people make."""

import contextlib
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from practice import Exercise, Mistake, changed


def small_network():
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))


def numbers_of(model):
    """All parameters and buffers, one after the other: (number of numbers,)."""
    return torch.cat([value.detach().double().flatten() for value in [*model.parameters(), *model.buffers()]])


# ---- 1 ----


def try_held(held):
    network = nn.Sequential(
        nn.Linear(20, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3, bias=False)
    )
    bytes_taken = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    right = len(list(network.parameters())), len(list(network.buffers())), bytes_taken
    if not isinstance(held, list | tuple) or len(held) != 3:
        yield "the three numbers", held, right
    what = ("entries that are parameters", "entries that are buffers", "bytes of all entries")
    yield from zip(what, held, right, strict=True)


# ---- 2 ----


def ready_to_use(make_model, path):
    model = make_model()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model.eval()


class MakesFolder:
    """In a file, it asks whoever loads it to make a folder."""

    def __init__(self, folder, function=os.mkdir):
        self.folder, self.function = str(folder), function

    def __reduce__(self):
        return self.function, (self.folder,)


def as_from_gpu(source, target):
    """A copy of a file of weights that says its tensors lay on a GPU."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as forged:
        for name in archive.namelist():
            forged.writestr(name, archive.read(name).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:7"))


def is_refused(function, *args):
    try:
        function(*args)
    except Exception:  # noqa: BLE001  in which words, is not asked
        return True
    return False


def try_ready_to_use(ready_to_use):
    model = small_network()
    model(torch.rand(8, 6))  # moves the running statistics
    with TemporaryDirectory() as folder:
        names = ("weights", "gpu", "different", "longer", "shapes", "made")
        weights, gpu, different, longer, shapes, made = (Path(folder) / name for name in names)
        torch.save(model.state_dict(), weights)
        as_from_gpu(weights, gpu)
        torch.save(nn.Sequential(nn.Linear(6, 5)).state_dict(), different)
        torch.save(model.state_dict() | {"4.weight": torch.rand(2, 3)}, longer)
        torch.save(model.state_dict() | {"0.bias": torch.rand(1)}, shapes)

        loaded = ready_to_use(small_network, weights)
        kind = "nothing" if loaded is None else f"a {type(loaded).__name__}"
        yield "what comes back", "a network" if isinstance(loaded, nn.Module) else kind, "a network"
        yield "the numbers of the network", numbers_of(loaded), numbers_of(model)
        yield "network.training", loaded.training, False
        inputs = torch.rand(64, 6)
        yield "the same inputs, the same answers", torch.equal(loaded(inputs), loaded(inputs)), True
        yield "with a file from a GPU, the numbers", numbers_of(ready_to_use(small_network, gpu)), numbers_of(model)
        for function in (os.mkdir, os.makedirs):
            unsafe = Path(folder) / f"unsafe-{function.__name__}"
            torch.save(model.state_dict() | {"more": MakesFolder(made, function)}, unsafe)
            with contextlib.suppress(Exception):
                ready_to_use(small_network, unsafe)
            yield "code that stands in the file was run", made.exists(), False
        yield "a file of a different network raises an error", is_refused(ready_to_use, small_network, different), True
        yield "a file with one layer more raises an error", is_refused(ready_to_use, small_network, longer), True
        what = "a file with a bias of shape (1,) instead of (5,) raises an error"
        yield what, is_refused(ready_to_use, small_network, shapes), True
        yield "gradients are computed afterwards", torch.is_grad_enabled(), True


def copied_by_hand(make_model, path):
    model, weights = make_model(), torch.load(path, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(weights[name])
    return model.eval()


def parameters_by_hand(make_model, path):
    model, weights = make_model(), torch.load(path, map_location="cpu", weights_only=True)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(weights[name])
    return model.eval()


def only_the_file(make_model, path):
    return torch.load(path, map_location="cpu", weights_only=True)


def state_dict_replaced(make_model, path):
    model = make_model()
    model.state_dict = torch.load(path, map_location="cpu", weights_only=True)
    return model.eval()


def result_of_loading(make_model, path):
    return make_model().load_state_dict(torch.load(path, map_location="cpu", weights_only=True))


# ---- 3 ----


def without_prefix(state_dict):
    return {name.removeprefix("module."): value for name, value in state_dict.items()}


def try_without_prefix(without_prefix):
    for right in [
        {"module.0.weight": "0.weight", "module.0.bias": "0.bias"},
        {"module.mole.weight": "mole.weight"},
        {"module.submodule.weight": "submodule.weight", "module.module.weight": "module.weight"},
        {"weight": "weight", "bias": "bias"},
        {"submodule.weight": "submodule.weight", "0.module.bias": "0.module.bias"},
        {"modules.weight": "modules.weight", "module.bias": "bias", "0.module": "0.module"},
        {"module.1.num_batches_tracked": "1.num_batches_tracked", "_orig_mod.0.weight": "_orig_mod.0.weight"},
    ]:
        given = {name: torch.tensor(7) if name.endswith("tracked") else torch.rand(2, 3) for name in right}
        before = {name: value.clone() for name, value in given.items()}
        named = without_prefix(given)
        if not isinstance(named, dict):
            yield "what it returns", named, {right[name]: value for name, value in before.items()}
        yield f"the names, from {list(right)}", sorted(named), sorted(right.values())
        for name, value in before.items():
            yield f"the tensor that was called {name}", named[right[name]], value
        yield "it returns the dictionary that was given", named is given, False
        yield "the names in the dictionary that was given", list(given), list(before)


def in_place(state_dict):
    for name in list(state_dict):
        state_dict[name.removeprefix("module.")] = state_dict.pop(name)
    return state_dict


# ---- 4 ----


def load_what_fits(model, weights):
    own = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and value.shape == own[name].shape}
    model.load_state_dict(fitting, strict=False)
    return sorted(weights.keys() - fitting.keys()), sorted(own.keys() - fitting.keys())


def try_load_what_fits(load_what_fits):
    def network(last):
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, last))

    smaller = nn.Sequential(nn.Linear(4, 5))
    longer = nn.Sequential(*network(7), nn.Linear(7, 5))  # its bias has the shape of an entry with a different name
    turned = network(7).state_dict() | {"0.weight": torch.rand(5, 4).T}  # as many numbers, and a different shape
    narrow = dict(reversed(network(7).state_dict().items())) | {"0.weight": torch.rand(5, 1)}
    prefixed = network(7).state_dict()
    prefixed = {name.replace("2.", "module.2."): value for name, value in prefixed.items()}
    batch_norm = ["1.bias", "1.num_batches_tracked", "1.running_mean", "1.running_var", "1.weight"]
    for what, weights, skipped, unfilled in [
        ("3 classes into 7", network(3).state_dict(), ["2.bias", "2.weight"], ["2.bias", "2.weight"]),
        ("one layer too many", longer.state_dict(), ["3.bias", "3.weight"], []),
        ("two layers are missing", smaller.state_dict(), [], [*batch_norm, "2.bias", "2.weight"]),
        ("a weight of (4, 5) for (5, 4)", turned, ["0.weight"], ["0.weight"]),
        ("a weight of (5, 1) for (5, 4)", narrow, ["0.weight"], ["0.weight"]),
        ("one layer has a different name", prefixed, ["module.2.bias", "module.2.weight"], ["2.bias", "2.weight"]),
    ]:
        model = network(7)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        weights = {name: value + 1 for name, value in weights.items()}
        given = dict(weights)
        returned = load_what_fits(model, weights)
        after = model.state_dict()
        for name, value in before.items():
            is_loaded = name in given and name not in skipped
            yield f"{what}: the numbers of {name}", after[name], given[name] if is_loaded else value
        if not is_two_collections(returned):
            yield f"{what}: what it returns", returned, "two lists"
        not_loaded, not_from_file = returned
        yield f"{what}: the entries of weights that were not loaded", sorted(not_loaded), skipped
        yield f"{what}: those of the model that did not come from weights", sorted(not_from_file), unfilled
        yield f"{what}: names that were put into weights, or taken out", sorted(given.keys() ^ weights.keys()), []


def is_two_collections(returned):
    """Whether these are two lists of names, or sets."""
    if not isinstance(returned, list | tuple) or len(returned) != 2:
        return False
    return all(isinstance(part, Collection) and not isinstance(part, str) for part in returned)


def as_reported(model, weights):
    own = model.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and value.shape == own[name].shape}
    return sorted(weights.keys() - fitting.keys()), model.load_state_dict(fitting, strict=False).missing_keys


def only_parameters(model, weights):
    own = dict(model.named_parameters())
    fitting = {name: value for name, value in weights.items() if name in own and value.shape == own[name].shape}
    model.load_state_dict(fitting, strict=False)
    return sorted(weights.keys() - fitting.keys()), sorted(own.keys() - fitting.keys())


def stretched(model, weights):
    own, not_loaded = model.state_dict(), []
    for name, value in weights.items():
        try:
            own[name].copy_(value)
        except (KeyError, RuntimeError):
            not_loaded.append(name)
    return not_loaded, [name for name in own if name not in weights or name in not_loaded]


def of_any_shape(model, weights):
    own = model.state_dict()
    shapes = [value.shape for value in own.values()]
    fitting = {name: value for name, value in weights.items() if value.shape in shapes}
    model.load_state_dict(fitting, strict=False)
    return sorted(weights.keys() - fitting.keys()), sorted(own.keys() - fitting.keys())


def taken_out(model, weights):
    own = model.state_dict()
    not_loaded = [name for name, value in weights.items() if name not in own or value.shape != own[name].shape]
    for name in not_loaded:
        del weights[name]
    model.load_state_dict(weights, strict=False)
    return not_loaded, [name for name in own if name not in weights]


def nothing_said(model, weights):
    load_what_fits(model, weights)
    return [], []


# ---- 5 ----


def train_to(steps, path, new_training, train):
    model, optimizer = new_training()
    done = 0
    if path.exists():
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done = saved["step"]
    train(model, optimizer, steps - done)
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "step": steps,
    }
    torch.save(checkpoint, path)
    return model


def try_train_to(train_to):
    inputs, labels = torch.randn(16, 6), torch.randint(3, (16,))
    trained = []  # how many steps, call after call

    def new_training():
        torch.manual_seed(1)
        model = small_network()
        return model, torch.optim.Adam(model.parameters(), lr=0.01)

    def train(model, optimizer, steps):
        trained.append(steps)  # in the mode in which the model is
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()

    straight, optimizer = new_training()
    train(straight, optimizer, 10)
    for stops in [(10,), (4, 10), (2, 5, 10), (10, 10)]:
        with TemporaryDirectory() as folder:
            counts, path = [], Path(folder) / "0" / "training.pt"
            path.parent.mkdir()
            for process, steps in enumerate(stops):
                torch.manual_seed(100 + process)  # a new process begins with numbers of its own
                trained.clear()
                model = train_to(steps, path, new_training, train)
                counts.append(sum(trained))
                moved = Path(folder) / f"{process + 1}" / f"moved-{process}.pt"  # nothing else stays
                moved.parent.mkdir()
                yield f"train_to({steps}, …) has written a file to path", path.exists(), True
                path = path.rename(moved)
            way = " and ".join(f"train_to({steps}, …)" for steps in stops)
            yield f"{way}: the numbers of the model", numbers_of(model), numbers_of(straight), 0
            right = [steps - before for steps, before in zip(stops, (0, *stops), strict=False)]
            yield f"{way}: the steps that were trained in each", counts, right

    with TemporaryDirectory() as folder:
        unsafe, made = Path(folder) / "unsafe.pt", Path(folder) / "made"
        torch.save({"model": MakesFolder(made)}, unsafe)
        before = unsafe.read_bytes()
        with contextlib.suppress(Exception):
            train_to(10, unsafe, new_training, train)
        yield "code that stands in the file was run", made.exists(), False
        yield "a file that cannot be loaded stays as it is", unsafe.read_bytes() == before, True


def saved_before_training(steps, path, new_training, train):
    model, optimizer = new_training()
    done = 0
    if path.exists():
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done = saved["step"]
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "step": steps,
    }
    torch.save(checkpoint, path)
    train(model, optimizer, steps - done)
    return model


def begins_anew(steps, path, new_training, train):
    model, optimizer = new_training()
    done = 0
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        done = saved["step"]
    except Exception:  # noqa: BLE001  this is the mistake
        done = 0
    train(model, optimizer, steps - done)
    checkpoint = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "step": steps,
    }
    torch.save(checkpoint, path)
    return model


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="held",
        section=2,
        answer=(5, 3, 904),
        trial=try_held,
        hints=(
            "Which of these layers have numbers? Section 2 lists the five entries of a BatchNorm.",
            "Section 2 prints the dtype of each entry. A float32 takes 4 bytes; the counter of batches is an int64.",
        ),
        mistakes=(
            Mistake("The counter of batches is an int64: it takes 8 bytes.", (5, 3, 900)),
            Mistake("Is the counter of batches missing? It is a buffer, too.", (5, 2, 896)),
            Mistake("The last layer has bias=False.", (6, 3, 916)),
            Mistake("Buffers are saved as well: count their bytes, too.", (5, 3, 832)),
            Mistake("That counts numbers. A float32 number has 4 bytes.", (5, 3, 225), 4),
            Mistake("Some of these eight entries are buffers, and no parameters.", (8, 3, 904)),
        ),
    ),
    Exercise(
        number=2,
        name="ready_to_use",
        section=3,
        answer=ready_to_use,
        trial=try_ready_to_use,
        hints=(
            "Three lines do it: make the network, load the numbers into it, choose its mode.",
            "Section 3 shows two arguments of torch.load: one for machines without a GPU, one against code.",
        ),
        mistakes=(
            Mistake(
                "A new model is in train mode, and the file does not change that.",
                changed(ready_to_use, ".eval()", ""),
                10,
            ),
            Mistake(
                "The file is from a GPU: torch.load needs to be told where to.",
                changed(ready_to_use, 'map_location="cpu", ', ""),
            ),
            Mistake(
                "With weights_only=False a file may run any code.",
                changed(ready_to_use, "weights_only=True", "weights_only=False"),
                6,
            ),
            Mistake(
                "Nothing is raised for a file that does not fit. strict=False has this effect, and `except`, too.",
                changed(ready_to_use, "weights_only=True)", "weights_only=True), strict=False"),
                7,
            ),
            Mistake(
                "state_dict is a method. If you put a dictionary in its place, nothing is loaded.",
                state_dict_replaced,
                9,
            ),
            Mistake("The file holds a dictionary of tensors. The network itself comes from make_model.", only_the_file),
            Mistake("load_state_dict returns a report about the names, and not the network.", result_of_loading),
            Mistake(
                "A state_dict holds buffers, too. BatchNorm's running statistics are missing.", parameters_by_hand, 2
            ),
            Mistake(
                "Names that only the file has go unnoticed. load_state_dict compares the names of both.",
                copied_by_hand,
                7,
            ),
        ),
    ),
    Exercise(
        number=3,
        name="without_prefix",
        section=12,
        answer=without_prefix,
        trial=try_without_prefix,
        hints=(
            "Which part of 'module.submodule.weight' does replace() remove?",
            "Python's texts have a method that removes a piece from the beginning only, and only if it is there.",
        ),
        mistakes=(
            Mistake(
                "replace() also removes what stands in the middle of a name.",
                changed(without_prefix, 'removeprefix("module.")', 'replace("module.", "")'),
            ),
            Mistake(
                "lstrip() takes a set of letters, not a word: it removes every m, o, d, u, l and e at the beginning.",
                changed(without_prefix, "removeprefix", "lstrip"),
            ),
            Mistake(
                "This also cuts names that do not begin with the prefix.",
                changed(without_prefix, 'removeprefix("module.")', 'split(".", 1)[1]'),
            ),
            Mistake(
                "The first `module.` of a name may stand in its middle: then it is no prefix.",
                changed(without_prefix, 'removeprefix("module.")', 'replace("module.", "", 1)'),
            ),
            Mistake(
                "This also cuts names that do not begin with the prefix.",
                changed(without_prefix, 'name.removeprefix("module.")', "name[7:]"),
            ),
            Mistake(
                "A name that does not begin with `module.` stays in the dictionary.",
                changed(without_prefix, "state_dict.items()", 'state_dict.items() if name.startswith("module.")'),
            ),
            Mistake(
                "The last `module.` of a name is not the prefix.",
                changed(without_prefix, 'removeprefix("module.")', 'split("module.")[-1]'),
            ),
            Mistake(
                "The prefix is removed once. A second `module.` is a part of the network.",
                changed(without_prefix, 'removeprefix("module.")', 'removeprefix("module.").removeprefix("module.")'),
            ),
            Mistake(
                "The dot belongs to the prefix: `modules.weight` does not begin with it.",
                changed(
                    without_prefix,
                    'name.removeprefix("module.")',
                    'name[7:] if name.startswith("module") else name',
                ),
            ),
            Mistake(
                "The given dictionary has changed: make a new one.",
                in_place,
            ),
            Mistake(
                "The given dictionary has changed: make a new one.",
                changed(in_place, "return state_dict", "return dict(state_dict)"),
            ),
        ),
    ),
    Exercise(
        number=4,
        name="load_what_fits",
        section=7,
        answer=load_what_fits,
        trial=try_load_what_fits,
        hints=(
            "First make a dictionary of the entries that fit: compare names and shapes with model.state_dict().",
            "Load this dictionary with strict=False. What is not in it is in one of the lists, or in both.",
        ),
        mistakes=(
            Mistake(
                "strict=False ignores names, never shapes.",
                changed(load_what_fits, " and value.shape == own[name].shape", ""),
            ),
            Mistake(
                "As many numbers is not the same shape.",
                changed(load_what_fits, "value.shape == own[name].shape", "value.numel() == own[name].numel()"),
            ),
            Mistake(
                "copy_() stretches a tensor of a smaller shape, and raises no error. Compare the shapes.",
                stretched,
                "Course00 6",
            ),
            Mistake(
                "The shape of an entry must be that of the entry with the same name.",
                of_any_shape,
            ),
            Mistake("The names that were given have changed: work with a new dictionary.", taken_out),
            Mistake(
                "Find the entries that fit; then they must be loaded.",
                changed(load_what_fits, "model.load_state_dict(fitting, strict=False)", "pass"),
                3,
            ),
            Mistake(
                "Return the names of what was skipped: who reads nothing believes that all was loaded.", nothing_said
            ),
            Mistake(
                "First the names of weights, then those of the model.",
                changed(
                    load_what_fits,
                    "sorted(weights.keys() - fitting.keys()), sorted(own.keys() - fitting.keys())",
                    "sorted(own.keys() - fitting.keys()), sorted(weights.keys() - fitting.keys())",
                ),
            ),
            Mistake(
                "load_state_dict fills in a missing num_batches_tracked by itself, and does not report it. "
                "Compare the names yourself.",
                as_reported,
            ),
            Mistake("Buffers are entries of a state_dict, too.", only_parameters, 2),
            Mistake(
                "Without strict=False, an entry that is missing is an error.",
                changed(load_what_fits, ", strict=False", ""),
            ),
        ),
    ),
    Exercise(
        number=5,
        name="train_to",
        section=8,
        answer=train_to,
        trial=try_train_to,
        hints=(
            "Section 8 lists the four things that a checkpoint needs. Which steps are left after loading?",
            "Call new_training() first, in both cases. If path.exists(), load everything into what it returned.",
            "torch.get_rng_state() after training, torch.set_rng_state() before resuming.",
        ),
        mistakes=(
            Mistake(
                "Adam's running means begin at zero again: the optimizer's state is missing.",
                changed(train_to, 'optimizer.load_state_dict(saved["optimizer"])', "pass"),
            ),
            Mistake(
                "The dropout masks of the first steps come again. Is the random state restored, "
                "and after new_training(), which sets the seed?",
                changed(train_to, 'torch.set_rng_state(saved["rng"])', "pass"),
            ),
            Mistake(
                "The model begins with new numbers: its state is missing.",
                changed(train_to, 'model.load_state_dict(saved["model"])', "pass"),
            ),
            Mistake(
                "`steps` is the number of all steps: those before the stop are done already.",
                changed(train_to, "steps - done", "steps"),
            ),
            Mistake(
                "The checkpoint was made before the training: its step and its numbers differ.", saved_before_training
            ),
            Mistake(
                "With weights_only=False a file may run any code.",
                changed(train_to, "weights_only=True", "weights_only=False"),
                6,
            ),
            Mistake(
                "If there is a checkpoint, resume from it.",
                changed(train_to, "path.exists()", "False"),
            ),
            Mistake(
                "A file that cannot be loaded is overwritten, and nobody is told. Begin anew only if there is none.",
                begins_anew,
                15,
            ),
            Mistake(
                "The model is in eval mode, without dropout. Training resumes in train mode.",
                changed(
                    train_to,
                    'optimizer.load_state_dict(saved["optimizer"])',
                    'optimizer.load_state_dict(saved["optimizer"])\n        model.eval()',
                ),
                10,
            ),
            Mistake(
                "If all steps are done already, none is left to train.",
                changed(train_to, "steps - done", "max(1, steps - done)"),
            ),
        ),
    ),
]
