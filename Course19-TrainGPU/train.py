"""Course 19 · TrainGPU — what does it take to trust a training script with your own pictures?

Run   python Course19-TrainGPU/train.py                     learns ten classes of pictures, in about a minute
      python Course19-TrainGPU/train.py --recipe classic    the network and the settings of the video courses
      python Course19-TrainGPU/train.py --data FOLDER       your own: FOLDER/train/<class>/*, FOLDER/test/<class>/*
      python Course19-TrainGPU/train.py --resume            goes on where the last run stopped
      torchrun --standalone --nproc-per-node 2 Course19-TrainGPU/train.py     in two processes (notes, section 11)
See   tensorboard --logdir logs
Read  notes.md
"""

import argparse
import math
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path

from common.cpu import tune_cpu

if __name__ == "__main__":
    tune_cpu()  # before torch is imported: steps get faster, and the program a better neighbour (notes, section 9)

import torch
from torch import Tensor, nn
from tqdm import tqdm

from common import UserError, checkpoint, distributed, runs
from common.cli import OneLineParser, exit_code, number
from common.data import MemoryLoader, in_memory, mean_and_std, open_data, resolve_data, stratified
from common.device import DEVICES, pick_device
from common.figures import draw_curves, predictions_page, save_figure
from common.models import MODELS, count_parameters, make_model
from common.paths import shown
from common.stopping import Stopped, StopSignals
from common.training import Tally, Training

LESSON = "Course19-TrainGPU"


# ---- Options ---------------------------------------------------------------------------------------------------------


TINY, HUGE = 1e-12, 1e30  # for rates: "more than nothing", and what float32 can still multiply
RECIPE_OPTIONS = [  # option, its values, what it means, and what --recipe modern and --recipe classic set it to
    ("model", list(MODELS), "the network", "cnn", "cnn-classic"),
    ("epochs", number(int, 1), "passes over the training pictures", 10, 10),
    ("batch-size", number(int, 1), "pictures a step, of all processes together", 64, 64),
    ("optimizer", ["sgd", "adamw"], "how a gradient becomes a step", "sgd", "sgd"),
    ("lr", number(float, TINY, HUGE), "learning rate; the peak, with onecycle", 0.05, 0.01),
    ("momentum", number(float, 0, 1), "of sgd; Nesterov's, where it is not 0", 0.9, 0.0),
    ("weight-decay", number(float, 0, HUGE), "pull of the weights towards 0", 5e-4, 0.0),
    ("schedule", ["onecycle", "constant"], "the learning rate's way through the run", "onecycle", "constant"),
    ("label-smoothing", number(float, 0, 1), "share of a label given to all classes", 0.1, 0.0),
    ("normalize", bool, "pictures with mean 0 and standard deviation 1, not in 0…1", True, False),
    ("augment", bool, "flip and crop the training pictures at random", True, False),
]
ADAMW_LR = 0.002  # where --optimizer adamw comes without --lr: the recipes' rates are SGD's
DEFAULTS = {"recipe": "modern", "val_split": 0.1, "limit": None, "seed": 0, "device": "auto"}
DEFAULTS |= {"amp": None, "compile": False, "out": None, "logdir": None, "save_every": 1000}
# What may differ from the first part of a run that is resumed:
FREE_ON_RESUME = {"resume", "out", "logdir", "device", "amp", "compile", "save_every"}


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
    add("--save-every", metavar="K", type=number(int, 1), help="checkpoint after K steps, too (default: 1000)")
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
        before, option, why = options[name], f"--{name.replace('_', '-')}", ""
        if name == "epochs" and given["epochs"] >= saved["epoch"]:
            if options["schedule"] == "constant":
                continue  # without a schedule that ends with the last epoch, a run may as well be longer
            why = ", and its learning rate is planned to end near 0 with the last of them"
        if given[name] != before:
            raise UserError(f"that run has {option} {before}{why}: leave {option} out, or start a new run")
    return options | given


# ---- Data, model, optimizer ------------------------------------------------------------------------------------------


def build_loaders(options: dict, device: torch.device) -> tuple[dict[str, MemoryLoader], dict]:
    """Loaders "train", "val" (none with --val-split 0) and "test"; and what a checkpoint must say about the data."""
    train_set, test_set = (distributed.one_then_all(open_data, options["data"], split) for split in ("train", "test"))
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
    last_step = (len(kept) - 1) % options["batch_size"] + 1
    if last_step < distributed.world_size():
        raise UserError(f"the last step of an epoch has {last_step} pictures, too few to share: change --batch-size")
    # Measured on what is trained on alone: nothing about the other pictures may leak in.
    mean, std = mean_and_std(images[kept]) if options["normalize"] else ([0.0] * 3, [1.0] * 3)

    def loader(images: Tensor, labels: Tensor, batch_size: int, **how) -> MemoryLoader:
        return MemoryLoader(images.to(device), labels.to(device), batch_size, mean, std, **how)

    how = {"shuffle": True, "augment": options["augment"], "seed": options["seed"]}
    loaders = {"train": loader(images[kept], labels[kept], options["batch_size"], **how)}
    if len(held_out):
        loaders["val"] = loader(images[held_out], labels[held_out], batch_size=250)
    loaders["test"] = loader(*in_memory(test_set), batch_size=250)
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
        optimizer = torch.optim.SGD(
            model.parameters(), lr, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0
        )
    if options["schedule"] == "onecycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, num_steps, cycle_momentum=False)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)


# ---- One epoch -------------------------------------------------------------------------------------------------------


def train_one_epoch(model, batches, loss_fn, optimizer, schedule, amp=False, tally=None, after_step=None):
    """One pass over the training batches: mean loss and accuracy (0…1) over all samples, as the weights went along.

    The tally of an epoch that was stopped in its middle goes on; after_step() is called when a step is complete.
    """
    tally = tally or Tally()
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            logits = model(images)
            loss = loss_fn(logits, labels)
        loss.backward()
        optimizer.step()
        schedule.step()
        tally.add(loss, logits, labels)
        if after_step:
            after_step()
    return tally.means()


@torch.no_grad()
def evaluate(model, batches, loss_fn, amp: bool = False) -> tuple[float, float]:
    """Mean loss and accuracy (0…1) over all samples."""
    tally = Tally()
    model.eval()
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            logits = model(images)
            loss = loss_fn(logits, labels)
        tally.add(loss, logits, labels)
    return tally.means()


# ---- What a person sees ----------------------------------------------------------------------------------------------


def describe(row: dict, epochs: int, is_best: bool) -> str:
    """One epoch in one line."""
    line = f"epoch {row['epoch']:{len(str(epochs))}}/{epochs}"
    for split in ("train", "val"):
        if f"{split}_loss" in row:
            line += f"   {split} loss {row[f'{split}_loss']:.3f} accuracy {row[f'{split}_accuracy']:6.2%}"
    return line + f"   {row['seconds']:.1f} s" + ("   best so far" if is_best else "")


def log(writer, row: dict) -> None:
    """One epoch's numbers for TensorBoard: loss/train, loss/val, accuracy/train …; step = epoch."""
    for name, value in row.items():
        if name != "epoch":
            writer.add_scalar("/".join(reversed(name.split("_"))), value, row["epoch"])
    writer.flush()  # before the checkpoint that says this epoch is done


# ---- The run ---------------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error for what the user can mend; 130 after Ctrl-C, 143 after kill."""
    return exit_code("train.py", lambda: run(parse_options(argv)))


def run(given: dict) -> int:
    """Build everything from the options, train, measure the test split once, say where everything lies."""
    with ExitStack() as until_the_end:
        stop = until_the_end.enter_context(StopSignals())
        until_the_end.enter_context(distributed.processes(given.get("device", "auto")))
        saved, out = None, None
        if "resume" in given:
            which = given["resume"] or given.get("out")
            saved, out = distributed.from_first(runs.find_run, LESSON, which, until_the_end)
        options = complete_options(given, saved)
        if saved and "test" in saved and saved["epoch"] >= options["epochs"]:
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
        about = about_data | {"model": options["model"], "options": options}
        training = Training(model, optimizer, schedule, about)
        if saved:
            training.restore(saved, out)
            steps = f" and {training.tally.steps} steps" if training.tally.steps else ""
            print(f"resuming {shown(out)} after epoch {saved['epoch']} of {options['epochs']}{steps}")
        else:
            out = distributed.from_first(runs.claim_folder, LESSON, options["out"], until_the_end)
            training.save(out / runs.LAST)  # a full or forbidden disk is found before the training

        logs, writer = runs.log_folder(LESSON, out, options["logdir"]), None  # only process 0 writes
        if distributed.rank() == 0:
            writer = until_the_end.enter_context(runs.log_writer(logs, first_epoch=len(training.history) + 1))
            if not saved:
                with warnings.catch_warnings(action="ignore"):  # add_graph() calls what PyTorch calls deprecated
                    writer.add_graph(model, next(iter(loaders["test"]))[0][:1])
        loss_fn = nn.CrossEntropyLoss(label_smoothing=options["label_smoothing"])
        fit(training, loaders, loss_fn, options, out, writer, stop)
        finish(training, loaders, loss_fn, out, writer)
        print(f"TensorBoard   tensorboard --logdir {shown(logs.parent)}")
        print(f"use it        python {shown(Path(__file__).parents[1] / 'Course20-ModelTest' / 'test.py')} PICTURE …")
        return 0


def fit(training: Training, loaders: dict[str, MemoryLoader], loss_fn, options, out, writer, stop: StopSignals) -> None:
    """Train for the epochs that are left, with checkpoints in `out`. UserError, and Stopped, between two steps."""
    model, optimizer, schedule, history = training.model, training.optimizer, training.schedule, training.history
    device, epochs, num_steps = loaders["train"].images.device, options["epochs"], len(loaders["train"])
    amp = device.type == "cuda" and torch.cuda.is_bf16_supported(False) if options["amp"] is None else options["amp"]
    compiled = torch.compile(model) if options["compile"] else model  # another road to the same weights
    parallel = distributed.data_parallel(compiled, loaders["train"])
    look_every = 1 if device.type == "cpu" else 50  # steps; on a GPU, each look makes the CPU wait

    def save_last() -> None:
        training.save(out / runs.LAST, keep_old_as=out / runs.PREVIOUS)

    def after_step() -> None:
        """Is the loss finite, is a checkpoint due, did somebody ask to stop? All processes find the same answers."""
        tally = training.tally
        due = tally.steps % options["save_every"] == 0 or tally.steps == num_steps
        if not due and tally.steps % look_every:
            return
        bad_step, signum = distributed.largest([tally.settle(), stop.received])
        if bad_step:
            where = f"step {bad_step} of epoch {len(history) + 1} (learning rate {schedule.get_last_lr()[0]:.3g})"
            raise UserError(f"the loss is not finite at {where}: start a new run with a smaller --lr")
        if due or signum:
            tally.seconds = time.perf_counter() - started
            save_last()
        if signum:
            raise Stopped(signum, f"all is saved; --resume {shown(out)} goes on with the next step")

    stop.patient, stop.advice = True, f"--resume {shown(out)} goes on after the last checkpoint"
    for epoch in range(len(history) + 1, epochs + 1):
        tally = training.tally  # with steps in it, where the epoch was stopped in its middle
        started = time.perf_counter() - tally.seconds
        loaders["train"].set_epoch(epoch, first=tally.steps)
        how = {"initial": tally.steps, "leave": False, "disable": None if writer else True}  # None: no bar in a file
        batches = tqdm(loaders["train"], f"epoch {epoch}/{epochs}", **how)
        loss, accuracy = train_one_epoch(parallel, batches, loss_fn, optimizer, schedule, amp, tally, after_step)
        row = {"epoch": epoch, "lr": schedule.get_last_lr()[0], "train_loss": loss, "train_accuracy": accuracy}
        if "val" in loaders:
            distributed.share_buffers(model)
            with stop.at_once():
                row["val_loss"], row["val_accuracy"] = evaluate(compiled, loaders["val"], loss_fn, amp)
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        training.tally = Tally()
        # Without validation pictures there is nothing to choose by: the last epoch is the best.
        is_best = "val" not in loaders or row["val_accuracy"] > training.best["accuracy"]
        if is_best:
            training.best = {"epoch": epoch, "accuracy": row.get("val_accuracy", -math.inf)}
            training.save(out / "best.pt")
        if writer:
            log(writer, row)
        save_last()
        print(describe(row, epochs, is_best))
    stop.patient = False  # from here on, nothing is lost by stopping at once
    (signum,) = distributed.largest([stop.received])
    if signum:
        raise Stopped(signum, stop.advice)


def finish(training: Training, loaders: dict[str, MemoryLoader], loss_fn, out: Path, writer) -> None:
    """Measure the test pictures once, with the weights that were chosen without them; draw and print what came out."""
    best = distributed.from_first(checkpoint.load, out / "best.pt")
    training.model.load_state_dict(best["state_dict"])
    loss, accuracy = evaluate(training.model, loaders["test"], loss_fn)
    if not writer:
        return  # process 0 writes
    test = {"epoch": best["epoch"], "loss": loss, "accuracy": accuracy}
    writer.add_scalar("loss/test", loss, test["epoch"])
    writer.add_scalar("accuracy/test", accuracy, test["epoch"])
    page = predictions_page(training.model, loaders["test"], training.about["classes"])
    writer.add_figure("predictions", page, test["epoch"])
    save_figure(page, out / "predictions.png")
    save_figure(draw_curves(training.history, test), out / "curves.png")
    finished = checkpoint.load(out / runs.LAST) | {"test": test}
    checkpoint.save(out / runs.LAST, finished, keep_old_as=out / runs.PREVIOUS)

    count = len(loaders["test"].labels)
    print(f"\nbest epoch    {test['epoch']}")
    print(f"test accuracy {accuracy:.2%} of {count:,} pictures, measured once, with the weights of that epoch")
    print(f"checkpoint    {shown(out / 'best.pt')}")
    print(f"curves        {shown(out / 'curves.png')} (and predictions.png beside it)")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # into a file, too, each line is written when it is printed
    sys.exit(main())
