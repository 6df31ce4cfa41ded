"""Course 13 · LossFunc: the answers, how they are judged, and the mistakes that people make."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from practice import Exercise, Mistake, PyTorchCalls, called, changed

# ---- 1 ----


def try_losses(losses):
    outputs, targets = torch.tensor([2.0, 0.0, 5.0, 1.0]), torch.tensor([2.0, 2.0, 1.0, 1.0])
    right = {
        "L1": nn.L1Loss()(outputs, targets).item(),
        "MSE": nn.MSELoss()(outputs, targets).item(),
        "L1 with reduction sum": nn.L1Loss(reduction="sum")(outputs, targets).item(),
        "cross-entropy": nn.CrossEntropyLoss()(torch.full((1, 4), 3.0), torch.tensor([2])).item(),
    }
    if not isinstance(losses, list | tuple) or len(losses) != 4:
        yield "the four numbers", losses, tuple(right.values())
    for (name, expected), loss in zip(right.items(), losses, strict=True):
        is_number = isinstance(loss, int | float) and not isinstance(loss, bool)
        yield name, round(loss, 2) if is_number else loss, expected, 0.006  # a known mistake with any decimals


# ---- 2 ----


def try_choices(choices):
    right = ["cross-entropy", "MSE", "L1", "cross-entropy", "cross-entropy", "L1"]
    if not isinstance(choices, list | tuple) or len(choices) != 6:
        yield "the six texts", choices, right
    spellings = {text.lower(): text for text in right}
    for task, (choice, expected) in enumerate(zip(choices, right, strict=True), start=1):
        spelled = spellings.get(choice.lower().replace(" ", "-"), choice) if isinstance(choice, str) else choice
        yield f"task {task}", spelled, expected


# ---- 3 ----


def mean_loss(model, batches):
    loss_fn = nn.CrossEntropyLoss(reduction="sum")
    total, count = 0.0, 0
    for images, labels in batches:
        total += loss_fn(model(images), labels).item()
        count += len(labels)
    return total / count


def softmax_twice(model, batches):
    loss_fn = nn.CrossEntropyLoss()
    total = 0.0
    for images, labels in batches:
        probabilities = torch.softmax(model(images), dim=1)
        total += loss_fn(probabilities, labels).item()
    return total / len(batches)


def try_mean_loss(mean_loss):
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 4, 5))
    nn.init.normal_(model[1].weight)
    for sizes in [(6,), (8, 8, 3), (1, 5, 2, 4)]:
        images, labels = torch.randn(sum(sizes), 2, 3, 4), torch.randint(5, (sum(sizes),))
        batches = list(zip(images.split(sizes), labels.split(sizes), strict=True))
        losses = [loss_by_hand(*pair) for pair in zip(model(images).tolist(), labels.tolist(), strict=True)]
        before = [parameter.detach().clone() for parameter in model.parameters()]
        got = mean_loss(model, batches)
        what = f"mean_loss(model, batches), batches of {sizes}"
        is_one_number = isinstance(got, Tensor) and got.numel() == 1
        yield what, got.item() if is_one_number else got, sum(losses) / len(losses)
        yield f"{what}: number of batches afterwards", len(batches), len(sizes)
        yield f"{what}: the numbers of the parameters afterwards", list(model.parameters()), before
        yield f"{what}: all parameters can still learn", all(p.requires_grad for p in model.parameters()), True
        yield f"{what}: gradients are switched on afterwards", torch.is_grad_enabled(), True


def switches_gradients_off(model, batches):
    torch.set_grad_enabled(False)
    return mean_loss(model, batches)


def loss_by_hand(logits, label):
    """Minus the logarithm of the probability of the right class, in plain Python."""
    largest = max(logits)
    return largest - logits[label] + math.log(sum(math.exp(logit - largest) for logit in logits))


# ---- 4 ----


def worst(logits, labels, k):
    losses = nn.CrossEntropyLoss(reduction="none")(logits, labels)
    return losses.argsort(descending=True)[:k].tolist()


def try_worst(worst):
    for n, classes in [(7, 3), (12, 10)]:
        logits, labels = 3 * torch.randn(n, classes), torch.randint(classes, (n,))
        losses = [loss_by_hand(*pair) for pair in zip(logits.tolist(), labels.tolist(), strict=True)]
        order = sorted(range(n), key=lambda i: -losses[i])
        before = logits.clone(), labels.clone()
        for k in (2, 1, n):
            what, got = called(worst, logits, labels, k)
            yield what, in_plain_numbers(got), order[:k]
            yield f"{what}: logits and labels afterwards", (logits, labels), before
    scores = torch.tensor([[3.0, 1.0], [0.0, 2.0], [1.0, 1.5], [0.0, 2.0]])  # the second and the last are the same
    what, got = called(worst, scores, torch.zeros(4, dtype=torch.int64), 2)
    got = in_plain_numbers(got)
    yield f"{what}, two pictures with the same loss", sorted(got) if isinstance(got, list) else got, [1, 3]
    sure = torch.tensor([[0.0, 150.0, 9.0], [0.0, 320.0, 9.0], [0.0, 9.0, 240.0], [5.0, 1.0, 0.0]])
    what, got = called(worst, sure, torch.zeros(4, dtype=torch.int64), 3)
    yield f"{what}, losses of 320, 240 and 150", in_plain_numbers(got), [1, 2, 0]


def in_plain_numbers(places):
    """A list. A tensor or an array, and a list of such numbers, may stand for a list of ints."""
    if not isinstance(places, list | tuple) and not hasattr(places, "tolist"):
        return places
    return [place.item() if hasattr(place, "item") else place for place in places]


# ---- 5 ----


def my_cross_entropy(logits, labels):
    known = labels != -1
    logits, labels = logits[known], labels[known]
    logits = logits - logits.max(dim=1, keepdim=True).values  # the loss stays, and exp is at most 1
    right = logits[torch.arange(len(labels)), labels]
    return (logits.exp().sum(dim=1).log() - right).mean()


def try_my_cross_entropy(my_cross_entropy):
    easy, unknown = torch.tensor([0, 2, 1, 0, 3]), torch.tensor([-1, 2, 1, -1, 3])
    z = torch.randn(5, 4)
    large = torch.tensor([[0.0, 1001.0, 990.0, 500.0], [0.0, 1.0, 2.0, 1.0], [-1000.0, -999.0, -1002.0, -1000.0]])
    for what, logits, labels in [
        ("five pictures, four classes", z, easy),
        ("one picture, three classes", torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([1])),
        (
            "three pictures, one of them sure and wrong",
            torch.tensor([[9.0, 0.0], [1.0, 2.0], [0.0, 0.5]]),
            easy[[2, 0, 2]],
        ),
        ("all logits about 1000", z + 1000, easy),
        ("all logits about -1000", z - 1000, easy),
        ("logits from 0 to 1000 in one picture", large[:1], torch.tensor([2])),
        ("a loss of 1000", large[:1], torch.tensor([0])),
        ("pictures with logits about 1000, 0 and -1000", large, torch.tensor([2, 1, 2])),
        ("labels 2, 1 and 3 and two unknown ones", z, unknown),
        ("a single known label", z, torch.tensor([-1, -1, -1, 0, -1])),
        ("large logits, and the label of the first picture unknown", large, torch.tensor([-1, 1, 2])),
    ]:
        logits = logits.clone().requires_grad_()
        right = F.cross_entropy(logits, labels.clone(), ignore_index=-1)
        with PyTorchCalls("cross_entropy", "log_softmax", "logsumexp", "nll_loss") as own:
            loss = my_cross_entropy(logits, labels.clone())
        yield what, loss, right
        yield f"{what}: functions of PyTorch that do it for you", own.names[:1], []
        yield f"{what}: a loss with a graph behind it", loss.requires_grad, True
        (gradient,) = torch.autograd.grad(loss, logits, allow_unused=True)
        yield f"{what}: the gradient of the logits", gradient, torch.autograd.grad(right, logits)[0]
    before, labels = z.clone(), unknown.clone()
    my_cross_entropy(z, labels)
    yield "logits afterwards", z, before
    yield "labels afterwards", labels, unknown


def writes_into_logits(logits, labels):
    logits -= logits.max(dim=1, keepdim=True).values
    known = labels != -1
    logits, labels = logits[known], labels[known]
    return (logits.exp().sum(dim=1).log() - logits[torch.arange(len(labels)), labels]).mean()


def by_pytorch(logits, labels):
    return F.cross_entropy(logits, labels, ignore_index=-1)


def by_log_softmax(logits, labels):
    known = labels != -1
    logits, labels = torch.log_softmax(logits[known], dim=1), labels[known]
    return -logits[torch.arange(len(labels)), labels].mean()


def by_logsumexp(logits, labels):
    known = labels != -1
    logits, labels = logits[known], labels[known]
    return (torch.logsumexp(logits, dim=1) - logits[torch.arange(len(labels)), labels]).mean()


def all_rows_with_all_labels(logits, labels):
    known = labels != -1
    logits, labels = logits[known], labels[known]
    logits = logits - logits.max(dim=1, keepdim=True).values
    return (logits.exp().sum(dim=1).log() - logits[:, labels]).mean()


# ---- The exercises ----

EXERCISES = [
    Exercise(
        number=1,
        name="losses",
        section=2,
        answer=(1.5, 5.0, 6.0, 1.39),
        trial=try_losses,
        hints=(
            "Write down the four errors first: output minus target.",
            "If all logits are equal, each class has the same probability. Section 6 has three classes.",
        ),
        mistakes=(
            Mistake("Errors with different signs must not cancel: take their sizes.", (0.5, 5, 6, 1.39)),
            Mistake("The mean is over all four answers, also over those that are right.", (3, 10, 6, 1.39)),
            Mistake("MSE has no square root at the end.", (1.5, 2.24, 6, 1.39)),
            Mistake("MSE is the mean of the squares, not their sum.", (1.5, 20, 6, 1.39)),
            Mistake("Without `reduction`, the two losses are means, not sums.", (6, 20, 6, 1.39), 3),
            Mistake("With reduction=sum, nothing is divided.", (1.5, 5, 1.5, 1.39), 3),
            Mistake("Section 6 had three classes; here are four.", (1.5, 5, 6, 1.1), 6),
            Mistake("This is the probability of the right class, not yet the loss.", (1.5, 5, 6, 0.25), 5),
            Mistake(
                "The logarithm of a probability is negative. In the loss, a minus stands before it.",
                (1.5, 5, 6, -1.39),
                5,
            ),
        ),
    ),
    Exercise(
        number=2,
        name="choices",
        section=4,
        answer=["cross-entropy", "MSE", "L1", "cross-entropy", "cross-entropy", "L1"],
        trial=try_choices,
        hints=(
            "First ask: an amount, or one of several classes? Then, for amounts: what should a few wild targets do?",
            "Numbers in a file can be amounts or names. Is Sunday, 6.0, six times as much as Tuesday, 1.0?",
        ),
        mistakes=(
            Mistake(
                "A digit is a class, too: a 1 taken for a 7 is not wrong by 6.",
                ["MSE", "MSE", "L1", "cross-entropy", "cross-entropy", "L1"],
            ),
            Mistake(
                "L1 counts one error of 6 as much as six errors of 1. Here the large one must count more.",
                ["cross-entropy", "L1", "L1", "cross-entropy", "cross-entropy", "L1"],
            ),
            Mistake(
                "Squares make typing errors count much more.",
                ["cross-entropy", "MSE", "MSE", "cross-entropy", "cross-entropy", "L1"],
            ),
            Mistake(
                "A day of the week is a class, also as a number: Sunday is as near to Monday as Tuesday is.",
                ["cross-entropy", "MSE", "L1", "cross-entropy", "MSE", "L1"],
            ),
            Mistake(
                "A day of the week is a class. Classes have no distance, and L1 is about distances.",
                ["cross-entropy", "MSE", "L1", "cross-entropy", "L1", "L1"],
            ),
            Mistake(
                "A row and a column are amounts: 100 is nearer to 101 than to 300.",
                ["cross-entropy", "MSE", "L1", "cross-entropy", "cross-entropy", "cross-entropy"],
            ),
            Mistake(
                "With squares, a few labels that are far away have the most influence.",
                ["cross-entropy", "MSE", "L1", "cross-entropy", "cross-entropy", "MSE"],
            ),
        ),
    ),
    Exercise(
        number=3,
        name="mean_loss",
        section=8,
        answer=mean_loss,
        trial=try_mean_loss,
        hints=(
            "What does CrossEntropyLoss want: logits or probabilities?",
            "A batch of 3 pictures must count less than a batch of 8. Add up over pictures, not over batches.",
        ),
        mistakes=(
            Mistake(
                "CrossEntropyLoss has the softmax inside. Here it is applied twice.",
                softmax_twice,
            ),
            Mistake(
                "The softmax is gone. But the mean of the means of batches is not the mean over all pictures.",
                changed(softmax_twice, "torch.softmax(model(images), dim=1)", "model(images)"),
                "Course05 3",
            ),
            Mistake(
                "You add up sums over pictures, and divide by the number of batches.",
                changed(mean_loss, "total / count", "total / len(batches)"),
                3,
            ),
            Mistake(
                "You add up means, and divide by the number of pictures.",
                changed(mean_loss, 'reduction="sum"', ""),
                3,
            ),
            Mistake(
                "Gradients are switched off for all that follows, too. `with torch.no_grad():` ends by itself.",
                switches_gradients_off,
                "Course00 17",
            ),
        ),
    ),
    Exercise(
        number=4,
        name="worst",
        section=7,
        answer=worst,
        trial=try_worst,
        hints=(
            "Section 7 gets one loss for each picture. Which `reduction` is that?",
            "`losses.argsort(descending=True)` gives positions, that of the largest loss first.",
        ),
        mistakes=(
            Mistake("These have the smallest loss.", changed(worst, "descending=True", "")),
            Mistake(
                "These are the right pictures, the worst one last.", changed(worst, "descending=True)[:k]", ")[-k:]")
            ),
            Mistake(
                "These are losses. The positions are asked.",
                changed(worst, "losses.argsort(descending=True)[:k]", "losses.sort(descending=True).values[:k]"),
            ),
            Mistake(
                "These are the pictures of which the network is least sure. The label has no part in that.",
                changed(worst, "losses.argsort(descending=True)", "torch.softmax(logits, dim=1).amax(dim=1).argsort()"),
                5,
            ),
            Mistake(
                "Two pictures may have the same loss. `index` finds the first one both times.",
                changed(
                    worst,
                    "losses.argsort(descending=True)[:k].tolist()",
                    "[losses.tolist().index(loss) for loss in losses.sort(descending=True).values[:k].tolist()]",
                ),
            ),
            Mistake(
                "Far below the largest logit, each probability becomes 0, and all these pictures look the same. "
                "Compare the losses.",
                changed(
                    worst,
                    "losses.argsort(descending=True)",
                    "torch.softmax(logits, dim=1)[torch.arange(len(labels)), labels].argsort()",
                ),
                6,
            ),
            Mistake(
                "Without an argument, the losses become one mean.",
                changed(worst, 'reduction="none"', ""),
                3,
            ),
            Mistake(
                "Without an argument, the losses become one mean.",
                changed(
                    changed(worst, 'reduction="none"', ""),
                    "losses.argsort(descending=True)[:k]",
                    "losses.topk(k).indices",
                ),
                3,
            ),
        ),
    ),
    Exercise(
        number=5,
        name="my_cross_entropy",
        section=5,
        answer=my_cross_entropy,
        trial=try_my_cross_entropy,
        hints=(
            "`logits[labels != -1]` keeps the pictures whose label is known. Do this first, for labels too.",
            "The formula of section 5: minus the logit of the right class, plus the logarithm of the sum of all exp.",
            "Subtract from each row its own largest number: `logits.max(dim=1, keepdim=True).values`.",
        ),
        mistakes=(
            Mistake(
                "exp of a large logit is inf. Make the logits of each picture smaller first.",
                changed(my_cross_entropy, "logits - logits.max(dim=1, keepdim=True).values", "logits"),
                6,
            ),
            Mistake(
                "This takes the largest logit of all pictures. Far below it, every exp is 0, and log(0) is -inf.",
                changed(my_cross_entropy, "logits.max(dim=1, keepdim=True).values", "logits.max()"),
                6,
            ),
            Mistake(
                "A probability that is almost 0 becomes 0, and log(0) is -inf. Use the second form of the formula.",
                changed(
                    my_cross_entropy,
                    "(logits.exp().sum(dim=1).log() - right).mean()",
                    "-(right.exp() / logits.exp().sum(dim=1)).log().mean()",
                ),
            ),
            Mistake(
                "Label -1 means that nobody knows the class. As an index, -1 is the last class.",
                changed(my_cross_entropy, "labels != -1", "labels != -2"),
                "Course00 4",
            ),
            Mistake(
                "Unknown labels are not in the sum, but still in the number by which you divide.",
                changed(
                    changed(my_cross_entropy, "known =", "n, known = len(labels),"), "right).mean()", "right).sum() / n"
                ),
                3,
            ),
            Mistake(
                "`logits[:, labels]` is a table: the logits of all labels for each picture. One of each row is needed.",
                all_rows_with_all_labels,
                "Course00 4",
            ),
            Mistake(
                "Both signs are wrong: a loss is never below 0.",
                changed(
                    my_cross_entropy, "logits.exp().sum(dim=1).log() - right", "right - logits.exp().sum(dim=1).log()"
                ),
            ),
            Mistake(
                "The number is right. But its graph is lost, so it has no gradient.",
                changed(my_cross_entropy, ".mean()", ".mean().detach()"),
                "Course00 8",
            ),
            Mistake(
                "`logits -= ...` writes into the logits themselves. Make a new tensor.",
                writes_into_logits,
                "Course00 5",
            ),
            Mistake("This is the sum, not the mean.", changed(my_cross_entropy, ".mean()", ".sum()"), 3),
            Mistake("PyTorch's function does the hard part here. Write it yourself.", by_pytorch),
            Mistake("PyTorch's function does the hard part here. Write it yourself.", by_log_softmax),
            Mistake("PyTorch's function does the hard part here. Write it yourself.", by_logsumexp),
        ),
    ),
]
