"""Course 19 · TrainGPU — what makes a training script trustworthy?

Run   python Course19-TrainGPU/train.py                   ten classes, a minute
      python Course19-TrainGPU/train.py --recipe classic  as in the videos
      python Course19-TrainGPU/train.py --data FOLDER     your own pictures:
                          FOLDER/train/<class>/* and FOLDER/test/<class>/*
      python Course19-TrainGPU/train.py --data FOLDER --pretrained
                          … from weights that know photographs already
      python Course19-TrainGPU/train.py --resume          go on after a stop
      torchrun --standalone --nproc-per-node 2 Course19-TrainGPU/train.py
See   tensorboard --logdir logs
Read  notes.md
"""

import math
import sys
import warnings
from functools import partial

from trainer import startup

if __name__ == "__main__":
    startup.prepare("train.py")  # new here: faster steps; torch reads these settings when it is imported (section 9)

import torch
from torch import Tensor, nn
from tqdm import tqdm

from common import UserError
from common.checkpoint import Trained
from common.data import mean_and_std, stratified
from common.device import cpu_capability, has_fast_bfloat16, pick_device
from common.models import make_model
from common.paths import shown
from trainer import distributed, memory, runs, transfer
from trainer.cli import run_cli
from trainer.loader import MemoryLoader
from trainer.options import new_run_options, parse_options, resumed_options
from trainer.pictures import read_pictures
from trainer.plots import plot_curves, predictions_page, save_figure
from trainer.report import describe, describe_model, print_resumed
from trainer.runs import Run
from trainer.signals import Stopped, StopSignals
from trainer.state import EpochMetrics, TrainingState, fingerprint, require_same_pictures

LESSON = "Course19-TrainGPU"


# ---- Data, model, optimizer ------------------------------------------------------------------------------------------


def build_loaders(options: dict, device: torch.device, normalization=None) -> tuple[dict[str, MemoryLoader], dict]:
    """Loaders "train", "val" (none with --val-split 0) and "test"; and what a checkpoint must say about the data.

    normalization: mean and std of each channel where they are given, by a pretrained network or by a checkpoint.
    """
    # images uint8 (N, 3, 32, 32), labels int64 (N,)
    classes, images, labels, test_images, test_labels = read_pictures(options, device)

    # new here: validation pictures, so that the test pictures choose nothing
    used = stratified(labels, options["limit"] or len(labels), options["seed"])  # indices of pictures
    val_count = round(options["val_split"] * len(used))
    val_index = used[stratified(labels[used], val_count, options["seed"])]
    train_index = used[~torch.isin(used, val_index)]
    if len(labels[train_index].unique()) < len(classes):
        way_out = "raise --limit" if options["limit"] else "add pictures, or type --val-split 0"
        raise UserError(f"{len(train_index)} training pictures are too few for {len(classes)} classes: {way_out}")
    smallest_step = (len(train_index) - 1) % options["batch_size"] + 1  # the last one of an epoch
    if smallest_step < distributed.world_size():
        raise UserError(
            f"the last step of an epoch has {smallest_step} pictures, too few to share: change --batch-size"
        )
    if normalization is None:  # only from the training pictures: nothing about the others may leak in
        normalization = mean_and_std(images[train_index]) if options["normalize"] else ([0.0] * 3, [1.0] * 3)
    mean, std = normalization

    # new here: all pictures lie on the device from the start; a DataLoader would prepare them one by one
    def loader(pictures: Tensor, classes: Tensor, batch_size: int, **kwargs) -> MemoryLoader:
        kwargs |= {"rank": distributed.rank(), "world_size": distributed.world_size()}
        return MemoryLoader(pictures.to(device), classes.to(device), batch_size, mean, std, **kwargs)

    shuffled = {"shuffle": True, "augment": options["augment"], "seed": options["seed"]}
    loaders = {"train": loader(images[train_index], labels[train_index], options["batch_size"], **shuffled)}
    if val_count:
        loaders["val"] = loader(images[val_index], labels[val_index], batch_size=250)
    loaders["test"] = loader(test_images, test_labels, batch_size=250)
    pictures = {"training": fingerprint(images, labels), "test": fingerprint(test_images, test_labels)}
    metadata = {"classes": classes, "mean": mean, "std": std, "data": options["data"], "pictures": pictures}
    return loaders, metadata | {"image_size": options["image_size"]}


def build_model(name: str, num_classes: int, device: torch.device) -> nn.Module:
    """A new network with random weights, laid out in memory as the loaders lay out the pictures."""
    return make_model(name, num_classes).to(device, memory_format=torch.channels_last)


def build_optimizer(model: nn.Module, options: dict, total_steps: int):
    """The optimizer, and the scheduler that moves its learning rate after each step of the run."""
    groups, peaks = transfer.parameter_groups(model, options)  # one group of all weights, but for --pretrained
    lr, momentum, weight_decay = options["lr"], options["momentum"], options["weight_decay"]
    if options["optimizer"] == "adamw":
        optimizer = torch.optim.AdamW(groups, lr, weight_decay=weight_decay)
    else:
        optimizer = torch.optim.SGD(groups, lr, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0)
    if options["schedule"] == "onecycle":
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps, cycle_momentum=False)
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)  # stays as it is


def build_state(
    options: dict, metadata: dict, steps_per_epoch: int, device: torch.device, pretrained: Trained | None = None
) -> TrainingState:
    """new here: all that changes while the network trains, in one place, so that it can be saved and put back."""
    torch.manual_seed(options["seed"])
    model = build_model(options["model"], len(metadata["classes"]), device)
    if pretrained:
        transfer.copy_backbone(pretrained, model)
    optimizer, scheduler = build_optimizer(model, options, options["epochs"] * steps_per_epoch)
    return TrainingState(model, optimizer, scheduler, metadata | {"model": options["model"], "options": options})


def choose_amp(wanted: bool | None, device: torch.device) -> bool:
    """Whether to compute in bfloat16: as asked, but on a CPU only where it is faster; unasked, on GPUs made for it."""
    fast = has_fast_bfloat16(device)
    if wanted and device.type == "cpu" and not fast:
        print(f"--amp is left out: this CPU ({cpu_capability()}) has no bfloat16 instructions, and would be slower")
        return False
    if wanted is None:
        return device.type == "cuda" and fast
    return wanted


# ---- One epoch -------------------------------------------------------------------------------------------------------


def train_one_epoch(model, batches, loss_fn, optimizer, scheduler, amp=False, metrics=None, after_step=None):
    """One pass over the training batches: mean loss and accuracy (0…1) over all samples, as the weights went along.

    The metrics of an epoch that was stopped in its middle go on; after_step() is called when a step is complete.
    """
    if metrics is None:
        metrics = EpochMetrics()
    model.train()
    for images, labels in batches:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):  # new here: half the bits, where safe
            logits = model(images)
            loss = loss_fn(logits, labels)
        loss.backward()
        optimizer.step()
        scheduler.step()  # new here: a learning rate for each step
        metrics.update(loss, logits, labels)  # new here: no .item(), so a GPU need not wait
        if after_step:
            after_step()  # new here: checkpoints, signals, a look at the loss: check_step()
    return metrics.compute()


@torch.no_grad()
def evaluate(model, batches, loss_fn, amp: bool = False) -> tuple[float, float]:
    """Mean loss and accuracy (0…1) over all samples."""
    metrics = EpochMetrics()
    model.eval()
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=amp):
            logits = model(images)
            loss = loss_fn(logits, labels)
        metrics.update(loss, logits, labels)
    return metrics.compute()


# ---- The run ---------------------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Train, and return the exit code.

    0: done. 2: something the user can mend, after one line on standard error. 130: Ctrl-C. 143: kill.
    """
    return run_cli("train.py", lambda: train(argv))


def train(argv: list[str] | None) -> int:
    """Build everything from the options, train, measure the test split once, say where everything lies."""
    typed = parse_options(argv, defaults={}, description=__doc__)  # the defaults depend on the run that is resumed
    resume = "resume" in typed
    with (
        StopSignals() as stop,  # new here: Ctrl-C ends the run between two steps
        distributed.process_group(typed.get("device", "auto")),  # new here: the other processes, if there are any
        runs.open_run(
            LESSON, resume, typed.get("resume") or typed.get("out")
        ) as run,  # new here: a folder for each run
    ):
        options = resumed_options(argv, run.saved, run.folder) if resume else new_run_options(argv)
        if resume and "test" in run.saved and run.saved["epoch"] >= options["epochs"]:
            accuracy = run.saved["test"]["accuracy"]
            print(f"nothing to do: {shown(run.folder)} is finished, with {accuracy:.2%} on the test pictures")
            return 0

        device, reason = pick_device(options["device"])
        print(reason)
        amp = choose_amp(options["amp"], device)
        if options["deterministic"] and device.type == "cuda":
            startup.compute_deterministically()
        pretrained = None if resume else transfer.load_pretrained(options["pretrained"])
        given = (run.saved["mean"], run.saved["std"]) if resume else pretrained and (pretrained.mean, pretrained.std)
        loaders, metadata = build_loaders(options, device, normalization=given)
        sizes = ", ".join(f"{len(loader.labels):,} {split}" for split, loader in loaders.items())
        print(f"data: {options['data']} ({sizes}; {len(metadata['classes'])} classes)")
        state = build_state(options, metadata, len(loaders["train"]), device, pretrained)
        print(f"model: {describe_model(state.model, options['model'])}, recipe: {options['recipe']}")
        if resume:
            require_same_pictures(run.saved, metadata)
            state.restore(run.saved, run.folder, len(loaders["train"]))
            print_resumed(run, state, options)
        run.begin(state, options["out"], options["logdir"])  # from here on, run.writer is there, in rank 0 alone
        if run.writer and not resume:
            with warnings.catch_warnings(action="ignore"):  # add_graph() calls what PyTorch calls deprecated
                run.writer.add_graph(state.model, next(iter(loaders["test"]))[0][:1])

        loss_fn = nn.CrossEntropyLoss(label_smoothing=options["label_smoothing"])
        again = f"free some and type {run.resume_command}, or start a new run with {memory.SMALLER}"
        with memory.shortage_means(again):  # what was saved stays
            fit(state, loaders, loss_fn, options, amp, run, stop)
            finish(state, loaders, loss_fn, run)
        return 0


def check_step(state: TrainingState, loader: MemoryLoader, save_every: int, run: Run, stop: StopSignals) -> None:
    """After each step: is the loss finite, is a checkpoint due, was the run asked to stop? (notes, section 6)"""
    metrics = state.metrics
    is_last = metrics.steps == len(loader)  # saved, so that a stop in the validation loses nothing
    is_due = is_last or metrics.steps % save_every == 0
    if not is_due and loader.images.device.type != "cpu" and metrics.steps % 50:
        return  # on a GPU, a look makes the CPU wait for all steps that are still to be computed

    bad_step = metrics.sync()  # 0: all losses are finite
    bad_step, signum = distributed.all_reduce_max([bad_step, stop.received])  # all processes decide alike
    if bad_step:
        lr = state.scheduler.get_last_lr()[0]
        where = f"step {bad_step} of epoch {len(state.history) + 1} (learning rate {lr:.3g})"
        raise UserError(f"the loss is not finite at {where}: start a new run with a smaller --lr")
    if is_due or signum:
        metrics.read_clock()
        run.save_last(state)
    if signum:
        raise Stopped(signum, f"all is saved; go on with the next step: {run.resume_command}")


def fit(state: TrainingState, loaders, loss_fn, options: dict, amp: bool, run: Run, stop: StopSignals) -> None:
    """Train for the epochs that are left, with checkpoints. UserError, and Stopped, between two steps."""
    model, optimizer, scheduler = state.model, state.optimizer, state.scheduler
    stop.advice = f"go on after the last checkpoint: {run.resume_command}"
    if options["freeze"]:
        model, loaders = transfer.head_and_features(model, loaders, amp)
    train_loader = loaders["train"]
    fast_model = torch.compile(model) if options["compile"] else model  # new here: compiled, with the same weights

    def share() -> float:
        """This process's part of the pictures of the current step."""
        return train_loader.share(state.metrics.steps)

    parallel = distributed.data_parallel(fast_model, share)  # new here: gradients of all processes; alone, the model
    after_step = partial(check_step, state, train_loader, options["save_every"], run, stop)
    # No bar where the output is a file (None), nor in the other processes (True).
    bar_options = {"leave": False, "disable": None if run.writer else True}

    stop.deferred = True  # a signal now waits for the end of the step
    for epoch in range(len(state.history) + 1, options["epochs"] + 1):
        metrics = state.metrics  # with steps in it, where the epoch was stopped in its middle
        metrics.start_clock()
        train_loader.set_epoch(epoch, first=metrics.steps)
        batches = tqdm(train_loader, f"epoch {epoch}/{options['epochs']}", initial=metrics.steps, **bar_options)
        loss, accuracy = train_one_epoch(parallel, batches, loss_fn, optimizer, scheduler, amp, metrics, after_step)
        row = {"epoch": epoch, "lr": scheduler.get_last_lr()[0], "loss/train": loss, "accuracy/train": accuracy}
        if "val" in loaders:
            distributed.broadcast_buffers(model)
            with stop.at_once():  # no signal waits for a whole validation: nothing is lost
                row["loss/val"], row["accuracy/val"] = evaluate(fast_model, loaders["val"], loss_fn, amp)
        row["seconds"] = metrics.read_clock()
        state.history.append(row)
        state.metrics = EpochMetrics()

        # Without validation pictures there is nothing to choose by: the last epoch is the best.
        is_best = "val" not in loaders or row["accuracy/val"] > state.best["accuracy"]
        if is_best:
            state.best = {"epoch": epoch, "accuracy": row.get("accuracy/val", -math.inf)}
            run.save_best(state)
        run.log(row)
        run.save_last(state)
        print(describe(row, options["epochs"], is_best))

    stop.deferred = False  # from here on, nothing is lost by stopping at once
    signum = distributed.all_reduce_max([stop.received])[0]
    if signum:
        raise Stopped(signum, stop.advice)


def finish(state: TrainingState, loaders: dict[str, MemoryLoader], loss_fn, run: Run) -> None:
    """new here: measure the test pictures once, with the weights that were chosen without them; draw, print."""
    best = run.load_best()
    state.model.load_state_dict(best["state_dict"])
    loss, accuracy = evaluate(state.model, loaders["test"], loss_fn)
    if not run.writer:
        return  # rank 0 writes
    test = {"epoch": best["epoch"], "loss": loss, "accuracy": accuracy}
    run.log({"epoch": best["epoch"], "loss/test": loss, "accuracy/test": accuracy})
    page = predictions_page(state.model, loaders["test"], state.metadata["classes"])
    save_figure(page, run.folder / "predictions.png")
    run.log_picture("predictions", run.folder / "predictions.png", test["epoch"])
    save_figure(plot_curves(state.history, test), run.folder / "curves.png")
    run.save_test(test)

    count = len(loaders["test"].labels)
    print(f"\nbest epoch    {test['epoch']}")
    print(f"test accuracy {accuracy:.2%} of {count:,} pictures, measured once, with that epoch's weights")
    print(f"checkpoint    {shown(run.best)}")
    print(f"curves        {shown(run.folder / 'curves.png')}")
    print(f"predictions   {shown(run.folder / 'predictions.png')}")
    print(f"TensorBoard   {run.tensorboard_command}")
    print(f"use it        {run.test_command} PICTURE …")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # into a file, too, each line is written when it is printed
    sys.exit(main())
