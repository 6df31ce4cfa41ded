"""Course 02 · TensorBoard — how do I see what a program does while it runs?

Run   python Course02-TensorBoard/summary.py
See   tensorboard --logdir logs        (runs under Course02-TensorBoard)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import io
import json
import shutil
import subprocess
import sys
import time
import urllib.request
import warnings
import wave

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageOps
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn.functional import avg_pool2d, cross_entropy
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import make_grid

from common.data import ants_bees, cifar10, in_memory
from common.models import LeNet
from common.paths import log_dir, output_dir

torch.manual_seed(2)
logs = log_dir("Course02-TensorBoard")
shutil.rmtree(logs, ignore_errors=True)  # start from an empty folder; section 8 shows why


def read(run):
    """All that was logged for a run, read back from its files as TensorBoard reads them."""
    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}  # 0: keep all, not a random sample
    return EventAccumulator(str(logs / run), size_guidance=everything).Reload()


print("log folder:", "/".join(logs.parts[-2:]))

# %% 2. One curve: tag, value, step
with SummaryWriter(logs / "squares") as writer:
    for step in range(6):
        writer.add_scalar("first/square", step**2, step)  # tag, value, step

for event in read("squares").Scalars("first/square"):
    print("step", event.step, "value", event.value)
for path in (logs / "squares").iterdir():
    print("file", ".".join(path.name.split(".")[:3]) + " …")

# %% 3. Several runs in one chart
# Downhill on y = x², as in Course 00: backward() finds the slope, 2x, and x takes a step against it.
rates = [0.05, 0.3, 0.8, 1.02]
for rate in rates:
    x = torch.tensor(2.0, requires_grad=True)
    with SummaryWriter(logs / f"rate={rate}") as writer:  # a folder of its own: a run of its own
        for step in range(21):
            y = x**2
            writer.add_scalar("downhill/x", x.item(), step)  # the same two tags in each run
            writer.add_scalar("downhill/y", y.item(), step)
            x.grad = None
            y.backward()
            with torch.no_grad():
                x -= rate * x.grad

walks = {rate: [event.value for event in read(f"rate={rate}").Scalars("downhill/x")] for rate in rates}
for rate, walk in walks.items():
    print(f"rate {rate:4}: x =", *(f"{x:5.2f}" for x in walk[:4]), f"…   y at step 20: {walk[20] ** 2:.2f}")

# %% 4. Pictures from NumPy (HWC) and from tensors (CHW)
dataset = ants_bees("train")
picture, label = dataset[0]
array = np.array(picture)  # (H, W, 3): rows, columns, then red, green, blue
tensor = torch.from_numpy(array).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)
print("array ", array.shape, array.dtype)
print("tensor", tuple(tensor.shape), tensor.dtype)

with SummaryWriter(logs / "pictures") as writer:
    writer.add_image("ant/from NumPy", array, 0, dataformats="HWC")
    writer.add_image("ant/from a tensor", tensor, 0)  # dataformats="CHW" is the default
    for step, light in enumerate([1.0, 0.6, 0.3]):
        writer.add_image("ant/getting dark", tensor / 255 * light, step)  # float: 0 is black, 1 is white


def pixels(run, tag):
    """The pictures logged under a tag, in the order of their steps, each (H, W, 3) uint8."""
    return [np.array(Image.open(io.BytesIO(event.encoded_image_string))) for event in read(run).Images(tag)]


for tag in ("ant/from NumPy", "ant/from a tensor"):
    print(f"{tag}: arrived as it was:", np.array_equal(pixels("pictures", tag)[0], array))
print("ant/getting dark: brightest pixel", [int(dark.max()) for dark in pixels("pictures", "ant/getting dark")])

# %% 5. A batch as one picture
indices = [*range(8), *range(len(dataset) - 8, len(dataset))]  # eight ants from the front, eight bees from the back
squares = [np.array(ImageOps.fit(dataset[i][0], (64, 64))) for i in indices]  # the middle square, scaled to 64x64
batch = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)  # (16, 64, 64, 3) -> (16, 3, 64, 64)
grid = make_grid(batch, nrow=8, padding=2)  # sixteen pictures become one
with SummaryWriter(logs / "pictures") as writer:
    writer.add_image("grid/make_grid", grid, 0)
    writer.add_images("grid/add_images", batch, 0)  # plural: lays the grid by itself, without lines between
print("make_grid ", tuple(grid.shape))
print("add_images", pixels("pictures", "grid/add_images")[0].shape)

# %% 6. Histograms: many numbers at each step
crowd = torch.randn(1000) * 2
with SummaryWriter(logs / "crowd") as writer:
    for step in range(11):
        writer.add_histogram("downhill/crowd", crowd, step)
        crowd = crowd - 0.1 * (2 * crowd)  # each of the thousand takes a step against its own slope, 2x

for event in read("crowd").Histograms("downhill/crowd")[::5]:
    bars = event.histogram_value
    print(f"step {event.step:2}: {bars.num:.0f} numbers, typical size {(bars.sum_squares / bars.num) ** 0.5:.1f}")

# %% 7. Break it: a picture outside 0…1
with SummaryWriter(logs / "mistakes") as writer:
    writer.add_image("range/float 0 to 1", tensor / 255, 0)
    writer.add_image("range/float 0 to 255", tensor.float(), 0)
    writer.add_image("range/float -1 to 1", tensor / 255 * 2 - 1, 0)
for tag in ("range/float 0 to 1", "range/float 0 to 255", "range/float -1 to 1"):
    (arrived,) = pixels("mistakes", tag)
    print(f"{tag:20} become 0: {(arrived == 0).mean():4.0%}, become 255: {(arrived == 255).mean():4.0%}")

# %% 8. Break it: two runs in one folder
for pause, start, steps in ((0, 4.0, 8), (1, 3.0, 4)):
    time.sleep(pause)  # the name of a log file begins with the second, and files are read in the order of their names
    with SummaryWriter(logs / "mistakes") as writer:
        for step in range(steps):
            writer.add_scalar("twice/two runs", start / 2**step, step)
print("steps", [event.step for event in read("mistakes").Scalars("twice/two runs")])

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 9. Text and figures
fig, axes = plt.subplots(1, 4, figsize=(9, 2.9), dpi=110, sharex=True, sharey=True, layout="constrained")
hill = np.linspace(-2.8, 2.8, 100)
for ax, (rate, walk), colour in zip(axes, walks.items(), ["#0072B2", "#009E73", "#CC79A7", "#D55E00"], strict=True):
    ball = np.array(walk[:8])
    ax.plot(hill, hill**2, color="lightgrey", linewidth=3)
    ax.plot(ball, ball**2, "o-", color=colour, markersize=5)
    ax.set(title=f"learning rate {rate}", xlabel="x")
axes[0].set_ylabel("y = x²")
fig.savefig(output_dir("Course02-TensorBoard") / "downhill.png")

with SummaryWriter(logs / "report") as writer:
    writer.add_figure("report/downhill", fig, 0)  # also closes the figure: save it first
    writer.add_text("report/findings", "Four learning rates on *y = x²*:\n\n- 0.3 is **fast**\n- 1.02 climbs", 0)
print("pictures", read("report").Tags()["images"])
print("text    ", read("report").Tags()["tensors"])

# %% 10. The graph of a network
model = LeNet()
with SummaryWriter(logs / "network") as writer, warnings.catch_warnings(action="ignore"):
    writer.add_graph(model, torch.zeros(1, 3, 32, 32))  # add_graph calls torch.jit.trace, which is deprecated

for part in ("features", "classifier"):
    inside = f"LeNet/Sequential[{part}]/"
    layers = {n.name.removeprefix(inside).split("/")[0] for n in read("network").Graph().node if inside in n.name}
    print(f"{part}:", *sorted(layers, key=lambda layer: int(layer.split("[")[1].rstrip("]"))))

# %% 11. Weights while they learn
data = cifar10(train=False)
images, labels = in_memory(data)
images = images[:400] / 255  # (2000, 3, 32, 32) -> (400, 3, 32, 32), from 0 to 1
labels = labels[:400]
small = avg_pool2d(images, 4).flatten(1)  # (400, 3, 32, 32) -> (400, 3, 8, 8) -> (400, 192)
weights = torch.zeros(10, 3 * 8 * 8, requires_grad=True)  # ten scores a picture, each a weighted sum of its numbers
bias = torch.zeros(10, requires_grad=True)  # added to the ten scores
with SummaryWriter(logs / "learning") as writer:
    for step in range(31):
        writer.add_histogram("learning/weights", weights, step)
        writer.add_histogram("learning/bias", bias, step)
        loss = cross_entropy(small @ weights.T + bias, labels)  # how wrong the scores are: one number
        writer.add_scalar("learning/loss", loss.item(), step)
        loss.backward()
        with torch.no_grad():
            weights -= 0.15 * weights.grad  # the mistake: the bias takes no step
        weights.grad = bias.grad = None

for name in ("weights", "bias"):
    first, *_, last = [event.histogram_value for event in read("learning").Histograms(f"learning/{name}")]
    print(f"{name:7} largest {first.max:.2f} at step 0, {last.max:.2f} at step 30")

# %% 12. Pictures as points: the projector
names = [data.classes[label] for label in labels]
with SummaryWriter(logs / "projector") as writer:
    writer.add_embedding(small, metadata=names, label_img=images, tag="pictures")

centred = small - small.mean(dim=0)
on_a_sphere = centred / centred.norm(dim=1, keepdim=True)  # what "Spherize data" does on the page
spread = torch.linalg.svdvals(on_a_sphere) ** 2  # along each direction, the widest first
shares = spread / spread.sum()
print(f"share of the spread: 1 direction {shares[0]:.0%}, 3 directions {shares[:3].sum():.0%}")
folder = logs / "projector" / "00000" / "pictures"
print(sorted(path.name for path in folder.iterdir()))

# %% 13. Sound
sample_rate = 8000  # numbers a second
seconds = torch.arange(sample_rate) / sample_rate  # 0 … 1
tone = torch.sin(2 * torch.pi * 440 * seconds) * (1 - seconds)  # 440 swings a second, fading away
with SummaryWriter(logs / "sound") as writer:
    writer.add_audio("sound/tone", tone, 0, sample_rate=sample_rate)
    writer.add_audio("sound/too loud", tone * 5, 0, sample_rate=sample_rate)

for tag in ("sound/tone", "sound/too loud"):
    (event,) = read("sound").Audio(tag)
    with wave.open(io.BytesIO(event.encoded_audio_string)) as sound:
        heights = np.frombuffer(sound.readframes(sample_rate), np.int16)
        at_the_limit = (abs(heights.astype(int)) >= 32766).mean()
        print(f"{tag:14} {sound.getnframes()} numbers, {at_the_limit:.0%} at the limit")

# %% 14. Settings and results in one table
for rate, walk in walks.items():
    with SummaryWriter(logs / f"rate={rate}") as writer:
        settings, results = {"rate": rate, "start": walk[0]}, {"result/y": walk[20] ** 2}
        writer.add_hparams(settings, results, run_name=".")  # ".": into this run, not into a new one below it

best = min(rates, key=lambda rate: read(f"rate={rate}").Scalars("result/y")[0].value)
print("lowest y with rate", best)

# %% 15. The page from a program: --logdir and --port
command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port"]
server = subprocess.Popen([*command, "0"], stderr=subprocess.PIPE, text=True)  # port 0: any that is free
try:
    address = next(line.split()[3] for line in server.stderr if " at http" in line)  # TensorBoard 2.21.0 at http://…
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the page is on this very machine
    for _ in range(100):  # it reads the files in the background: ask until it knows them all
        with no_proxy.open(address + "data/runs") as reply:
            runs = sorted(json.load(reply))
        if len(runs) == len(list(logs.iterdir())):
            break
        time.sleep(0.1)
    print(len(runs), "runs on the page, the first:", *runs[:3])

    port = address.rstrip("/").split(":")[-1]
    second = subprocess.run([*command, port], stderr=subprocess.PIPE, text=True)  # a second page on the same port
    print(second.stderr.splitlines()[-1].replace(port, "6006"))
finally:
    server.terminate()
    server.communicate()

# %% 16. Break it: HWC where CHW is wanted
with SummaryWriter(logs / "mistakes") as writer:
    try:
        writer.add_image("order/forgotten", np.zeros((48, 64, 3), np.uint8), 0)
    except TypeError as error:
        print("TypeError:", error)
    try:
        writer.add_image("order/grey", np.zeros((48, 64), np.uint8), 0)
    except AssertionError as error:
        print("AssertionError:", " ".join(str(error).split()))

# %% 17. Break it: no step
with SummaryWriter(logs / "mistakes") as writer:
    for value in (4.0, 1.0, 0.25):
        writer.add_scalar("mistake/no step", value)
print("steps", [event.step for event in read("mistakes").Scalars("mistake/no step")])

# %% 18. Break it: a writer that is not closed
writer = SummaryWriter(logs / "mistakes" / "not closed")
(path,) = (logs / "mistakes" / "not closed").iterdir()
writer.add_image("noise", torch.rand(3, 1000, 1000), 0)
at_once = path.stat().st_size
writer.close()
print(f"in the file right after add_image: {at_once / 1e6:.0f} MB, after close: {path.stat().st_size / 1e6:.0f} MB")
