"""The options of train.py: two recipes, the other defaults, and what may be given when a run goes on."""

import argparse
from pathlib import Path

from common import UserError
from common.data import resolve_data
from common.device import DEVICES
from common.models import MODELS
from trainer.cli import OneLineParser, number

# fmt: off
RECIPES = {  # settings that belong together; each can still be given on its own
    # option           modern      classic
    "model":           ("cnn", "cnn-classic"),
    "epochs":          (10, 10),
    "batch_size":      (64, 64),
    "optimizer":       ("sgd", "sgd"),
    "lr":              (0.05, 0.01),
    "momentum":        (0.9, 0.0),
    "weight_decay":    (5e-4, 0.0),
    "schedule":        ("onecycle", "constant"),
    "label_smoothing": (0.1, 0.0),
    "normalize":       (True, False),
    "augment":         (True, False),
}
# fmt: on
ADAMW_LR = 0.002  # where --optimizer adamw comes without --lr: the recipes' rates are SGD's
DEFAULTS = {"recipe": "modern", "data": "auto", "val_split": 0.1, "limit": None, "seed": 0, "device": "auto"}
DEFAULTS |= {"amp": None, "compile": False, "out": None, "logdir": None, "save_every": 1000}
PLACES = {"resume": None, "out": None, "logdir": None}  # of one start: a checkpoint never says where to write
FREE_ON_RESUME = {*PLACES, "device", "amp", "compile", "save_every"}  # may differ from the stopped run's
TINY, HUGE = 1e-12, 1e30  # for rates: "more than nothing", and what float32 can still multiply


def make_parser(description: str | None = None) -> OneLineParser:
    """Every option, with its meaning and its default; --help begins with the description."""
    parser = OneLineParser(description)
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    add("--recipe", choices=["modern", "classic"], help="sets all of the second group (default: modern)")
    add("--data", help="auto: the real CIFAR-10 if it is in data/, else drawn (default) | drawn | cifar10 | FOLDER")
    add("--val-split", type=number(float, 0, 0.9), help="share held out of the training pictures (default: 0.1)")
    add("--limit", metavar="N", type=number(int, 1), help="only N training pictures, classes balanced: a quick try")
    add("--seed", type=number(int, 0, 2**31), help="of weights, order, augmentation and split (default: 0)")
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add("--amp", action=flag, help="bfloat16 where it is safe (default: on a GPU that is made for it)")
    add("--compile", action=flag, help="torch.compile the network (default: no)")
    add("--out", metavar="DIR", help="checkpoints and curves (default: the next checkpoints/Course19-TrainGPU/run-NNN)")
    add("--logdir", metavar="DIR", help="TensorBoard (default: beside it under logs/, or inside --out)")
    add("--save-every", metavar="K", type=number(int, 1), help="checkpoint after K steps, too (default: 1000)")
    add("--resume", nargs="?", const="", metavar="RUN", help="go on with a run (folder or file; default: the newest)")

    group = parser.add_argument_group("set by --recipe, each can be given on its own")

    def add(name: str, meaning: str, **kwargs) -> None:
        modern, classic = RECIPES[name.replace("-", "_")]
        group.add_argument(f"--{name}", help=f"{meaning} (modern: {modern}, classic: {classic})", **kwargs)

    add("model", "the network", choices=list(MODELS))
    add("epochs", "passes over the training pictures", type=number(int, 1))
    add("batch-size", "pictures a step, of all processes together", type=number(int, 1))
    add("optimizer", "how a gradient becomes a step", choices=["sgd", "adamw"])
    add("lr", "learning rate; the peak, with onecycle", type=number(float, TINY, HUGE))
    add("momentum", "of sgd; Nesterov's, where it is not 0", type=number(float, 0, 1))
    add("weight-decay", "pull of the weights towards 0", type=number(float, 0, HUGE))
    add("schedule", "the learning rate's way through the run", choices=["onecycle", "constant"])
    add("label-smoothing", "share of a label given to all classes", type=number(float, 0, 1))
    add("normalize", "pictures with mean 0 and standard deviation 1, not in 0…1", action=flag)
    add("augment", "flip and crop the training pictures at random", action=flag)
    return parser


def parse_options(argv: list[str] | None, defaults: dict, description: str | None = None) -> dict:
    """The options that were typed, over the defaults: {"batch_size": 32, …}. UserError for what cannot be an option."""
    parser = make_parser(description)
    parser.set_defaults(**defaults)
    return vars(parser.parse_args(argv))


def new_run_options(argv: list[str] | None) -> dict:
    """All options of a new run: what was typed, over the recipe's settings and the other defaults."""
    typed = parse_options(argv, defaults={})
    is_classic = typed.get("recipe", DEFAULTS["recipe"]) == "classic"
    defaults = DEFAULTS | {name: classic if is_classic else modern for name, (modern, classic) in RECIPES.items()}
    if typed.get("optimizer") == "adamw":
        defaults["lr"] = ADAMW_LR
    options = parse_options(argv, defaults)
    return options | {"data": resolve_data(options["data"])}


def resumed_options(argv: list[str] | None, checkpoint: dict, folder: Path) -> dict:
    """All options of a run that goes on: those in its checkpoint. UserError where a typed one differs from them."""
    saved, typed = checkpoint["options"], parse_options(argv, defaults={})
    missing = sorted({*DEFAULTS, *RECIPES} - saved.keys())
    if missing:
        raise UserError(f"the run in {folder} cannot be used: its options lack {missing[0]!r}. Start a new run")
    optional = {name for name, value in DEFAULTS.items() if value is None}
    make_parser().check(saved, f"the run in {folder}", optional)
    options = parse_options(argv, saved | PLACES)
    if "data" in typed:
        options["data"] = resolve_data(typed["data"])
    for name in typed.keys() - FREE_ON_RESUME:
        reason = ""
        if name == "epochs" and options["epochs"] >= checkpoint["epoch"]:
            if saved["schedule"] == "constant":
                continue  # without a schedule that ends with the last epoch, a run may as well be longer
            reason = ", and its learning rate is planned to end near 0 with the last of them"
        if options[name] != saved[name]:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"that run has {option} {saved[name]}{reason}: leave {option} out, or start a new run")
    return options
