"""Course 15 · Optim — how does a gradient become a step?

Run   python Course15-Optim/optimizers.py
See   outputs/Course15-Optim        (the figures that the notes show)
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import warnings

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.optim import lr_scheduler

from common.data import MemoryLoader, cifar10, in_memory, mean_and_std
from common.models import CifarCNN
from common.paths import output_dir

torch.manual_seed(15)
lesson = "Course15-Optim"
colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"]
train_images, train_labels = in_memory(cifar10(train=True))  # (N, 3, 32, 32) uint8, (N,)
test_images, test_labels = in_memory(cifar10(train=False))
print("pictures in memory:", train_images.dtype, tuple(train_images.shape[1:]))

# %% 2. One step by hand
w = torch.tensor(0.0, requires_grad=True)  # the loss (w - 3)² is lowest at w = 3
learning_rate = 0.1
loss = (w - 3) ** 2
loss.backward()
print(f"gradient: by hand {2 * (0 - 3)}, backward {w.grad.item():.0f}")
optimizer = torch.optim.SGD([w], lr=learning_rate)
optimizer.step()
print(f"new w: by hand {0 - learning_rate * -6:.1f}, SGD {w.item():.1f}")

# %% 3. The loop
w = torch.tensor(0.0, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.1)
walk = []
for step in range(1, 21):
    optimizer.zero_grad()  # forget the gradient of the last step
    output = w * 1.0  # forward: here the whole network is one weight
    loss = (output - 3) ** 2  # how wrong
    loss.backward()  # who is to blame
    optimizer.step()  # move against the blame
    walk.append(w.item())
    if step in (1, 2, 3, 20):
        print(f"step {step:2}: w {w.item():.2f}, by formula {3 * (1 - 0.8**step):.2f}")

# %% 4. Predict what four learning rates do, then look
walks = {}
for lr in (0.01, 0.4, 0.95, 1.05):
    w = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=lr)
    walks[lr] = [w.item()]
    for _ in range(20):
        optimizer.zero_grad()
        ((w - 3) ** 2).backward()
        optimizer.step()
        walks[lr].append(w.item())
    distance = [abs(value - 3) for value in walks[lr]]
    print(f"lr {lr:4}: each step multiplies the distance by {1 - 2 * lr:5.2f}; after 20 steps it is {distance[-1]:.2f}")

# %% 5. Momentum and Nesterov, by hand
# Each rule takes weight, gradient and its own memory (empty at first), and gives the new weight. All in float64.


def sgd(w, g, memory, lr):
    return w - lr * g


def momentum(w, g, memory, lr, mu=0.9):
    memory["v"] = mu * memory.get("v", 0) + g  # a running sum of gradients: speed
    return w - lr * memory["v"]


def nesterov(w, g, memory, lr, mu=0.9):
    memory["v"] = mu * memory.get("v", 0) + g
    return w - lr * (g + mu * memory["v"])  # the speed that the next step would have


def ravine(w):
    """20 times as steep in y as in x. (2,) -> ()"""
    return 0.05 * w[0] ** 2 + w[1] ** 2


def saddle(w):
    """Down in y to either side, up in x; the two lowest points are at y = -1 and y = 1. (2,) -> ()"""
    return w[0] ** 2 / 2 - w[1] ** 2 / 2 + w[1] ** 4 / 4


def path_by_hand(rule, surface, start, steps, **settings):
    """Where a rule of ours goes: (steps + 1, 2)."""
    w, memory, path = torch.tensor(start, dtype=torch.float64), {}, [torch.tensor(start, dtype=torch.float64)]
    for _ in range(steps):
        point = w.clone().requires_grad_()
        surface(point).backward()
        w = rule(w, point.grad, memory, **settings)
        path.append(w)
    return torch.stack(path)


def path_by_torch(optimizer_class, surface, start, steps, **settings):
    """Where an optimizer of torch.optim goes: (steps + 1, 2)."""
    w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer, path = optimizer_class([w], **settings), [w.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        surface(w).backward()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


largest_difference = {}


def compare(rule, lr, optimizer_class, **settings):
    """Ten steps of our rule and of torch.optim's from the same place, on both surfaces."""
    ours = torch.cat([path_by_hand(rule, surface, [-1.5, 0.8], 10, lr=lr) for surface in (ravine, saddle)])
    theirs = [path_by_torch(optimizer_class, s, [-1.5, 0.8], 10, lr=lr, **settings) for s in (ravine, saddle)]
    largest_difference[rule.__name__] = (ours - torch.cat(theirs)).abs().max().item()
    x, y = ours[10]
    same = largest_difference[rule.__name__] < 1e-6
    print(f"{rule.__name__:8} after 10 steps at ({x:.3f}, {y:6.3f}), equal to {optimizer_class.__name__}: {same}")


compare(sgd, 0.1, torch.optim.SGD)
compare(momentum, 0.1, torch.optim.SGD, momentum=0.9)
compare(nesterov, 0.1, torch.optim.SGD, momentum=0.9, nesterov=True)

# %% 6. Adagrad and RMSprop, by hand


def adagrad(w, g, memory, lr, eps=1e-10):
    memory["s"] = memory.get("s", 0) + g**2  # all squares so far
    return w - lr * g / (memory["s"].sqrt() + eps)


def rmsprop(w, g, memory, lr, alpha=0.99, eps=1e-8):
    memory["s"] = alpha * memory.get("s", 0) + (1 - alpha) * g**2  # old squares fade
    return w - lr * g / (memory["s"].sqrt() + eps)


compare(adagrad, 0.1, torch.optim.Adagrad)
compare(rmsprop, 0.01, torch.optim.RMSprop)
for scale in (1, 1000):
    first = path_by_hand(adagrad, lambda w, scale=scale: scale * ravine(w), [-1.5, 0.8], 1, lr=0.1)
    print(
        f"adagrad, loss times {scale:4}: the first step moves by", [round(d, 3) for d in (first[1] - first[0]).tolist()]
    )

# %% 7. Adam and AdamW, by hand


def adam(w, g, memory, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t = memory["t"] = memory.get("t", 0) + 1
    memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g  # mean of the gradients, as momentum
    memory["s"] = beta2 * memory.get("s", 0) + (1 - beta2) * g**2  # mean of their squares, as RMSprop
    m, s = memory["m"] / (1 - beta1**t), memory["s"] / (1 - beta2**t)  # both began at 0: make up for it
    return w - lr * m / (s.sqrt() + eps)


def adamw(w, g, memory, lr, weight_decay=0.01):
    w = w - lr * weight_decay * w  # every weight shrinks a little, whatever its gradient
    return adam(w, g, memory, lr)


compare(adam, 0.1, torch.optim.Adam)
compare(adamw, 0.1, torch.optim.AdamW, weight_decay=0.01)

# %% 8. A ravine and a saddle
runs = {
    "SGD": (torch.optim.SGD, {"lr": 0.9}),
    "momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.9}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.1}),
    "Adam": (torch.optim.Adam, {"lr": 0.5}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.5}),
}
# In the ravine each rule has a learning rate that suits it; past the saddle all walk with the same one.
scenes = {
    "ravine": (ravine, [-8.0, 1.6], 0.0),
    "saddle": (saddle, [-1.6, 0.001], -0.25),
}  # surface, start, lowest value
paths, needed = {}, {}
for name, (optimizer_class, settings) in runs.items():
    for scene, (surface, start, lowest) in scenes.items():
        chosen = settings | ({"lr": 0.1} if scene == "saddle" else {})
        path = paths[name, scene] = path_by_torch(optimizer_class, surface, start, 200, **chosen)
        far = torch.stack([surface(point) for point in path]) > lowest + 0.01  # (201,)
        needed[name, scene] = far.nonzero().max().item() + 1  # the first step of those that stay near
    print(f"{name:8} steps to settle: ravine {needed[name, 'ravine']:2}, saddle {needed[name, 'saddle']:3}")

fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
frames = {"ravine": (-9, 2.5, -2, 2), "saddle": (-1.9, 1.3, -0.6, 1.6)}
markers = {"SGD": "o", "momentum": "s", "Adagrad": "^", "RMSprop": "D", "Adam": "v"}
for ax, (scene, (surface, start, lowest)) in zip(axes, scenes.items(), strict=True):
    left, right, bottom, top = frames[scene]
    x, y = torch.meshgrid(torch.linspace(left, right, 200), torch.linspace(bottom, top, 200), indexing="xy")
    height = surface(torch.stack([x, y])) - lowest  # (200, 200)
    ax.contourf(x, y, height.sqrt(), levels=14, cmap="Greys", alpha=0.45)
    for (name, marker), colour in zip(markers.items(), colours, strict=True):
        path = paths[name, scene][:61]
        ax.plot(*path.T, color=colour, marker=marker, markersize=3.5, linewidth=1.2, label=name)
    ax.plot(*start, "*", color="black", markersize=14)
    ax.set(title=f"{scene}: 60 steps from the star", xlim=(left, right), ylim=(bottom, top), xlabel="x", ylabel="y")
axes[0].legend(loc="lower right", fontsize=9)
fig.savefig(output_dir(lesson) / "paths.png", dpi=100)

# %% 9. Weight decay: in the gradient or beside it
penalty_in_the_loss = path_by_hand(sgd, lambda w: ravine(w) + 0.1 / 2 * (w**2).sum(), [-1.5, 0.8], 10, lr=0.1)
decay_in_sgd = path_by_torch(torch.optim.SGD, ravine, [-1.5, 0.8], 10, lr=0.1, weight_decay=0.1)
print("SGD: weight_decay equals a penalty in the loss:", torch.allclose(penalty_in_the_loss, decay_in_sgd))

# Two weights that only hear noise: +g, -g, +g, … One hears it softly, the other loudly.
volume = torch.tensor([0.001, 10.0])
left_over = {}
for optimizer_class in (torch.optim.Adam, torch.optim.AdamW):
    noisy = torch.ones(2, requires_grad=True)
    optimizer = optimizer_class([noisy], lr=0.01, weight_decay=0.1)
    for step in range(1000):
        noisy.grad = volume * (-1) ** step
        optimizer.step()
    left_over[optimizer_class.__name__] = noisy.tolist()
    print(f"{optimizer_class.__name__:5} after 1000 steps: soft noise {noisy[0]:.2f}, loud noise {noisy[1]:.2f}")
print(f"(1 - lr * decay) ** 1000 = {(1 - 0.01 * 0.1) ** 1000:.2f}")

# %% 10. Schedulers: a learning rate that changes
schedulers = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=15, gamma=0.3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.95),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=60),
    "LinearLR, then cosine": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=10), lr_scheduler.CosineAnnealingLR(o, T_max=50)],
        milestones=[10],
    ),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=60),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.3, patience=5),
}
schedules = {}
for name, make_scheduler in schedulers.items():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make_scheduler(optimizer)
    schedules[name] = []
    for epoch in range(60):
        schedules[name].append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if name == "ReduceLROnPlateau":
            scheduler.step(max(1 - epoch / 20, 0.3))  # a loss that falls until epoch 14 and then stands still
        else:
            scheduler.step()
    print(f"{name:21}", " ".join(f"{schedules[name][epoch]:.2f}" for epoch in (0, 10, 20, 30, 40, 50)))

fig, axes = plt.subplots(2, 3, figsize=(10, 4.4), layout="constrained", sharex=True, sharey=True)
for ax, (name, values) in zip(axes.flat, schedules.items(), strict=True):
    ax.plot(values, color=colours[0], drawstyle="steps-post")
    ax.set_title(name, fontsize=11)
    ax.grid(alpha=0.3)
for ax in axes[1]:
    ax.set_xlabel("epoch, or step")
for ax in axes[:, 0]:
    ax.set_ylabel("learning rate")
fig.savefig(output_dir(lesson) / "schedules.png", dpi=100)

# %% 11. Parameter groups
mean, std = mean_and_std(train_images)
loss_fn = nn.CrossEntropyLoss()
model = CifarCNN()
optimizer = torch.optim.SGD(
    [
        {"params": model.features.parameters(), "lr": 0.001},  # slowly
        {"params": model.classifier.parameters()},  # with what stands below
    ],
    lr=0.1,
)
images, labels = next(iter(MemoryLoader(train_images, train_labels, 50, mean, std)))  # (50, 3, 32, 32), (50,)
loss_fn(model(images), labels).backward()
watched = {"features": model.features[0].weight, "classifier": model.classifier[-1].weight}
before = {name: weight.detach().clone() for name, weight in watched.items()}
optimizer.step()
ratio = {}
for name, group in zip(watched, optimizer.param_groups, strict=True):
    moved = (watched[name].detach() - before[name]).norm()
    ratio[name] = (moved / watched[name].grad.norm()).item()
    print(f"{name:10} {len(group['params'])} tensors, lr {group['lr']}: moved / gradient = {ratio[name]:.3f}")

# %% 12. Vary one thing: four learning rates for ten templates
# The linear classifier of Course 11, because it takes no time: 60 steps over the same 1,000 pictures.
some_images, some_labels = next(iter(MemoryLoader(train_images, train_labels, 1000, mean, std)))
some_images = some_images.flatten(1)  # (1000, 3, 32, 32) -> (1000, 3072)
curves = {}
for lr in (0.0001, 0.003, 0.01, 0.03):
    templates = nn.Linear(3 * 32 * 32, 10)
    nn.init.zeros_(templates.weight)  # every run begins at the same place
    nn.init.zeros_(templates.bias)
    optimizer = torch.optim.SGD(templates.parameters(), lr=lr)
    curves[lr] = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_fn(templates(some_images), some_labels)
        loss.backward()
        optimizer.step()
        curves[lr].append(loss.item())
    print(
        f"lr {lr:<6}: loss {curves[lr][0]:.1f} at first, {curves[lr][-1]:.1f} in the end, worst {max(curves[lr]):.1f}"
    )

fig, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
styles = ["-", "--", "-.", ":"]
for (lr, values), colour, style in zip(walks.items(), colours, styles, strict=False):
    axes[0].plot(values, style, color=colour, label=f"lr {lr}")
axes[0].axhline(3, color="grey", linewidth=0.8)
axes[0].set(title="one weight, whose best value is 3", xlabel="step", ylabel="w", ylim=(-5, 9), xticks=range(0, 21, 5))
for (lr, values), colour, style in zip(curves.items(), colours, styles, strict=False):
    axes[1].plot(values, style, color=colour, label=f"lr {lr}")
axes[1].set(title="ten templates, 1,000 pictures", xlabel="step", ylabel="loss")
for ax in axes:
    ax.grid(alpha=0.3)
    ax.legend(framealpha=1, ncols=2)
fig.savefig(output_dir(lesson) / "learning_rates.png", dpi=100)

# %% 13. A real network, briefly
epochs, few = 3, 1500  # Course 18 takes all pictures
train_loader = MemoryLoader(train_images[:few], train_labels[:few], 50, mean, std, shuffle=True)
test_loader = MemoryLoader(test_images[:500], test_labels[:500], 500, mean, std)
model = CifarCNN()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.003)
scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.003, total_steps=epochs * len(train_loader))
batch_losses, accuracies = [], []
for epoch in range(1, epochs + 1):
    train_loader.set_epoch(epoch)  # another order each time
    model.train()
    for images, labels in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()  # here once a batch; most schedulers want it once an epoch
        batch_losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        correct = sum((model(images).argmax(dim=1) == labels).sum().item() for images, labels in test_loader)
    accuracies.append(correct / len(test_loader.labels))
    epoch_loss = sum(batch_losses[-len(train_loader) :]) / len(train_loader)
    print(f"epoch {epoch}: loss {epoch_loss:.1f}, accuracy on 500 pictures it never saw {accuracies[-1]:.0%}")

# %% 14. Break it: the optimizer was built before the last layer was replaced
images, labels = next(iter(test_loader))
images, labels = images[:50], labels[:50] % 2  # two classes now: even and odd
moves = {}
for order in ("optimizer first", "layer first"):
    model = CifarCNN()
    if order == "optimizer first":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model.classifier[-1] = nn.Linear(64, 2)
    else:
        model.classifier[-1] = nn.Linear(64, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    new_layer = model.classifier[-1]
    start = new_layer.weight.detach().clone()
    for _ in range(2):
        optimizer.zero_grad()
        loss_fn(model(images), labels).backward()
        optimizer.step()
    moves[order] = not torch.equal(new_layer.weight, start)
    known = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in model.named_parameters() if id(p) not in known]
    print(f"{order}: the new layer moved: {moves[order]}, the optimizer does not know {missing}")

# %% 15. Break it: forget zero_grad
forgetful = {}
for forget in (False, True):
    w = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    forgetful[forget] = []
    for _ in range(40):
        if not forget:
            optimizer.zero_grad()
        ((w - 3) ** 2).backward()
        optimizer.step()
        forgetful[forget].append(w.item())
    last = forgetful[forget][-14:]
    print(
        "without zero_grad:" if forget else "with zero_grad:   ",
        f"the last 14 steps between {min(last):.2f} and {max(last):.2f}",
    )

# %% 16. Break it: nothing to optimise, and the scheduler first
weights = model.parameters()
count = sum(p.numel() for p in weights)  # walks through all of them, and now the walk is over
for name, handed_over in (("the model", model), ("used-up parameters", weights), ("one tensor", new_layer.weight)):
    try:
        torch.optim.SGD(handed_over, lr=0.1)
    except (TypeError, ValueError) as error:
        print(f"{name}: {type(error).__name__}: {str(error).split(', but')[0]}")

optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    scheduler.step()
    first_lr = optimizer.param_groups[0]["lr"]
    optimizer.step()
print("UserWarning:", str(caught[0].message).split(". ")[0])
print(f"the first step was made with lr {first_lr:.1f} instead of 1.0")
