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

from common.data import cifar10, in_memory, mean_and_std
from common.models import CifarCNN
from common.paths import output_dir

torch.manual_seed(15)
lesson = "Course15-Optim"
colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
train_bytes, train_labels = in_memory(cifar10(train=True))  # (N, 3, 32, 32) uint8, (N,)
test_bytes, test_labels = in_memory(cifar10(train=False))
mean, std = (torch.tensor(value).view(3, 1, 1) for value in mean_and_std(train_bytes))
train_images, train_labels = (train_bytes[:1000] / 255 - mean) / std, train_labels[:1000]  # Course 18 takes all
test_images, test_labels = (test_bytes[:500] / 255 - mean) / std, test_labels[:500]
train_images = train_images.contiguous(memory_format=torch.channels_last)  # the same numbers, faster convolutions
print("to learn from", tuple(train_images.shape), "to test with", tuple(test_images.shape))

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
    optimizer.zero_grad()  # clear the gradient of the last step
    output = w * 1.0  # forward: here the whole network is one weight
    loss = (output - 3) ** 2  # how wrong
    loss.backward()  # in which direction the loss rises
    optimizer.step()  # move the other way
    walk.append(w.item())
    if step in (1, 2, 3, 20):
        print(f"step {step:2}: w {w.item():.2f}, by formula {3 * (1 - 0.8**step):.2f}")

# %% 4. The same loop trains a network
model = CifarCNN()
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
epoch_losses, accuracies = [], []
for epoch in range(1, 5):
    model.train()
    batch_losses = []
    for batch in torch.randperm(len(train_labels)).split(20):  # a new order each time, cut into 50 batches
        optimizer.zero_grad()
        output = model(train_images[batch])  # (20, 3, 32, 32) -> (20, 10)
        loss = loss_fn(output, train_labels[batch])
        loss.backward()
        optimizer.step()
        batch_losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        right = model(test_images).argmax(dim=1) == test_labels  # (500,)
    epoch_losses.append(sum(batch_losses) / len(batch_losses))
    accuracies.append(right.float().mean().item())
    print(f"epoch {epoch}: loss {epoch_losses[-1]:.1f}, accuracy on 500 new pictures {accuracies[-1]:.0%}")

# %% 5. Four learning rates
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
    print(f"lr {lr:4}: distance after 20 steps {abs(walks[lr][-1] - 3):5.2f}")

fig, axes = plt.subplots(1, 4, figsize=(9, 2.6), layout="constrained", sharey=True)
for ax, (lr, values), colour in zip(axes, walks.items(), colours, strict=True):
    ax.axhline(3, color="#999999", linewidth=1)
    ax.plot(values, marker="o", markersize=4, color=colour)
    ax.set(title=f"lr {lr}", xlabel="step", ylim=(-5, 11), xticks=range(0, 21, 10))
    ax.grid(alpha=0.3)
axes[0].set_ylabel("w")
fig.savefig(output_dir(lesson) / "learning_rates.png", dpi=110)

# %% 6. Momentum by hand
# A rule takes the weights, their gradient and its own memory (empty at first), and returns the new weights.


def sgd(w, g, memory, lr):
    return w - lr * g


def momentum(w, g, memory, lr, mu=0.9):
    memory["v"] = mu * memory.get("v", 0) + g  # the speed: a sum of gradients, in which old ones fade
    return w - lr * memory["v"]


def ravine(w):
    """20 times as steep in y as in x, lowest at (0, 0). (2,) -> ()"""
    return 0.05 * w[0] ** 2 + w[1] ** 2


def saddle(w):
    """Up in x; down in y to both sides, as far as (0, -1) and (0, 1). (2,) -> ()"""
    return w[0] ** 2 / 2 + (w[1] ** 2 - 1) ** 2 / 4


def path_by_hand(rule, surface, start, steps, **settings):
    """The places that a rule of ours visits: (steps + 1, 2)."""
    w, memory = torch.tensor(start, dtype=torch.float64), {}
    path = [w]
    for _ in range(steps):
        point = w.clone().requires_grad_()
        surface(point).backward()
        w = rule(w, point.grad, memory, **settings)
        path.append(w)
    return torch.stack(path)


def path_by_torch(optimizer_class, surface, start, steps, **settings):
    """The places that an optimizer of torch.optim visits: (steps + 1, 2)."""
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
    call = f"{optimizer_class.__name__}({', '.join(f'{name}={value}' for name, value in settings.items())})"
    print(f"{rule.__name__:8} leads to ({x:.3f}, {y:6.3f}), equal to {call}: {same}")


compare(sgd, 0.1, torch.optim.SGD)
compare(momentum, 0.1, torch.optim.SGD, momentum=0.9)

# %% 7. Adam and AdamW by hand


def adam(w, g, memory, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    t = memory["t"] = memory.get("t", 0) + 1
    memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g  # running mean of the gradients
    memory["s"] = beta2 * memory.get("s", 0) + (1 - beta2) * g**2  # running mean of their squares
    m, s = memory["m"] / (1 - beta1**t), memory["s"] / (1 - beta2**t)  # both began at 0: make up for it
    return w - lr * m / (s.sqrt() + eps)


def adamw(w, g, memory, lr, weight_decay=0.01):
    w = w - lr * weight_decay * w  # each weight shrinks a little, whatever its gradient
    return adam(w, g, memory, lr)


compare(adam, 0.1, torch.optim.Adam)
compare(adamw, 0.1, torch.optim.AdamW, weight_decay=0.01)
for scale in (1, 1000):
    steep = path_by_hand(adam, lambda w, scale=scale: scale * ravine(w), [-1.5, 0.8], 1, lr=0.1)
    print(f"adam, loss times {scale:4}: the first step is", [round(d, 3) for d in (steep[1] - steep[0]).tolist()])

# %% 8. A ravine and a saddle
scenes = {  # surface, start, and what the picture shows: left, right, bottom, top
    "ravine": (ravine, [-8.0, 1.6], (-9, 3, -2.3, 2.3)),
    "saddle": (saddle, [-1.6, 0.001], (-2, 1.4, -0.6, 1.6)),
}
paths, needed = {}, {}


def try_out(name, optimizer_class, **settings):
    """200 steps on each surface: in the ravine with the given learning rate, on the saddle with 0.1 for all."""
    for scene, (surface, start, _) in scenes.items():
        chosen = settings | ({"lr": 0.1} if scene == "saddle" else {})
        path = paths[name, scene] = path_by_torch(optimizer_class, surface, start, 200, **chosen)
        far = torch.stack([surface(point) for point in path]) > 0.01  # (201,)
        needed[name, scene] = far.nonzero().max().item() + 1  # the first step of those that stay near
    print(f"{name:12} ravine {needed[name, 'ravine']:2}, saddle {needed[name, 'saddle']:3}")


def draw_paths(names):
    """One panel for each optimizer and surface: every step of those that it needed, with x and y equally long."""
    fig, axes = plt.subplots(
        len(names), 2, figsize=(9, 8), layout="constrained", sharex="col", sharey="col", width_ratios=[1.7, 1]
    )
    for column, (scene, (surface, start, (left, right, bottom, top))) in zip(axes.T, scenes.items(), strict=True):
        x, y = torch.meshgrid(torch.linspace(left, right, 90), torch.linspace(bottom, top, 90), indexing="xy")
        lowest = (0, 0) if scene == "ravine" else (0, 1)
        for ax, name in zip(column, names, strict=True):
            ax.contourf(x, y, surface(torch.stack([x, y])).sqrt(), levels=12, cmap="Greys", alpha=0.4)
            path = paths[name, scene][: needed[name, scene] + 1]
            ax.plot(*path.T, color=colours[0], marker="o", markersize=3, linewidth=1.2, label="one dot for each step")
            ax.plot(*start, "*", color=colours[1], markersize=13, label="start")
            ax.plot(*lowest, "+", color="black", markersize=11, markeredgewidth=2, label="lowest point")
            ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", ylabel="y")
            ax.set_title(f"{scene}, {name}: {needed[name, scene]} steps", fontsize=11)
        column[-1].set_xlabel("x")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return fig


try_out("SGD", torch.optim.SGD, lr=0.92)
try_out("momentum 0.5", torch.optim.SGD, lr=1.14, momentum=0.5)
try_out("momentum 0.9", torch.optim.SGD, lr=0.12, momentum=0.9)
try_out("Adam", torch.optim.Adam, lr=0.46)
fig = draw_paths(["SGD", "momentum 0.5", "momentum 0.9", "Adam"])
fig.savefig(output_dir(lesson) / "paths.png", dpi=90)

# %% 9. Break it: forget zero_grad
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
    last = forgetful[forget][-14:]  # about as long as one swing
    title = "without zero_grad:" if forget else "with zero_grad:   "
    print(title, f"the last 14 steps between {min(last):.2f} and {max(last):.2f}")

# %% 10. Break it: the optimizer came before the new layer
images, labels = train_images[:50], train_labels[:50] % 2  # two classes now: even and odd
moves = {}
for order in ("optimizer first", "layer first"):
    model = CifarCNN()
    if order == "optimizer first":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # on purpose
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
    print(f"{order}: the new layer moved: {moves[order]}")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 11. Where zero_grad may stand
ends = {}
for place in ("first", "before backward", "after step", "before step"):
    w = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    for _ in range(20):
        if place == "first":
            optimizer.zero_grad()
        loss = (w - 3) ** 2
        if place == "before backward":
            optimizer.zero_grad()
        loss.backward()
        if place == "before step":
            optimizer.zero_grad()
        optimizer.step()
        if place == "after step":
            optimizer.zero_grad()
    ends[place] = w.item()
    print(f"{place:15}: w ends at {w.item():.2f}")

coasting = {}
for to_none in (True, False):
    w = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    ((w - 3) ** 2).backward()
    optimizer.step()  # from 0 to 0.6
    optimizer.zero_grad(set_to_none=to_none)
    optimizer.step()  # no new gradient: what now?
    coasting[to_none] = w.item()
    print(f"set_to_none={to_none!s:5}: grad {w.grad}, the next step leads from 0.60 to {w.item():.2f}")

# %% 12. Momentum in PyTorch and in textbooks


def textbook_momentum(w, g, memory, lr, mu=0.9):
    memory["v"] = mu * memory.get("v", 0) - lr * g  # the rate is inside the speed
    return w + memory["v"]


def averaging_momentum(w, g, memory, lr, mu=0.9):
    memory["v"] = mu * memory.get("v", 0) + (1 - mu) * g  # a mean instead of a sum
    return w - lr * memory["v"]


forms = {"PyTorch": momentum, "textbook": textbook_momentum, "averaging": averaging_momentum}
first_steps, after_the_drop = {}, {}
for name, rule in forms.items():
    w, memory, steps = torch.tensor(0.0, dtype=torch.float64), {}, []
    for lr in [0.1] * 5 + [0.001] * 3:  # the gradient is always 1; after five steps the rate falls to a hundredth
        new_w = rule(w, torch.tensor(1.0, dtype=torch.float64), memory, lr)
        steps.append((w - new_w).item())
        w = new_w
    first_steps[name], after_the_drop[name] = steps[:5], steps[5:]
    print(f"{name:9} lr 0.1:", *(f"{s:.3f}" for s in steps[:5]), " lr 0.001:", *(f"{s:.3f}" for s in steps[5:]))

# %% 13. Nesterov by hand


def nesterov(w, g, memory, lr, mu=0.9):
    memory["v"] = mu * memory.get("v", 0) + g
    return w - lr * (g + mu * memory["v"])  # the speed that the next step would have


compare(nesterov, 0.1, torch.optim.SGD, momentum=0.9, nesterov=True)

# %% 14. Adagrad, RMSprop and Adadelta by hand


def adagrad(w, g, memory, lr, eps=1e-10):
    memory["s"] = memory.get("s", 0) + g**2  # all squares so far
    return w - lr * g / (memory["s"].sqrt() + eps)


def rmsprop(w, g, memory, lr, alpha=0.99, eps=1e-8):
    memory["s"] = alpha * memory.get("s", 0) + (1 - alpha) * g**2  # old squares fade
    return w - lr * g / (memory["s"].sqrt() + eps)


def adadelta(w, g, memory, lr, rho=0.9, eps=1e-6):
    memory["s"] = rho * memory.get("s", 0) + (1 - rho) * g**2  # as RMSprop
    step = ((memory.get("d", 0) + eps) / (memory["s"] + eps)) ** 0.5 * g  # as long as the steps before
    memory["d"] = rho * memory.get("d", 0) + (1 - rho) * step**2
    return w - lr * step


compare(adagrad, 0.1, torch.optim.Adagrad)
compare(rmsprop, 0.01, torch.optim.RMSprop)
compare(adadelta, 1.0, torch.optim.Adadelta)
first_step = {}
for rho, eps in ((0.9, 1e-6), (0.9, 1e-2), (0.99, 1e-6)):
    path = path_by_torch(torch.optim.Adadelta, ravine, [-1.5, 0.8], 100, lr=1.0, rho=rho, eps=eps)
    first_step[rho, eps] = (path[1] - path[0]).abs().tolist()
    way = (path[100] - path[0]).norm()
    print(f"adadelta, rho {rho}, eps {eps:g}: first step {first_step[rho, eps][0]:.4f}, way of 100 steps {way:.2f}")

# %% 15. The other four in the ravine and on the saddle
try_out("Nesterov 0.7", torch.optim.SGD, lr=0.6, momentum=0.7, nesterov=True)
try_out("Adagrad", torch.optim.Adagrad, lr=0.9)
try_out("RMSprop", torch.optim.RMSprop, lr=0.1)
try_out("Adadelta", torch.optim.Adadelta, lr=1.0, eps=1e-2)
fig = draw_paths(["Nesterov 0.7", "Adagrad", "RMSprop", "Adadelta"])
fig.savefig(output_dir(lesson) / "more_paths.png", dpi=90)

# %% 16. Weight decay: in the gradient or beside it
penalty_in_the_loss = path_by_hand(sgd, lambda w: ravine(w) + 0.1 / 2 * (w**2).sum(), [-1.5, 0.8], 10, lr=0.1)
decay_in_sgd = path_by_torch(torch.optim.SGD, ravine, [-1.5, 0.8], 10, lr=0.1, weight_decay=0.1)
print("SGD: weight_decay equals a penalty in the loss:", torch.allclose(penalty_in_the_loss, decay_in_sgd))

# Two weights whose gradients are only noise: +g, -g, +g, … One g is small, the other is large.
volume = torch.tensor([0.001, 10.0])
left_over = {}
for optimizer_class in (torch.optim.Adam, torch.optim.AdamW):
    noisy = torch.ones(2, requires_grad=True)
    optimizer = optimizer_class([noisy], lr=0.01, weight_decay=0.1)
    for step in range(1000):
        noisy.grad = volume * (-1) ** step
        optimizer.step()
    left_over[optimizer_class.__name__] = noisy.tolist()
    print(f"{optimizer_class.__name__:5} after 1000 steps: small noise {noisy[0]:.2f}, large noise {noisy[1]:.2f}")
print(f"(1 - lr * decay) ** 1000 = {(1 - 0.01 * 0.1) ** 1000:.2f}")

# %% 17. Schedulers: a learning rate that changes
schedulers = {
    "constant": lambda o: lr_scheduler.ConstantLR(o, factor=1.0),
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=15, gamma=0.3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.95),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=60),
    "LinearLR, then cosine": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=10), lr_scheduler.CosineAnnealingLR(o, T_max=50)],
        milestones=[10],
    ),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=60, cycle_momentum=False),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.3, patience=5),
}
schedules, losses = {}, {}
for name, make_scheduler in schedulers.items():
    torch.manual_seed(17)
    w = torch.full((1000,), -27.0, requires_grad=True)  # a thousand weights, each 30 away from its best value, 3
    optimizer = torch.optim.SGD([w], lr=1.0)
    scheduler = make_scheduler(optimizer)
    schedules[name], losses[name] = [], []
    for _ in range(60):  # epochs of one step
        schedules[name].append(optimizer.param_groups[0]["lr"])
        losses[name].append((0.15 * (w - 3) ** 2).mean().item())
        w.grad = 0.3 * (w.detach() - 3) + torch.randn(1000)  # its gradient, with the noise that a small batch brings
        optimizer.step()
        if name == "ReduceLROnPlateau":
            scheduler.step(losses[name][-1])  # this one looks at the loss
        else:
            scheduler.step()
    rates = " ".join(f"{schedules[name][epoch]:.2f}" for epoch in (0, 10, 20, 30, 40, 50))
    print(f"{name:21} {rates}  last loss {losses[name][-1]:.2f}")

fig, axes = plt.subplots(2, 3, figsize=(9, 4.8), layout="constrained", sharex=True, sharey=True)
for ax, name in zip(axes.flat, list(schedules)[1:], strict=True):
    ax.plot(losses["constant"], color="#999999", linewidth=1, label="loss at a constant rate")
    ax.plot(losses[name], color=colours[0], label="loss")
    ax.plot(schedules[name], color=colours[1], drawstyle="steps-post", linestyle="--", label="learning rate")
    ax.set(title=name, yscale="log", ylim=(0.002, 300))
    ax.grid(alpha=0.3)
for ax in axes[1]:
    ax.set_xlabel("epoch")
axes[0, 0].legend(fontsize=8)
fig.savefig(output_dir(lesson) / "schedules.png", dpi=110)

# %% 18. Parameter groups
model = CifarCNN()
optimizer = torch.optim.SGD(
    [
        {"params": model.features.parameters(), "lr": 0.001},  # slowly
        {"params": model.classifier.parameters()},  # with what stands below
    ],
    lr=0.1,
)
loss_fn(model(train_images[:50]), train_labels[:50]).backward()
watched = {"features": model.features[0].weight, "classifier": model.classifier[-1].weight}
before = {name: weight.detach().clone() for name, weight in watched.items()}
optimizer.step()
ratio = {}
for name, group in zip(watched, optimizer.param_groups, strict=True):
    moved = (watched[name].detach() - before[name]).norm()
    ratio[name] = (moved / watched[name].grad.norm()).item()
    print(f"{name:10} {len(group['params'])} tensors, lr {group['lr']}: moved / gradient = {ratio[name]:.3f}")

# %% 19. Four learning rates for ten templates
# The linear classifier of Course 11, because it takes no time: 60 steps, each over all 1,000 pictures.
flat_images = train_images.flatten(1)  # (1000, 3, 32, 32) -> (1000, 3072)
curves = {}
for lr in (0.0001, 0.003, 0.01, 0.03):
    templates = nn.Linear(3 * 32 * 32, 10)
    nn.init.zeros_(templates.weight)  # each run begins at the same place
    nn.init.zeros_(templates.bias)
    optimizer = torch.optim.SGD(templates.parameters(), lr=lr)
    curves[lr] = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = loss_fn(templates(flat_images), train_labels)
        loss.backward()
        optimizer.step()
        curves[lr].append(loss.item())
    first, last, worst = curves[lr][0], curves[lr][-1], max(curves[lr])
    print(f"lr {lr:<6}: loss {first:.1f} at first, {last:.1f} in the end, worst {worst:.1f}")

fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for (lr, values), colour, style in zip(curves.items(), colours, ["-", "--", "-.", ":"], strict=True):
    ax.plot(values, style, color=colour, label=f"lr {lr}")
ax.set(xlabel="step", ylabel="loss")
ax.grid(alpha=0.3)
ax.legend(ncols=2)
fig.savefig(output_dir(lesson) / "template_losses.png", dpi=110)

# %% 20. Break it: nothing to optimise, and the scheduler first
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
