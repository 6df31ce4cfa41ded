"""Course 13 · LossFunc — how wrong is an answer?

Run   python Course13-LossFunc/lossfunc.py
See   what it prints; drawing.py beside it draws the pictures of the notes
Read  notes.md, whose sections carry the numbers of the cells below
"""

# %% 1. Setup
import math
import warnings

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from common.data import cifar10
from common.models import CifarCNN

torch.manual_seed(13)
to_float = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
test_set = cifar10(train=False, transform=to_float)
images, labels = next(iter(DataLoader(test_set, batch_size=64)))  # (64, 3, 32, 32), (64,)
print("labels", tuple(labels.shape), labels.dtype)

# %% 2. Two losses by hand: L1 and MSE
outputs = torch.tensor([1.0, 2.0, 3.0])  # what the network says
targets = torch.tensor([1.0, 2.0, 5.0])  # what is true
errors = outputs - targets
print("errors", errors.tolist())
l1_by_hand = errors.abs().sum() / len(errors)  # (0 + 0 + 2) / 3
mse_by_hand = (errors**2).sum() / len(errors)  # (0 + 0 + 4) / 3
print(f"L1   by hand {l1_by_hand:.3f}, nn.L1Loss  {nn.L1Loss()(outputs, targets):.3f}")
print(f"MSE  by hand {mse_by_hand:.3f}, nn.MSELoss {nn.MSELoss()(outputs, targets):.3f}")

# %% 3. Predict what reduction does, then look
for reduction in ("none", "sum", "mean"):
    print(f"L1 {reduction:4}", nn.L1Loss(reduction=reduction)(outputs, targets).numpy().round(3))
twice = outputs.repeat(2), targets.repeat(2)  # (3,) -> (6,): all three answers again
for reduction in ("sum", "mean"):
    print(f"twice as many answers: {reduction:4} {nn.L1Loss(reduction=reduction)(*twice):.3f}")

# %% 4. Vary one thing: one wild target
# The network may only say one number, the same for all five targets. Which number does each loss like best?
targets_with_outlier = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
constants = torch.linspace(0, 40, 401)
difference = constants[:, None] - targets_with_outlier  # (401, 1) - (5,) -> (401, 5)
cost = {"L1": difference.abs().mean(dim=1), "MSE": (difference**2).mean(dim=1)}  # (401,) each
best = {name: constants[values.argmin()].item() for name, values in cost.items()}
print(f"best for L1:  {best['L1']:.1f}, and the median of the targets is {targets_with_outlier.median():.1f}")
print(f"best for MSE: {best['MSE']:.1f}, and their mean is {targets_with_outlier.mean():.1f}")

# %% 5. Cross-entropy by hand
logits = torch.tensor([[0.1, 0.2, 0.3]])  # (1, 3): one picture, three classes
target = torch.tensor([1])  # (1,): the index of its class
by_hand = -logits[0, 1] + logits[0].exp().sum().log()
print(f"by hand -0.2 + ln(e^0.1 + e^0.2 + e^0.3) = {by_hand:.4f}")
print(f"nn.CrossEntropyLoss                      = {nn.CrossEntropyLoss()(logits, target):.4f}")
probabilities = torch.softmax(logits, dim=1)  # (1, 3)
print("probabilities", probabilities.numpy().round(3))
print(f"minus the logarithm of the right one     = {-probabilities[0, 1].log():.4f}")

# %% 6. Predict four losses, then look
cross_entropy = nn.CrossEntropyLoss()
answers = {
    "no idea         ": [0.0, 0.0, 0.0],
    "no idea, shifted": [7.0, 7.0, 7.0],
    "sure and right  ": [0.0, 5.0, 0.0],
    "sure and wrong  ": [5.0, 0.0, 0.0],
}
for name, answer in answers.items():
    answer = torch.tensor([answer], requires_grad=True)  # (1, 3)
    loss = cross_entropy(answer, target)
    loss.backward()
    print(f"{name} loss {loss.item():.2f}, gradient", " ".join(f"{g:5.2f}" for g in answer.grad[0].tolist()))

# %% 7. A real batch: one loss for each picture
model = CifarCNN(num_classes=len(test_set.classes))  # untrained
with torch.no_grad():
    image_logits = model(images)  # (64, 3, 32, 32) -> (64, 10)
losses = nn.CrossEntropyLoss(reduction="none")(image_logits, labels)  # (64,)
print("logits", tuple(image_logits.shape), "labels", tuple(labels.shape), "losses", tuple(losses.shape))
print(f"mean loss {losses.mean():.1f}, and ln(10) = {math.log(10):.1f}")
same = torch.allclose(losses.mean(), cross_entropy(image_logits, labels))
print("the mean of the 64 losses is what CrossEntropyLoss() gives:", same)

# %% 8. Break it: softmax twice
one_hot_labels = nn.functional.one_hot(labels, 10)  # (64,) -> (64, 10): zeros, and a one at the label
perfect = 100.0 * one_hot_labels  # logits that are as sure and as right as can be
print(f"once:  {cross_entropy(perfect, labels):.2f}")
print(f"twice: {cross_entropy(torch.softmax(perfect, dim=1), labels):.2f}")  # on purpose
print(f"ln(e + 9) - 1 = {math.log(math.e + 9) - 1:.2f}")
pulls = {}
for name in ("once", "twice"):
    wrong_logits = torch.tensor([[9.0] + [0.0] * 9], requires_grad=True)  # sure of class 0, and class 1 is right
    answer = wrong_logits if name == "once" else torch.softmax(wrong_logits, dim=1)
    loss = cross_entropy(answer, target)
    loss.backward()
    pulls[name] = wrong_logits.grad[0, 1].item()
    print(f"{name:5} sure and wrong: loss {loss.item():.2f}, gradient of the right logit {pulls[name]:.4f}")

# %% 9. Break it: labels of the wrong kind
try:
    cross_entropy(image_logits, labels.float())
except RuntimeError as error:
    print("float labels: RuntimeError:", error)
try:
    nn.L1Loss()(torch.tensor([1, 2, 3]), torch.tensor([1, 2, 5]))
except RuntimeError as error:
    print("whole numbers: RuntimeError:", str(error).split(". ")[0])
try:
    cross_entropy(image_logits[:, :5], labels)  # five logits, ten classes
except IndexError as error:
    print("too few logits: IndexError:", str(error)[:6], "… is out of bounds")

# ---- Second reading --------------------------------------------------------------------------------------------------

# %% 10. Why the layer wants logits: log-softmax and NLL
log_probabilities = nn.LogSoftmax(dim=1)(logits)  # (1, 3)
print(f"NLLLoss(LogSoftmax(logits)) = {nn.NLLLoss()(log_probabilities, target):.4f}")
large = torch.tensor([[1000.0, 0.0, 0.0]])
print("softmax by the formula:", (large.exp() / large.exp().sum(dim=1, keepdim=True))[0].tolist())
print("log(softmax), apart:   ", torch.softmax(large, dim=1).log()[0].tolist())  # on purpose
print("log-softmax in one go: ", torch.log_softmax(large, dim=1)[0].tolist())

# %% 11. Targets as probabilities
one_hot = nn.functional.one_hot(target, 3)  # (1,) -> (1, 3): a row of zeros with a single one
print("target", target.tolist(), "as one-hot", one_hot.tolist(), one_hot.dtype)
try:
    cross_entropy(logits, one_hot)
except RuntimeError as error:
    print("RuntimeError:", error)
print(f"index 1:        {cross_entropy(logits, target):.4f}")
print(f"one-hot floats: {cross_entropy(logits, one_hot.float()):.4f}")
soft = torch.tensor([[0.0, 0.7, 0.3]])  # "seven of ten people say class 1, three say class 2"
soft_by_hand = -(0.7 * log_probabilities[0, 1] + 0.3 * log_probabilities[0, 2])
print(f"soft labels:    {cross_entropy(logits, soft):.4f}, by hand {soft_by_hand:.4f}")

# %% 12. Vary one thing: label smoothing
smoothing, num_classes, last = 0.1, logits.shape[1], torch.tensor([2])
soft_target = torch.full((1, num_classes), smoothing / num_classes)  # a little for every class …
soft_target[0, last] += 1 - smoothing  # … and the rest for the right one
print("soft target", soft_target.numpy().round(3))
smoothed_by_hand = -(soft_target * log_probabilities).sum()
smoothed = nn.CrossEntropyLoss(label_smoothing=smoothing)
print(f"by hand                      {smoothed_by_hand:.4f}")
print(f"label_smoothing=0.1, index 2 {smoothed(logits, last):.4f}")
print(f"plain loss, soft target      {cross_entropy(logits, soft_target):.4f}")
for size in (2.0, 4.0, 8.0, 16.0):
    sure = torch.tensor([[0.0, 0.0, size]])
    print(f"right logit {size:2.0f}: plain {cross_entropy(sure, last):.2f}, smoothed {smoothed(sure, last):.2f}")

# %% 13. Vary one thing: class weights
# Nine pictures of class 0, one of class 1, and a lazy network that says "class 0" whatever it sees.
rare_targets = torch.tensor([0] * 9 + [1])  # (10,)
lazy = torch.tensor([[2.0, 0.0]]).repeat(10, 1)  # (10, 2)
weight = torch.tensor([1.0, 9.0])
each = nn.CrossEntropyLoss(reduction="none")(lazy, rare_targets)  # (10,)
share = weight[rare_targets]  # (10,): each picture carries the weight of its class
weighted_by_hand = (share * each).sum() / share.sum()  # divided by the sum of the weights, not by ten
print(f"without weights {each.mean():.2f}")
weighted = nn.CrossEntropyLoss(weight)
print(f"weights 1 and 9: by hand {weighted_by_hand:.2f}, layer {weighted(lazy, rare_targets):.2f}")
print("parameters", list(weighted.parameters()), "buffers", [name for name, _ in weighted.named_buffers()])
try:
    weighted(lazy.double(), rare_targets)
except RuntimeError as error:
    print("RuntimeError:", error)
weighted.to(torch.float64)  # in the same way, loss_fn.to(device) moves the weights to the GPU
print(f"after .to(torch.float64): {weighted(lazy.double(), rare_targets):.2f}")

# %% 14. Several answers at once: BCEWithLogits
tags = ["animal", "wings", "wheels"]
tag_logits = torch.tensor([[2.0, 1.0, -3.0]])  # (1, 3): three questions about one picture of a bird
tag_targets = torch.tensor([[1.0, 1.0, 0.0]])  # (1, 3): floats, for each is a probability
p = torch.sigmoid(tag_logits)
for tag, probability in zip(tags, p[0].tolist(), strict=True):
    print(f"{tag:6} {probability:.0%}")
bce_by_hand = -(tag_targets * p.log() + (1 - tag_targets) * (1 - p).log()).mean()
print(f"by hand {bce_by_hand:.4f}, BCEWithLogitsLoss {nn.BCEWithLogitsLoss()(tag_logits, tag_targets):.4f}")
very_wrong, no = torch.tensor([200.0]), torch.tensor([0.0])
print(f"logit 200, answer no: BCEWithLogitsLoss   {nn.BCEWithLogitsLoss()(very_wrong, no):.0f}")
print(f"                      sigmoid and BCELoss {nn.BCELoss()(torch.sigmoid(very_wrong), no):.0f}")

# %% 15. Loss, cost, objective, and what we want
decay = 0.001
with torch.no_grad():
    loss_of_one = losses[0]
    cost_of_all = losses.mean()
    penalty = decay * sum((p**2).sum() for p in model.parameters())
    objective = cost_of_all + penalty
    print(f"loss      {loss_of_one:.1f}   one picture")
    print(f"cost      {cost_of_all:.1f}   the mean over all of them")
    print(f"objective {objective:.1f}   the cost and 0.001 times the squares of all weights")

before = image_logits.double()  # (64, 10)
after = before.clone()
after[:, 0] += 1e-6  # as if the bias of class 0 had been moved a very little
cost_moves = cross_entropy(after, labels) != cross_entropy(before, labels)
answers_move = (after.argmax(dim=1) != before.argmax(dim=1)).any()
print(f"a tiny push of one bias changes the cost: {bool(cost_moves)}")
print(f"and any of the 64 answers: {bool(answers_move)}")

# %% 16. Break it: labels of the wrong shape
try:
    cross_entropy(image_logits, labels[:, None])  # (64, 10) and (64, 1)
except RuntimeError as error:
    print("a column of labels: RuntimeError:", error)
try:
    cross_entropy(image_logits, labels[:63])
except ValueError as error:
    print("one label short: ValueError:", error)

column = torch.tensor([[1.0], [2.0], [3.0]])  # (3, 1): what Linear(…, 1) gives, and exactly right
row = torch.tensor([1.0, 2.0, 3.0])  # (3,)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    lie = nn.MSELoss()(column, row)  # (3, 1) - (3,) -> (3, 3): every output against every target
print("UserWarning:", str(caught[0].message).split(". ")[0])
print(f"perfect answers, loss {lie:.2f}; with squeeze(1) {nn.MSELoss()(column.squeeze(1), row):.2f}")

# %% 17. Break it: reduction by its old names
calls = {
    'reduction="elementwise_mean"': {"reduction": "elementwise_mean"},
    "size_average=False": {"size_average": False},
    'reduction="average"': {"reduction": "average"},
}
for name, options in calls.items():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = nn.L1Loss(**options)(outputs, targets)
            print(f"{name}: {value:.3f}, {caught[0].category.__name__}:")
            print("   ", str(caught[0].message).split(", please")[0])
        except ValueError as error:
            print(f"{name}: ValueError: {error}")
