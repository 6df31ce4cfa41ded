"""Course 17 · ModelSave — what should be in a file of weights?

Run   python Course17-ModelSave/model_save.py
See   checkpoints/Course17-ModelSave        (the files that it writes)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import json
import pickle
import struct
import textwrap
import zipfile
from unittest import mock

import matplotlib.pyplot as plt
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from common import UserError, checkpoint
from common.data import cifar10
from common.models import CifarCNN
from common.paths import checkpoint_dir, output_dir

lesson = "Course17-ModelSave"
folder = checkpoint_dir(lesson)  # makes the folder: torch.save() does not


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(4))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(8 * 7 * 7, 10))

    def forward(self, images):
        return self.classifier(self.features(images))  # (N, 3, 32, 32) -> (N, 8, 7, 7) -> (N, 10)


def same(one, other):
    """Whether two state_dicts have the same names and, bit for bit, the same numbers."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


torch.manual_seed(17)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
dataset = cifar10(train=True, transform=to_float)
images, labels = next(iter(DataLoader(dataset, batch_size=64)))  # (64, 3, 32, 32), (64,)
loss_fn = nn.CrossEntropyLoss()


def show(error):
    """Print an error message in lines that fit the page."""
    first, *rest = str(error).splitlines()
    print(textwrap.fill(f"{type(error).__name__}: {first}", 80, subsequent_indent="    "))
    for line in rest:
        print(textwrap.fill(line.strip(), 80, initial_indent="    ", subsequent_indent="        "))


def train(model, optimizer, steps):
    """The loop of Course 15, on one batch: enough to have numbers that are worth saving."""
    losses = []
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


model = SmallCNN()
train(model, torch.optim.Adam(model.parameters(), lr=0.01), steps=20)
print("trained", type(model).__name__)

# %% 2. A state_dict is names and tensors
for name, value in model.state_dict().items():
    print(f"{name:30} {tuple(value.shape)!s:14} {str(value.dtype).removeprefix('torch.')}")
print(len(list(model.parameters())), "parameters,", len(list(model.buffers())), "buffers")

# %% 3. Save it, load it
torch.save(model.state_dict(), folder / "weights.pt")
fresh = SmallCNN()  # the class gives the structure, with random numbers …
print("before loading:", same(fresh.state_dict(), model.state_dict()))
weights = torch.load(folder / "weights.pt", map_location="cpu", weights_only=True)
print(fresh.load_state_dict(weights))  # … and the file the numbers
fresh.eval()  # the mode is not in the file
print("after loading: ", same(fresh.state_dict(), model.state_dict()))

# %% 4. What is in the file, and what its ending means
with zipfile.ZipFile(folder / "weights.pt") as archive:
    entries = {entry.filename.partition("/")[2]: entry.file_size for entry in archive.infolist()}
print("an index, data.pkl:", "data.pkl" in entries)
for i, (name, value) in enumerate(model.state_dict().items()):
    print(f"{name:30} {value.numel():4} numbers of {value.element_size()} bytes: {entries[f'data/{i}']} bytes")
for name in ("weights.pth", "weights.ckpt", "weights.jpg"):
    (folder / name).write_bytes((folder / "weights.pt").read_bytes())
    loaded = torch.load(folder / name, weights_only=True)
    print(f"{name:12} loads, and is the same:", same(loaded, model.state_dict()))

# %% 5. The whole model
torch.save(model, folder / "whole.pt")  # on purpose


def refused(error):
    """What is refused, without the paragraphs of advice around it."""
    text = str(error)
    return text[text.index("Unsupported global") :].split(" was not")[0]


try:
    torch.load(folder / "whole.pt", weights_only=True)
except pickle.UnpicklingError as error:
    print("UnpicklingError:", refused(error))
whole = torch.load(folder / "whole.pt", weights_only=False)  # only because we wrote this file ourselves a moment ago
print("loaded a", type(whole).__name__, "with the same numbers:", same(whole.state_dict(), model.state_dict()))
with zipfile.ZipFile(folder / "whole.pt") as archive:
    index = next(archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl"))
print("the file names the class:", b"SmallCNN" in index, "and holds its code:", b"self.features(images)" in index)


# %% 6. What a pickle may say
class Surprise:
    def __reduce__(self):  # tells pickle how to build this object again: "call this function with these arguments"
        return print, ("    this line was printed by a file, while it was being loaded",)


torch.save({"weights": torch.zeros(2), "surprise": Surprise()}, folder / "surprise.pt")
print("weights_only=False:")
torch.load(folder / "surprise.pt", weights_only=False)
print("weights_only=True:")
try:
    torch.load(folder / "surprise.pt", weights_only=True)
except pickle.UnpicklingError as error:
    print("    UnpicklingError:", refused(error))

# %% 7. Strict loading
longer = SmallCNN()
longer.classifier.append(nn.Linear(10, 2))
try:
    longer.load_state_dict(model.state_dict())
except RuntimeError as error:
    show(error)
print("and yet the rest is loaded:", torch.equal(longer.features[0].weight, model.features[0].weight))
forgiving = SmallCNN()
forgiving.classifier.append(nn.Linear(10, 2))
result = forgiving.load_state_dict(model.state_dict(), strict=False)
print("strict=False returns missing", result.missing_keys, "unexpected", result.unexpected_keys)
fewer = SmallCNN()
fewer.classifier[2] = nn.Linear(8 * 7 * 7, 2)
try:
    fewer.load_state_dict(model.state_dict(), strict=False)
except RuntimeError as error:
    show(error)


# %% 8. A training that resumes exactly
def new_training():
    """A model and an optimizer, the same ones each time: it sets the seed, so the random numbers begin again, too."""
    torch.manual_seed(1)
    model = SmallCNN()
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


straight, optimizer = new_training()
curves = {"never stopped": train(straight, optimizer, steps=20)}

half, optimizer = new_training()
first_half = train(half, optimizer, steps=10)
contents = {
    "model": half.state_dict(),
    "optimizer": optimizer.state_dict(),
    "rng": torch.get_rng_state(),  # the state of the random number generator
    "step": 10,
}
torch.save(contents, folder / "training.pt")

for left_out in (None, "optimizer", "rng", "model"):
    saved = torch.load(folder / "training.pt", map_location="cpu", weights_only=True)
    again, optimizer = new_training()  # as a new process would begin
    if left_out != "model":
        again.load_state_dict(saved["model"])
    if left_out != "optimizer":
        optimizer.load_state_dict(saved["optimizer"])
    if left_out != "rng":
        torch.set_rng_state(saved["rng"])
    curves[f"{left_out or 'nothing'} left out"] = first_half + train(again, optimizer, steps=20 - saved["step"])
    exact = same(again.state_dict(), straight.state_dict())
    print(f"left out {left_out or 'nothing':9} the same as never stopped: {exact}")

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
colours = ["#999999", "#0072B2", "#D55E00", "#009E73", "#CC79A7"]
for (name, losses), colour in zip(curves.items(), colours, strict=True):
    style = "o" if name == "nothing left out" else "-"  # dots, so that a line under them is seen
    ax.plot(range(1, len(losses) + 1), losses, style, color=colour, label=name, markersize=5)
ax.axvline(10.5, color="black", linestyle=":")
ax.set(title="stopped after step 10, then resumed", xlabel="step", ylabel="loss", xticks=range(0, 21, 5), ylim=(0, 3))
ax.legend(frameon=False, loc="lower left")
ax.grid(alpha=0.3)
fig.savefig(output_dir(lesson) / "resumed.png", dpi=110)

# %% 9. Break it: model.state_dict = weights
careless = SmallCNN()
careless.state_dict = weights  # on purpose
print("the weights are loaded:", torch.equal(careless.classifier[2].weight, weights["classifier.2.weight"]))
try:
    careless.state_dict()
except TypeError as error:
    show(error)

# %% 10. Break it: eval() forgotten
answers = {}
for mode in ("eval", "train"):
    loaded = SmallCNN()
    loaded.load_state_dict(weights)
    loaded.train(mode == "train")  # a new model is in train mode, and no file says otherwise
    with torch.no_grad():  # the same 64 pictures 50 times
        answers[mode] = torch.stack([loaded(images).softmax(dim=1) for _ in range(50)])  # (50, 64, 10)
    guesses = answers[mode].argmax(dim=2)  # (50, 64)
    wavering = (guesses != guesses[0]).any(dim=0).float().mean()
    spread = answers[mode].amax(dim=0) - answers[mode].amin(dim=0)  # (64, 10): each probability's highest minus lowest
    print(f"{mode}: the class changes from call to call for {wavering:.0%} of the pictures")
    print(f"{mode}: a probability moves by up to {spread.max():.0%}")
    print(f"{mode}: the model is still what the file says: {same(loaded.state_dict(), weights)}")

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
is_right = answers["eval"][0].argmax(dim=1) == labels  # (64,)
lost = (answers["eval"] - answers["train"]).mean(dim=0)[range(64), labels]  # (64,): of the right class's probability
picture = torch.where(is_right, lost, -1).argmax()  # right in eval mode, and train mode takes the most from it
for mode, style, colour in [("train", "o", "#D55E00"), ("eval", "-", "#0072B2")]:
    ax.plot(range(1, 51), answers[mode][:, picture, labels[picture]], style, color=colour, label=mode, clip_on=False)
ax.set(xlabel="call", ylabel="probability of the right class", ylim=(0, 1))
ax.grid(alpha=0.3)
fig.legend(loc="outside upper center", ncols=2, frameon=False)
fig.savefig(output_dir(lesson) / "eval_forgotten.png", dpi=110)

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. Predict the size of a row, then look
table = torch.zeros(1000, 250)  # a million bytes
torch.save(table[0], folder / "row.pt")
torch.save(table[0].clone(), folder / "clone.pt")
for name in ("row.pt", "clone.pt"):
    size = (folder / name).stat().st_size
    print(f"{name:8} holds 250 numbers in {'more than a million' if size > 1_000_000 else 'less than 4000'} bytes")

# %% 12. Prefixes: module. and _orig_mod.
# DataParallel on purpose. backend="eager" leaves out the compiler, which a look at the names does not need.
wrapped = {"DataParallel": nn.DataParallel(SmallCNN()), "torch.compile": torch.compile(SmallCNN(), backend="eager")}
for name, wrapper in wrapped.items():
    theirs = wrapper.state_dict()
    print(f"{name}: {next(iter(theirs))}")
    prefix = next(iter(theirs)).partition(".")[0] + "."
    ours = {key.removeprefix(prefix): value for key, value in theirs.items()}
    print(f"    without {prefix} it fits:", SmallCNN().load_state_dict(ours))

# %% 13. DataParallel: wrap then load, load then wrap
parallel = nn.DataParallel(SmallCNN())  # on purpose
try:
    parallel.load_state_dict(weights)
except RuntimeError as error:
    print("RuntimeError:", str(error).splitlines()[1].strip().split(",")[0], "…")
print("wrap, then load into .module:", parallel.module.load_state_dict(weights))
plain = SmallCNN()
print("load, then wrap:             ", plain.load_state_dict(weights))
parallel = nn.DataParallel(plain)  # on purpose
print("saved from .module:          ", next(iter(parallel.module.state_dict())))
try:
    print(parallel.features)
except AttributeError as error:
    show(error)
print("but .module has it:          ", type(parallel.module.features).__name__)

# %% 14. Saved on a GPU, opened on a machine without it
with zipfile.ZipFile(folder / "weights.pt") as archive, zipfile.ZipFile(folder / "from_gpu.pt", "w") as forged:
    for name in archive.namelist():
        # The index says of each tensor where it lived; a text in it is an X, its length in four bytes, its letters.
        forged.writestr(name, archive.read(name).replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:1"))
for gpus in (0, 1):  # as seen by PyTorch, whatever this machine really has
    with mock.patch("torch.cuda.is_available", lambda n=gpus: n > 0), mock.patch("torch.cuda.device_count", lambda: 1):
        try:
            torch.load(folder / "from_gpu.pt", weights_only=True)
        except RuntimeError as error:
            show(error)
for where in ("cpu", {"cuda:1": "cpu"}):
    moved = torch.load(folder / "from_gpu.pt", map_location=where, weights_only=True)
    device = moved["classifier.2.bias"].device
    print(f"map_location={where!r}: on the {device}, the same: {same(moved, model.state_dict())}")

# %% 15. Half a file
(folder / "half.pt").write_bytes((folder / "training.pt").read_bytes()[:-2000])  # the disk was full, the power failed …
try:
    torch.load(folder / "half.pt", weights_only=True)
except (RuntimeError, OSError):  # which of the two, and in which words, depends on the version of PyTorch
    print("torch.load refuses half a file")
try:
    checkpoint.load(folder / "half.pt")
except UserError as error:
    print("UserError:", str(error).replace(str(folder), "…"))

latest, beside = folder / "latest.pt", folder / "latest.part"
torch.save(contents, latest)
beside.write_bytes(latest.read_bytes()[:-2000])  # the program is killed while it writes the next one
print("killed while writing: latest.pt is whole, step", checkpoint.load(latest)["step"])
torch.save(contents | {"step": 20}, beside)
beside.replace(latest)  # the file gets its name when it is complete: all or nothing
print("written, then renamed: latest.pt is whole, step", checkpoint.load(latest)["step"])

# %% 16. What a saved model does not hold
different = SmallCNN()
different.features[2] = nn.Tanh()  # where the saved network had a ReLU
print("Tanh instead of ReLU:", different.load_state_dict(weights))
with torch.no_grad():
    unchanged = torch.allclose(different.eval()(images), model.eval()(images))
print("    and it gives the same answers:", unchanged)

frozen = SmallCNN().eval().requires_grad_(False)
frozen.load_state_dict(weights)
torch.save(frozen.state_dict(), folder / "frozen.pt")
again = SmallCNN()
again.load_state_dict(torch.load(folder / "frozen.pt", weights_only=True))
print("saved in eval mode and frozen; loaded: training", again.training, end=", ")
print("requires_grad", again.classifier[2].weight.requires_grad)

complete = {
    "model": "cnn",  # which class, with which settings
    "state_dict": CifarCNN().state_dict(),
    "classes": dataset.classes,  # what answer 3 means
    "mean": [0.5, 0.5, 0.5],  # how pictures were prepared
    "std": [0.25, 0.25, 0.25],
}
torch.save(complete, folder / "complete.pt")
trained = checkpoint.load_trained(folder / "complete.pt", classes=[])
print(f"ready to use: {type(trained.model).__name__}, answer 3 means {trained.classes[3]}, mean {trained.mean[0]}")

# %% 17. safetensors, by hand
dtypes = {torch.float32: "F32", torch.int64: "I64"}
header, data = {}, b""
for name, value in model.state_dict().items():
    raw = value.numpy().tobytes()
    header[name] = {
        "dtype": dtypes[value.dtype],
        "shape": list(value.shape),
        "data_offsets": [len(data), len(data) + len(raw)],
    }
    data += raw
text = json.dumps(header).encode()
(folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)  # length, header, numbers

content = (folder / "weights.safetensors").read_bytes()
(length,) = struct.unpack("<Q", content[:8])  # one unsigned number of 8 bytes, the lowest byte first
header, data = json.loads(content[8 : 8 + length]), bytearray(content[8 + length :])
by_name = {short: dtype for dtype, short in dtypes.items()}
read_back = {}
for name, entry in header.items():
    start, end = entry["data_offsets"]
    read_back[name] = torch.frombuffer(data[start:end], dtype=by_name[entry["dtype"]]).reshape(entry["shape"])
print("classifier.2.bias", header["classifier.2.bias"])
print("read back by hand:", same(read_back, model.state_dict()))
print("read by the package:", same(load_file(folder / "weights.safetensors"), model.state_dict()))


# %% 18. Break it: the class was renamed
class TinyCNN(SmallCNN):
    pass


torch.save(TinyCNN(), folder / "tiny_whole.pt")
torch.save(TinyCNN().state_dict(), folder / "tiny.pt")
del TinyCNN  # a week later somebody finds a better name for it
try:
    torch.load(folder / "tiny_whole.pt", weights_only=False)
except AttributeError as error:
    print("AttributeError:", str(error).split(" on <")[0])
print("the state_dict:", SmallCNN().load_state_dict(torch.load(folder / "tiny.pt", weights_only=True)))


# %% 19. Break it: a layer was renamed
class RenamedCNN(SmallCNN):
    def __init__(self):
        super().__init__()
        self.body = self.features
        del self.features

    def forward(self, images):
        return self.classifier(self.body(images))


renamed = RenamedCNN()
try:
    renamed.load_state_dict(weights)
except RuntimeError as error:
    show(error)
renamed.load_state_dict(weights, strict=False)
strangers = renamed.state_dict().keys() - weights.keys()
print(f"strict=False: no error, and {len(strangers)} of {len(weights)} entries did not come from the file")
mended = {name.replace("features.", "body."): value for name, value in weights.items()}
print("with the names mended:", renamed.load_state_dict(mended))
