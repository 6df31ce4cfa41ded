"""Course 21 · SpeedRun — five mistakes that a race invites, each made once.

Run   python Course21-SpeedRun/mistakes.py    a few seconds
Read  notes.md, sections 5 and 7
"""

# %% 1. Setup
import time

import torch
import torch.nn.functional as F
from measuring import synchronize
from speedrun import look_ahead, normalised, whitening_filters

from common.data import in_memory, mean_and_std, open_data
from common.device import pick_device

torch.manual_seed(21)
images, labels = in_memory(open_data("drawn", "train"))
mean, std = map(torch.tensor, mean_and_std(images))
images = images[:500].permute(0, 2, 3, 1)  # (500, 3, 32, 32) -> (500, 32, 32, 3)

# %% 2. Break it: filters of other numbers than the network sees
seen = normalised(images, mean, std)  # (500, 3, 32, 32)
pixels = normalised(images, mean=torch.zeros(3), std=torch.ones(3))  # 0…1
for name, used in (("what it sees", seen), ("pixels in 0…1", pixels)):
    outputs = F.conv2d(seen, whitening_filters(used)[:12])  # (500, 12, 31, 31)
    variances = outputs.var(dim=(0, 2, 3))
    print(f"filters of {name:14} variances of the outputs: {variances.min():5.2f} to {variances.max():5.2f}")

# %% 3. Break it: the averages are kept, but not used
weights = torch.zeros(1000)  # in each, a parabola with its minimum at 0, and a gradient with noise
average = weights.clone()
for _ in range(300):
    weights -= 0.5 * (weights + torch.randn(1000))
    average.lerp_(weights, 0.05)
print(f"distance from the minimum: weights {weights.square().mean().sqrt():.2f}", end=", ")
look_ahead([average], [weights], decay=1)
print(f"after the averages are copied back {weights.square().mean().sqrt():.2f}")

# %% 4. Break it: half precision and the mean
logits = 4 * torch.randn(1024, 10)
logits.requires_grad_(True)
for reduction in ("mean", "sum"):
    loss = F.cross_entropy(logits, torch.arange(1024) % 10, reduction=reduction)
    (gradient,) = torch.autograd.grad(loss, logits)
    lost = (gradient.half() == 0).float().mean()
    print(f"gradients of the {reduction:4} that float16 rounds to 0: {lost:.0%}")

# %% 5. Break it: the clock does not wait
device, _ = pick_device()
matrix = torch.randn(1000, 1000, device=device)
for name, wait in (("does not wait", lambda: None), ("waits", lambda: synchronize(device))):
    synchronize(device)
    start = time.perf_counter()
    product = matrix @ matrix @ matrix
    wait()
    print(f"the clock {name:14} {1000 * (time.perf_counter() - start):6.1f} ms on the {device.type}")

# %% 6. Break it: the views are chosen by the test pictures
by_test, fresh = [], []
for _ in range(25):
    right = torch.rand(2, 10_000) < 0.94  # test pictures, and as many fresh ones
    changed = torch.rand(40, 2, 10_000) < 0.04  # 40 ways to look at them: each answers 4 % of them anew …
    ways = torch.where(changed, torch.rand(40, 2, 10_000) < 0.94, right).float().mean(dim=2)  # … and no better
    best = ways[:, 0].argmax()
    by_test.append(ways[best, 0])
    fresh.append(ways[best, 1])
report, truth = torch.stack(by_test).mean(), torch.stack(fresh).mean()
print(f"the best of 40 ways, by the test pictures: {report:.2%}; on fresh pictures: {truth:.2%}")
