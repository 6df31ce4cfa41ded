"""Checkpoints that are whole files, and hold something else than they should: name -> how to write it.

Each function gets a path and a copy of what a good checkpoint holds. FOR_TEST are files for test.py, FOR_RESUME for
train.py --resume.
"""

import pickle
import zipfile

import torch

INF, NAN = float("inf"), float("nan")


def with_value(**values):
    """A good checkpoint but for these keys."""
    return lambda path, good: torch.save(good | values, path)


def with_weight(value, name="classifier.5.weight"):
    """A good checkpoint but for one tensor of its state_dict."""
    return lambda path, good: torch.save(good | {"state_dict": good["state_dict"] | {name: value}}, path)


def with_option(name, value):
    """A good checkpoint but for one of its options."""
    return lambda path, good: torch.save(good | {"options": good["options"] | {name: value}}, path)


def without_option(name):
    """A good checkpoint but for an option that is missing."""
    return lambda path, good: torch.save(
        good | {"options": {key: value for key, value in good["options"].items() if key != name}}, path
    )


def within(key, name, value):
    """A good checkpoint but for one entry of the dictionary that stands under that key."""
    return lambda path, good: torch.save(good | {key: good[key] | {name: value}}, path)


def bare(**changes):
    """A bare state_dict but for these tensors; double underscores stand for dots."""
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return lambda path, good: torch.save(good["state_dict"] | changes, path)


def anything(value):
    """A file that holds just this."""
    return lambda path, good: torch.save(value, path)


class Claim:
    """Pickled as a tensor of that shape whose numbers stand in the first stored entry, however few these are."""

    def __init__(self, *shape):
        self.shape = shape

    def __reduce__(self):
        rebuild, strides = torch._utils._rebuild_tensor_v2, (self.shape[1], 1)
        return rebuild, (Storage(self.shape[0] * self.shape[1]), 0, self.shape, strides, False, {})


class Storage:
    def __init__(self, numel):
        self.numel = numel


class ClaimPickler(pickle.Pickler):
    def persistent_id(self, value):
        return ("storage", torch.FloatStorage, "0", "cpu", value.numel) if isinstance(value, Storage) else None


def claiming(*shape, stored_bytes=0):
    """A bare state_dict with a tensor that claims a shape, and an archive in which other bytes follow its few own."""

    def write(path, good):
        pickled = path.with_suffix(".pkl")
        with pickled.open("wb") as file:
            ClaimPickler(file, protocol=2).dump({"classifier.5.weight": Claim(*shape)})
        writer = torch._C.PyTorchFileWriter(str(path))
        data = pickled.read_bytes()
        writer.write_record("data.pkl", data, len(data))
        writer.write_record("data/0", bytes(stored_bytes), stored_bytes)
        writer.write_record("data/1", bytes(4000), 4000)
        writer.write_end_of_file()
        pickled.unlink()

    return write


def compressed(size):
    """A small file that unpacks to `size` bytes of zeros."""

    def write(path, good):
        torch.save(good["state_dict"], path)
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
            with archive.open("archive/data/99", "w", force_zip64=True) as file:
                for _ in range(size >> 20):
                    file.write(bytes(2**20))

    return write


def repeated(levels):
    """Ten lists of the same ten lists of …: small in the file, endless when walked through."""
    value = [1.0]
    for _ in range(levels):
        value = [value] * 10
    return value


def nested(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def itself():
    value = {}
    value["again"] = value
    return value


def no_text(path, good):
    torch.save(good["state_dict"] | {5: torch.zeros(1)}, path)


def script(path, good):
    """As torch.jit.save() writes them: an archive with constants beside the data."""
    writer = torch._C.PyTorchFileWriter(str(path))
    for name in ("data.pkl", "constants.pkl"):
        writer.write_record(name, pickle.dumps({}, protocol=2), len(pickle.dumps({}, protocol=2)))
    writer.write_end_of_file()


def last_weight(make):
    """A bare state_dict but for the last weight, made when it is written: some kinds of tensors warn."""
    return lambda path, good: bare(classifier__5__weight=make(torch.zeros(10, 84)))(path, good)


FOR_TEST = {
    "keys that are numbers": anything({1: torch.zeros(2, 2), 2: torch.zeros(2)}),
    "a number as key beside weights": no_text,
    "an empty dictionary": anything({}),
    "a list": anything([torch.zeros(2, 2)]),
    "a tensor": anything(torch.zeros(2, 2)),
    "a dictionary that holds itself": anything(itself()),
    "lists in lists, a billion": anything({"a": repeated(9), "w": torch.zeros(2, 2)}),
    "lists in lists, 400 deep": anything({"a": nested(400)}),
    "a text alone": anything("weights"),
    "meta tensors": last_weight(lambda weight: weight.to("meta")),
    "a sparse tensor": last_weight(torch.Tensor.to_sparse),
    "a compressed sparse tensor": last_weight(torch.Tensor.to_sparse_csr),
    "a nested tensor": last_weight(lambda weight: torch.nested.nested_tensor([weight[0], weight[1, :3]])),
    "complex numbers": bare(classifier__5__weight=torch.zeros(10, 84, dtype=torch.complex64)),
    "whole numbers": bare(classifier__5__weight=torch.zeros(10, 84, dtype=torch.int64)),
    "quantized numbers": last_weight(lambda weight: torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)),
    "a tensor without rows": bare(classifier__5__weight=torch.zeros(0, 84)),
    "a tensor with one row": bare(classifier__5__weight=torch.zeros(1, 84), classifier__5__bias=torch.zeros(1)),
    "a billion rows without columns": bare(classifier__5__weight=torch.zeros(1_000_000_000, 0)),
    "50 million rows said by one number": bare(classifier__5__weight=torch.zeros(1, 1).expand(50_000_000, 84)),
    "50 million rows and no bytes": claiming(50_000_000, 84),
    "a billion rows and no bytes": claiming(1_000_000_000, 84),
    "ten rows, stored in the bytes of other tensors": claiming(10, 84, stored_bytes=64),
    "a negative number of rows": claiming(-10, 84),
    "a compressed bomb": compressed(100 * 2**20),
    "a program": script,
    "classes = 5": with_value(classes=5),
    "classes = None": with_value(classes=None),
    "no classes": with_value(classes=[]),
    "one class": with_value(classes=["red"]),
    "classes that are numbers": with_value(classes=list(range(2))),
    "classes that are a text": with_value(classes="ab"),
    "twenty thousand classes": with_value(classes=["x"] * 20_000),
    "more classes than outputs": with_value(classes=["a", "b", "c"]),
    "model = a list": with_value(model=["lenet"]),
    "model = None": with_value(model=None),
    "an unknown model": with_value(model="vgg"),
    "another model": with_value(model="cnn"),
    "mean = 'abc'": with_value(mean="abc"),
    "mean = None": with_value(mean=None),
    "one mean": with_value(mean=[0.5]),
    "a mean that is NaN": with_value(mean=[0.5, NAN, 0.5]),
    "a mean of 120": with_value(mean=[120.0, 120.0, 120.0]),
    "a mean that is a text": with_value(mean=["0.5", 0.5, 0.5]),
    "means in a tensor": with_value(mean=torch.zeros(3)),
    "four stds": with_value(std=[0.2, 0.2, 0.2, 0.2]),
    "a std of 0": with_value(std=[0.2, 0.0, 0.2]),
    "a negative std": with_value(std=[0.2, -0.2, 0.2]),
    "an infinite std": with_value(std=[0.2, INF, 0.2]),
    "a std that is True": with_value(std=[True, 0.2, 0.2]),
    "state_dict = None": with_value(state_dict=None),
    "state_dict = a list": with_value(state_dict=[1, 2]),
    "an empty state_dict": with_value(state_dict={}),
    "a state_dict with a text": with_weight("abc"),
    "a state_dict with a list": with_weight([[0.0] * 84] * 2),
    "a number as key in the state_dict": with_weight(torch.zeros(1), name=7),
    "a weight that is infinite": with_weight(torch.full((2, 84), INF)),
    "a weight of another shape": with_weight(torch.zeros(2, 85)),
    "data = 5": with_value(data=5),
    "data = a list": with_value(data=["drawn"]),
    "a model inside that is no state_dict": anything({"model": {"a": 1, "w": torch.zeros(2, 2)}}),
}

FOR_RESUME = {
    "options without lr": without_option("lr"),
    "options without seed": without_option("seed"),
    "options = None": with_value(options=None),
    "options that are a list": with_value(options=["--lr", "1"]),
    "lr = 'fast'": with_option("lr", "fast"),
    "lr = None": with_option("lr", None),
    "lr = NaN": with_option("lr", NAN),
    "lr = True": with_option("lr", True),
    "a batch size of 0": with_option("batch_size", 0),
    "a batch size of 2.5": with_option("batch_size", 2.5),
    "a negative seed": with_option("seed", -1),
    "no epochs": with_option("epochs", 0),
    "save_every = 0": with_option("save_every", 0),
    "val_split = 2": with_option("val_split", 2),
    "an unknown optimizer": with_option("optimizer", "lion"),
    "an unknown schedule": with_option("schedule", "sawtooth"),
    "an unknown network": with_option("model", "vgg"),
    "augment = 'yes'": with_option("augment", "yes"),
    "data = None": with_option("data", None),
    "data that are elsewhere": with_option("data", "/no/such/folder"),
    "optimizer = {}": with_value(optimizer={}),
    "optimizer = a list": with_value(optimizer=[]),
    "an optimizer without groups": within("optimizer", "param_groups", []),
    "an optimizer with a group that is a text": within("optimizer", "param_groups", ["lr"]),
    "an optimizer with an empty group": within("optimizer", "param_groups", [{}]),
    "moments of another shape": within(
        "optimizer", "state", {i: {"momentum_buffer": torch.zeros(3)} for i in range(10)}
    ),
    "moments of another optimizer": within("optimizer", "state", {i: {"exp_avg": torch.zeros(1)} for i in range(10)}),
    "moments for one weight": within("optimizer", "state", {0: {"momentum_buffer": torch.zeros(6, 3, 5, 5)}}),
    "moments that are texts": within("optimizer", "state", {i: {"momentum_buffer": "x"} for i in range(10)}),
    "scheduler = {}": with_value(scheduler={}),
    "scheduler = 'x'": with_value(scheduler="x"),
    "a scheduler at another step": within("scheduler", "last_epoch", 10**9),
    "a scheduler at no step": within("scheduler", "last_epoch", None),
    "a scheduler with a text as rate": within("scheduler", "_last_lr", ["x"]),
    "random = 'x'": with_value(random="x"),
    "a random state that is too short": with_value(random=torch.zeros(3, dtype=torch.uint8)),
    "a random state of floats": with_value(random=torch.zeros(5056)),
    "history = 'x'": with_value(history="x"),
    "a history of texts": with_value(history=["one"]),
    "a history with a text in it": with_value(history=[{"epoch": 1, "loss/train": "small"}]),
    "a history without its epochs": with_value(history=[{"loss/train": 1.0}]),
    "a history that is too short": with_value(history=[]),
    "an unfinished epoch with two numbers": with_value(unfinished=[1, 2.0]),
    "an unfinished epoch without steps": with_value(unfinished={"loss": 1.0}),
    "an unfinished epoch of minus one step": within("unfinished", "steps", -1),
    "an unfinished epoch of a billion steps": within("unfinished", "steps", 10**9),
    "an unfinished epoch with a NaN": within("unfinished", "loss", NAN),
    "best = {}": with_value(best={}),
    "a best epoch that is still to come": with_value(best={"epoch": 99, "accuracy": 0.5}),
    "a best accuracy that is a text": with_value(best={"epoch": 1, "accuracy": "high"}),
    "epoch = '1'": with_value(epoch="1"),
    "epoch = -1": with_value(epoch=-1),
    "test = {}": with_value(test={}),
    "fingerprints that are a list": with_value(pictures=[]),
    "mean = None": with_value(mean=None),
    "weights of another shape": with_weight(torch.zeros(3, 3)),
    "a weight that is NaN": with_weight(torch.full((2, 84), NAN)),
}
