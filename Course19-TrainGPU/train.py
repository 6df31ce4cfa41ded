"""Course 19 · TrainGPU — what does it take to trust a training script with your own pictures?

Run   python Course19-TrainGPU/train.py                     learns ten classes of pictures, in about a minute
      python Course19-TrainGPU/train.py --recipe classic    the network and the settings of the video courses
      python Course19-TrainGPU/train.py --data FOLDER       your own: FOLDER/train/<class>/*, FOLDER/test/<class>/*
      python Course19-TrainGPU/train.py --resume            goes on where the last run stopped
See   tensorboard --logdir logs
Read  notes.md
"""

import argparse
import itertools
import math
import os
import sys
import time
import warnings
from pathlib import Path

# Before torch is imported: threads that wait sleep instead of spinning. On a busy machine that is many times faster.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from common import UserError, checkpoint
from common.cli import OneLineParser, exit_code, number
from common.data import MemoryLoader, in_memory, mean_and_std, open_data, resolve_data, stratified
from common.device import DEVICES, pick_device
from common.figures import draw_curves, draw_predictions, save_figure
from common.models import MODELS, count_parameters, make_model
from common.paths import checkpoint_dir, log_dir, make_folder, shown

LESSON = "Course19-TrainGPU"


# ---- Options ---------------------------------------------------------------------------------------------------------


TINY = 1e-12  # "more than nothing", for rates that must not be 0
RECIPE_OPTIONS = [  # option, its values, what it means, and what --recipe modern and --recipe classic set it to
    ("model", list(MODELS), "the network", "cnn", "cnn-classic"),
    ("epochs", number(int, 1), "passes over the training pictures", 10, 10),
    ("batch-size", number(int, 1), "pictures a step", 64, 64),
    ("optimizer", ["sgd", "adamw"], "how a gradient becomes a step", "sgd", "sgd"),
    ("lr", number(float, TINY), "learning rate; the peak, with onecycle", 0.05, 0.01),
    ("momentum", number(float, 0, 1), "of sgd; Nesterov's, where it is not 0", 0.9, 0.0),
    ("weight-decay", number(float, 0), "pull of the weights towards 0", 5e-4, 0.0),
    ("schedule", ["onecycle", "constant"], "the learning rate's way through the run", "onecycle", "constant"),
    ("label-smoothing", number(float, 0, 1), "share of a label given to all classes", 0.1, 0.0),
    ("normalize", bool, "pictures with mean 0 and standard deviation 1, not in 0…1", True, False),
    ("augment", bool, "flip and crop the training pictures at random", True, False),
]
ADAMW_LR = 0.002  # where --optimizer adamw comes without --lr: the recipes' rates are SGD's
DEFAULTS = {"recipe": "modern", "val_split": 0.1, "limit": None, "seed": 0, "device": "auto"}
DEFAULTS |= {"amp": None, "compile": False, "out": None, "logdir": None}
FREE_ON_RESUME = {"resume", "out", "logdir", "device", "amp", "compile"}  # these may differ from the stopped run's


def parse_options(argv: list[str] | None) -> dict:
    """The options that were typed, and no others: {"batch_size": 32, …}."""
    parser = OneLineParser(__doc__)
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    add("--recipe", choices=["modern", "classic"], help="sets all of the second group (default: modern)")
    add("--data", help="auto: the real CIFAR-10 if it is in data/, else drawn (default) | drawn | cifar10 | FOLDER")
    add("--val-split", type=number(float, 0, 0.9), help="share held out of the training pictures (default: 0.1)")
    add("--limit", metavar="N", type=number(int, 1), help="only N training pictures, classes balanced: a quick try")
    add("--seed", type=number(int, 0, 2**31), help="of weights, order, augmentation and split (default: 0)")
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add("--amp", action=flag, help="bfloat16 where it is safe (default: on a GPU that is made for it)")
    add("--compile", action=flag, help="torch.compile the network (default: no)")
    add("--out", metavar="DIR", help=f"checkpoints and curves (default: the next checkpoints/{LESSON}/run-NNN)")
    add("--logdir", metavar="DIR", help="TensorBoard (default: beside it under logs/, or inside --out)")
    add("--resume", nargs="?", const="", metavar="RUN", help="go on with a run (folder or file; default: the newest)")
    recipe = parser.add_argument_group("set by --recipe, each can be given on its own")
    for name, values, meaning, modern, classic in RECIPE_OPTIONS:
        how = {"action": flag} if values is bool else {"type": values}
        how = {"choices": values} if isinstance(values, list) else how
        recipe.add_argument(f"--{name}", help=f"{meaning} (modern: {modern}, classic: {classic})", **how)
    return vars(parser.parse_args(argv))


def complete_options(given: dict, saved: dict | None) -> dict:
    """All options: what was given, over the recipe's and the other defaults, or over those of the stopped run."""
    if "data" in given or saved is None:
        given["data"] = resolve_data(given.get("data", "auto"))
    if saved is None:
        recipe = {n.replace("-", "_"): (modern, classic) for n, _, _, modern, classic in RECIPE_OPTIONS}
        which = given.get("recipe", DEFAULTS["recipe"]) == "classic"
        options = DEFAULTS | {name: pair[which] for name, pair in recipe.items()} | given
        if options["optimizer"] == "adamw" and "lr" not in given:
            options["lr"] = ADAMW_LR
        return options

    options = dict(saved["options"])
    for name in given.keys() - FREE_ON_RESUME:
        before = options[name]
        if name == "epochs" and options["schedule"] == "constant" and given["epochs"] >= saved["epoch"]:
            continue  # without a schedule that ends with the last epoch, a run may as well be longer
        if given[name] != before:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"that run has {option} {before}, so the rest must too: leave {option} out, or start anew")
    return options | given


# ---- Folders ---------------------------------------------------------------------------------------------------------


def find_run(resume: str, out: str | None) -> tuple[dict, Path]:
    """The checkpoint to go on from and its folder; with neither named, those of the newest unfinished run."""
    if resume or out:
        path = Path(resume or out).expanduser().resolve()
        paths = [path / "last.pt" if path.is_dir() else path]
    else:
        paths = sorted(checkpoint_dir(LESSON).glob("*/last.pt"), key=lambda p: p.stat().st_mtime, reverse=True)
    if not paths:
        raise UserError(f"there is no run in {checkpoint_dir(LESSON)} to resume: leave --resume out to start one")
    newest = None
    for path in paths:  # opened one by one: older runs, damaged ones too, do not matter to an unfinished newer one
        saved = checkpoint.load(path)
        if not {"optimizer", "schedule", "options", "history"} <= saved.keys():
            raise UserError(f"{path} holds weights but no training to go on with: take a run's last.pt")
        newest = newest or (saved, path.parent)
        if "test" not in saved:
            return saved, path.parent
    return newest


def claim_folder(out: str | None) -> Path:
    """A folder for this run alone: --out, or the next free run-NNN."""
    if out:
        folder = make_folder(Path(out).expanduser().resolve())
        if (folder / "last.pt").exists():
            raise UserError(f"{folder} holds a run: add --resume to go on with it, or choose another --out")
        return folder
    for n in itertools.count(1):
        folder = checkpoint_dir(LESSON) / f"run-{n:03}"
        if folder.exists() or log_folder(folder, None).exists():
            continue
        try:
            folder.mkdir()  # fails where another run was faster, so no two runs ever share one
            return folder
        except FileExistsError:
            continue


def log_folder(out: Path, logdir: str | None) -> Path:
    """Where TensorBoard's files of the run in `out` lie."""
    if logdir:
        return Path(logdir).expanduser().resolve()
    return log_dir(LESSON) / out.name if out.parent == checkpoint_dir(LESSON) else out / "logs"


# ---- Data, model, optimizer ------------------------------------------------------------------------------------------


def build_loaders(options: dict, device: torch.device) -> tuple[dict[str, MemoryLoader], dict]:
    """Loaders "train", "val" (none with --val-split 0) and "test"; and what a checkpoint must say about the data."""
    train_set, test_set = open_data(options["data"], "train"), open_data(options["data"], "test")
    classes = train_set.classes
    if classes != test_set.classes:
        differ = ", ".join(sorted(set(classes) ^ set(test_set.classes)))
        raise UserError(f"the training and the test pictures must have the same classes; only one of them has {differ}")
    images, labels = in_memory(train_set)  # uint8 (N, 3, 32, 32), int64 (N,)

    kept = stratified(labels, options["limit"] or len(labels), options["seed"])
    held_out = kept[stratified(labels[kept], round(options["val_split"] * len(kept)), options["seed"])]
    kept = kept[~torch.isin(kept, held_out)]
    if len(labels[kept].unique()) < len(classes):
        raise UserError(f"{len(kept)} training pictures are too few for {len(classes)} classes: raise --limit")
    # Measured on what is trained on alone: nothing about the other pictures may leak in.
    mean, std = mean_and_std(images[kept]) if options["normalize"] else ([0.0] * 3, [1.0] * 3)

    def loader(images: Tensor, labels: Tensor, batch_size: int, **how) -> MemoryLoader:
        return MemoryLoader(images.to(device), labels.to(device), batch_size, mean, std, **how)

    how = {"shuffle": True, "augment": options["augment"], "seed": options["seed"]}
    loaders = {"train": loader(images[kept], labels[kept], options["batch_size"], **how)}
    if len(held_out):
        loaders["val"] = loader(images[held_out], labels[held_out], batch_size=500)
    loaders["test"] = loader(*in_memory(test_set), batch_size=500)
    return loaders, {"classes": list(classes), "mean": mean, "std": std, "data": options["data"]}


def build_model(name: str, num_classes: int, device: torch.device) -> nn.Module:
    """A new network with random weights, laid out in memory as the loaders lay out the pictures."""
    return make_model(name, num_classes).to(device, memory_format=torch.channels_last)


def build_optimizer(model: nn.Module, options: dict, num_steps: int):
    """The optimizer, and the schedule that moves its learning rate after each of num_steps steps."""
    lr, momentum, weight_decay = options["lr"], options["momentum"], options["weight_decay"]
    if options["optimizer"] == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), lr, weight_decay=weight_decay)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr, momentum, 0, weight_decay, nesterov=momentum > 0)
    if options["schedule"] == "onecycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, num_steps, cycle_momentum=False)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


# ---- One epoch -------------------------------------------------------------------------------------------------------


def train_one_epoch(model, batches, loss_fn, optimizer, schedule, amp: bool = False) -> tuple[float, float]:
    """One pass over the training batches: mean loss and accuracy (0…1) over all samples, as the weights went along."""
    model.train()
    loss_sum, correct, count = 0.0, 0, 0
    for images, labels in batches:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            logits = model(images)
            loss = loss_fn(logits, labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        # Summed up as tensors: .item() would make the CPU wait for the GPU at every step.
        loss_sum += loss.detach() * len(labels)
        correct += (logits.argmax(dim=1) == labels).sum()
        count += len(labels)
    return float(loss_sum) / count, int(correct) / count


@torch.no_grad()
def evaluate(model, batches, loss_fn, amp: bool = False) -> tuple[float, float]:
    """Mean loss and accuracy (0…1) over all samples. Not the mean of the batches' means: the last may be smaller."""
    model.eval()
    loss_sum, correct, count = 0.0, 0, 0
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            logits = model(images)
            loss_sum += loss_fn(logits, labels) * len(labels)
        correct += (logits.argmax(dim=1) == labels).sum()
        count += len(labels)
    return float(loss_sum) / count, int(correct) / count


# ---- What a person sees ----------------------------------------------------------------------------------------------


def describe(row: dict, epochs: int, is_best: bool) -> str:
    """One epoch in one line."""
    line = f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}"
    for split in ("train", "val"):
        if f"{split}_loss" in row:
            line += f"   {split} loss {row[f'{split}_loss']:.3f} accuracy {row[f'{split}_accuracy']:6.2%}"
    return line + f"   {row['seconds']:.1f} s" + ("   best so far" if is_best else "")


def log(writer: SummaryWriter, row: dict) -> None:
    """One epoch's numbers for TensorBoard: loss/train, loss/val, accuracy/train …; step = epoch."""
    for name, value in row.items():
        if name != "epoch":
            writer.add_scalar("/".join(reversed(name.split("_"))), value, row["epoch"])


@torch.no_grad()
def predictions_page(model: nn.Module, loader: MemoryLoader, classes: list[str]) -> Figure:
    """The first 32 pictures of the loader, with what the network takes them for."""
    model.eval()
    images, labels = next(iter(loader))
    probabilities = model(images[:32]).float().softmax(dim=1).cpu()
    return draw_predictions(list(loader.images[:32].cpu()), probabilities, classes, labels[:32].tolist())


# ---- The run ---------------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error for what the user can mend; 130 after Ctrl-C."""
    on_interrupt = "stopped; --resume goes on after the last finished epoch"
    return exit_code("train.py", lambda: run(parse_options(argv)), on_interrupt)


def run(given: dict) -> int:
    """Build everything from the options, train, measure the test split once, say where everything lies."""
    saved, out = find_run(given["resume"], given.get("out")) if "resume" in given else (None, None)
    options = complete_options(given, saved)
    if saved and "test" in saved and len(saved["history"]) >= options["epochs"]:
        print(f"nothing to do: {shown(out)} is finished, with {saved['test']['accuracy']:.2%} on the test pictures")
        return 0

    device, reason = pick_device(options["device"])
    print(reason)
    loaders, about_data = build_loaders(options, device)
    sizes = ", ".join(f"{len(loader.labels):,} {split}" for split, loader in loaders.items())
    print(f"data: {options['data']} ({sizes}; {len(about_data['classes'])} classes)")
    torch.manual_seed(options["seed"])
    model = build_model(options["model"], len(about_data["classes"]), device)
    print(f"model: {options['model']} ({count_parameters(model):,} parameters), recipe: {options['recipe']}")
    optimizer, schedule = build_optimizer(model, options, options["epochs"] * len(loaders["train"]))
    loss_fn = nn.CrossEntropyLoss(label_smoothing=options["label_smoothing"])
    compiled = torch.compile(model) if options["compile"] else model  # another road to the same weights
    amp = device.type == "cuda" and torch.cuda.is_bf16_supported(False) if options["amp"] is None else options["amp"]

    history, best = [], {"epoch": 0, "accuracy": -math.inf}
    if saved:
        checkpoint.load_state(model, saved["state_dict"], out)
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        history, best = saved["history"], saved["best"]
        print(f"resuming {shown(out)} after epoch {len(history)} of {options['epochs']}")
    else:
        out = claim_folder(options["out"])

    def snapshot() -> dict:
        """All that test.py needs to use the network and --resume needs to go on: tensors and plain values."""
        return {
            **about_data,
            "model": options["model"],
            "state_dict": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "epoch": len(history),
            "history": history,
            "best": best,
            "options": options,
        }

    if not saved:
        checkpoint.save(out / "last.pt", snapshot())  # a full or forbidden disk is found before the training
    logs = log_folder(out, options["logdir"])
    with SummaryWriter(logs, purge_step=len(history) + 1) as writer:
        if not saved:
            with warnings.catch_warnings(action="ignore"):  # add_graph() calls what PyTorch itself calls deprecated
                writer.add_graph(model, next(iter(loaders["test"]))[0][:1])
        for epoch in range(len(history) + 1, options["epochs"] + 1):
            started = time.perf_counter()
            loaders["train"].set_epoch(epoch)
            batches = tqdm(loaders["train"], f"epoch {epoch}/{options['epochs']}", leave=False, disable=None)
            row = {"epoch": epoch, "lr": schedule.get_last_lr()[0]}
            measured = train_one_epoch(compiled, batches, loss_fn, optimizer, schedule, amp)
            row["train_loss"], row["train_accuracy"] = measured
            if not math.isfinite(row["train_loss"]):
                raise UserError(f"the loss of epoch {epoch} is not finite (lr {row['lr']:.3g}): try a smaller --lr")
            if "val" in loaders:
                row["val_loss"], row["val_accuracy"] = evaluate(compiled, loaders["val"], loss_fn, amp)
            row["seconds"] = time.perf_counter() - started
            history.append(row)
            # Without validation pictures there is nothing to choose by: the last epoch is the best.
            is_best = "val" not in loaders or row["val_accuracy"] > best["accuracy"]
            if is_best:
                best = {"epoch": epoch, "accuracy": row.get("val_accuracy", -math.inf)}
                checkpoint.save(out / "best.pt", snapshot())
            checkpoint.save(out / "last.pt", snapshot())
            log(writer, row)
            print(describe(row, options["epochs"], is_best))

        # The test pictures have not been looked at until here. One measurement, by the weights chosen without them.
        model.load_state_dict(checkpoint.load(out / "best.pt")["state_dict"])
        test = {"epoch": best["epoch"]}
        test["loss"], test["accuracy"] = evaluate(compiled, loaders["test"], loss_fn, amp)
        writer.add_scalar("loss/test", test["loss"], test["epoch"])
        writer.add_scalar("accuracy/test", test["accuracy"], test["epoch"])
        page = predictions_page(model, loaders["test"], about_data["classes"])
        save_figure(page, out / "predictions.png")
        writer.add_figure("predictions", page, test["epoch"])
    save_figure(draw_curves(history, test), out / "curves.png")
    checkpoint.save(out / "last.pt", checkpoint.load(out / "last.pt") | {"test": test})  # now the run is finished

    count = len(loaders["test"].labels)
    print(f"\nbest epoch    {test['epoch']}")
    print(f"test accuracy {test['accuracy']:.2%} of {count:,} pictures, measured once, with the weights of that epoch")
    print(f"checkpoint    {shown(out / 'best.pt')}")
    print(f"curves        {shown(out / 'curves.png')} (and predictions.png beside it)")
    print(f"TensorBoard   tensorboard --logdir {shown(logs.parent)}")
    print(f"use it        python {shown(Path(__file__).parents[1] / 'Course20-ModelTest' / 'test.py')} PICTURE …")
    return 0


if __name__ == "__main__":
    sys.exit(main())
