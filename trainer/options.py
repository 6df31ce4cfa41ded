"""The options of train.py: two recipes, what trained weights change, and what may be given when a run goes on."""

import argparse
from pathlib import Path

from common import UserError
from common.data import resolve_data
from common.device import DEVICES
from common.models import IMAGE_SIZES, MODELS, ONLY_32
from trainer.cli import OneLineParser, number
from trainer.pictures import check_image_size

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
PRETRAINED = {  # settings of the modern recipe that --pretrained changes
    # option           all weights   --freeze: the head alone
    "epochs":          (15, 50),
    "batch_size":      (16, 16),
    "lr":              (0.05, 0.05),
    "label_smoothing": (0.0, 0.0),
    "augment":         (True, False),
    "val_split":       (0.0, 0.0),  # a tenth of few pictures cannot choose an epoch, and each is needed to learn from
}
# fmt: on
PRETRAINED_MODELS = {"course": "resnet20", "imagenet": "resnet18-224"}
COURSE_SIZE = 64  # of photographs for the course's network: larger than those that it was trained on
ADAMW_LR = 0.002  # where --optimizer adamw comes without --lr: the recipes' rates are SGD's
DEFAULTS = {"recipe": "modern", "data": "auto", "val_split": 0.1, "limit": None, "seed": 0, "device": "auto"}
DEFAULTS |= {"amp": None, "compile": False, "out": None, "logdir": None, "save_every": 1000}
DEFAULTS |= {"pretrained": None, "freeze": False, "image_size": None, "deterministic": False}
PLACES = {"resume": None, "out": None, "logdir": None}  # of one start: a checkpoint never says where to write
FREE_ON_RESUME = {*PLACES, "device", "amp", "compile", "deterministic", "save_every"}  # may change
TINY, HUGE = 1e-12, 1e30  # for rates: "more than nothing", and what float32 can still multiply


def make_parser(description: str | None = None) -> OneLineParser:
    """Every option, with its meaning and its default; --help begins with the description."""
    parser = OneLineParser(description)
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    add("--recipe", choices=["modern", "classic"], help="sets all of the second group (default: modern)")
    add("--data", help="auto: the real CIFAR-10 if it is in data/, else drawn (default) | drawn | cifar10 | FOLDER")
    add(
        "--val-split",
        type=number(float, 0, 0.9),
        help="share held out of the training pictures (default: 0.1; --pretrained: 0)",
    )
    add("--limit", metavar="N", type=number(int, 1), help="only N training pictures, classes balanced: a quick try")
    add(
        "--pretrained",
        nargs="?",
        const="course",
        choices=list(PRETRAINED_MODELS),
        help="start from trained weights, with a new head: the course's network (default: course), or ImageNet's "
        "ResNet-18, downloaded where it is missing",
    )
    add("--freeze", action=flag, help="train the head alone, and leave the pretrained rest as it is (default: no)")
    size = f"height and width of all pictures (default: 32; --pretrained with a FOLDER: {COURSE_SIZE}; imagenet: 224)"
    add("--image-size", metavar="N", type=number(int, 8, 1024), help=size)
    add("--seed", type=number(int, 0, 2**31), help="of weights, order, augmentation and split (default: 0)")
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add("--amp", action=flag, help="bfloat16 where it is safe (default: on a GPU that is made for it)")
    add("--compile", action=flag, help="torch.compile the network (default: no)")
    add("--deterministic", action=flag, help="equal to the last bit on a GPU, too, and slower there (default: no)")
    add("--out", metavar="DIR", help="checkpoints and curves (default: the next checkpoints/Course19-TrainGPU/run-NNN)")
    add("--logdir", metavar="DIR", help="TensorBoard (default: beside it under logs/, or inside --out)")
    add("--save-every", metavar="K", type=number(int, 1), help="checkpoint after K steps, too (default: 1000)")
    add("--resume", nargs="?", const="", metavar="RUN", help="go on with a run (folder or file; default: the newest)")

    group = parser.add_argument_group("set by --recipe, each can be given on its own")

    def add(name: str, meaning: str, **kwargs) -> None:
        modern, classic = RECIPES[name.replace("-", "_")]
        defaults = f"modern: {modern}, classic: {classic}"
        if name.replace("-", "_") in PRETRAINED:
            defaults += "; with --pretrained: {}, and --freeze: {}".format(*PRETRAINED[name.replace("-", "_")])
        group.add_argument(f"--{name}", help=f"{meaning} ({defaults})", **kwargs)

    add("model", "the network; --pretrained brings its own", choices=list(MODELS))
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
    if which := typed.get("pretrained"):
        frozen = typed.get("freeze", False)
        defaults |= {name: head if frozen else all_weights for name, (all_weights, head) in PRETRAINED.items()}
        defaults["model"] = PRETRAINED_MODELS[which]
    if typed.get("optimizer") == "adamw":
        defaults["lr"] = ADAMW_LR
    options = parse_options(argv, defaults)
    options["data"] = resolve_data(options["data"])
    if options["image_size"] is None:
        _, usual, _ = IMAGE_SIZES.get(options["model"], ONLY_32)
        is_folder = options["data"] not in ("drawn", "cifar10")
        options["image_size"] = COURSE_SIZE if options["pretrained"] == "course" and is_folder else usual
    check_together(options)
    return options


def check_together(options: dict) -> None:
    """UserError for options of which each is right, but not together with the others."""
    which = options["pretrained"]
    if which:
        for name, fits in (("recipe", "modern"), ("model", PRETRAINED_MODELS[which]), ("normalize", True)):
            if options[name] != fits:
                typed = f"--{name} {options[name]}" if name != "normalize" else "--no-normalize"
                raise UserError(f"--pretrained {which} does not go with {typed}: leave one of the two out")
    elif options["freeze"]:
        raise UserError("--freeze leaves trained weights as they are, and there are none: add --pretrained")
    check_image_size(options["image_size"], options["model"], options["data"])


def resumed_options(argv: list[str] | None, checkpoint: dict, folder: Path) -> dict:
    """All options of a run that goes on: those in its checkpoint. UserError where a typed one differs from them."""
    saved = checkpoint["options"]
    typed = parse_options(argv, defaults={})
    missing = sorted({*DEFAULTS, *RECIPES} - saved.keys())
    if missing:
        raise UserError(f"the run in {folder} cannot be used: its options lack {missing[0]!r}. Start a new run")
    optional = {name for name, value in DEFAULTS.items() if value is None}
    make_parser().check(saved, f"the run in {folder}", optional)
    check_together(saved)
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
