"""Course 20 · ModelTest — what does a trained network say about new pictures?

Run   python Course20-ModelTest/test.py PICTURE …   what is on these pictures?
      python Course20-ModelTest/test.py             how good is the network?
      python Course20-ModelTest/test.py --checkpoint FILE …
                               with these weights, not the newest run's best
Read  notes.md
"""

import sys
from pathlib import Path

from trainer import startup

if __name__ == "__main__":
    startup.prepare("test.py")  # before torch is imported; see Course 19

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from tqdm import tqdm

from common import UserError
from common.checkpoint import Trained, load_trained
from common.data import in_memory, open_data
from common.device import DEVICES, pick_device
from common.drawn import CIFAR_CLASSES
from common.paths import output_dir, shown
from common.pictures import read_image, to_uint8
from trainer import runs
from trainer.cli import OneLineParser, number, run_cli
from trainer.loader import MemoryLoader
from trainer.plots import plot_confusion, plot_predictions, save_figure

LESSON = "Course20-ModelTest"
DEFAULTS = {"images": [], "checkpoint": None, "data": None, "device": "auto", "top": 3}


def parse_options(argv: list[str] | None) -> dict:
    """All options, with their defaults."""
    parser = OneLineParser(__doc__)
    add = parser.add_argument
    add("images", nargs="*", metavar="PICTURE", help="pictures to classify; none: measure on the test pictures")
    add("--checkpoint", metavar="FILE", help="trained weights (default: the best of the newest run)")
    add("--data", help="whose test pictures: auto | drawn | cifar10 | FOLDER (default: those it was trained for)")
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add("--top", metavar="K", type=number(int, 1), help="how many classes to name for a picture (default: 3)")
    return DEFAULTS | vars(parser.parse_args(argv))


def newest_checkpoint() -> Path:
    """The best.pt that was written last by Course19's train.py."""
    newest = runs.newest_best("Course19-TrainGPU")
    if newest is None:
        raise UserError("nothing is trained yet: type python Course19-TrainGPU/train.py, or name a --checkpoint")
    return newest


@torch.no_grad()
def predict(trained: Trained, images: Tensor, device: torch.device) -> Tensor:
    """Probabilities (N, num_classes) for uint8 images (N, 3, 32, 32), prepared exactly as for the training."""
    model: nn.Module = trained.model.to(device, memory_format=torch.channels_last).eval()
    dummy_labels = torch.zeros(len(images), dtype=torch.int64, device=device)
    loader = MemoryLoader(images.to(device), dummy_labels, 500, trained.mean, trained.std)
    batches = tqdm(loader, "predicting", leave=False, disable=None)
    return torch.cat([model(batch).softmax(dim=1) for batch, _ in batches]).cpu()


def count_confusion(labels: Tensor, guesses: Tensor, num_classes: int) -> Tensor:
    """How often each true class (row) was taken for each class (column). labels, guesses (N,) -> int64 (C, C)."""
    return (labels * num_classes + guesses).bincount(minlength=num_classes**2).view(num_classes, num_classes)


def prepare(path: str) -> tuple[Tensor, Image.Image]:
    """What the network gets to see of a picture, (3, 32, 32), and that same middle square sharp enough for a person."""
    picture = read_image(path)  # of a large photograph 300 MB, and none of it is kept
    return to_uint8(picture), ImageOps.fit(picture, (160, 160), Image.Resampling.BICUBIC)


def classify(trained: Trained, paths: list[str], top: int, device: torch.device) -> int:
    """Print the most likely classes of each picture and draw them all on one page. 2 where a file was no picture."""
    pictures = {}
    for path in paths:
        try:
            pictures[path] = prepare(path)
        except UserError as error:
            print(f"test.py: {error}", file=sys.stderr)
    if pictures:
        small, squares = zip(*pictures.values(), strict=True)
        images = torch.stack(small)  # (N, 3, 32, 32)
        probabilities = predict(trained, images, device)
        width = max(map(len, pictures))
        for path, row in zip(pictures, probabilities, strict=True):
            best = row.topk(min(top, len(row)))
            likely = zip(best.values, best.indices, strict=True)
            print(f"{path:{width}}", *(f"{trained.classes[i]} {p:.1%}" for p, i in likely), sep="   ")
        page = output_dir(LESSON) / "predictions.png"
        save_figure(plot_predictions(list(squares), probabilities, trained.classes, columns=4), page)
        print(f"annotated picture: {shown(page)}")
    return 0 if len(pictures) == len(set(paths)) else 2


def measure(trained: Trained, data: str, device: torch.device) -> int:
    """Print the accuracy over all test pictures and over those of each class; draw the confusion matrix."""
    dataset = open_data(data, "test")
    if dataset.classes != trained.classes:
        ours, theirs = ", ".join(trained.classes), ", ".join(dataset.classes)
        raise UserError(f"the network knows {ours}; the pictures of {data} are {theirs}. Choose other --data")
    images, labels = in_memory(dataset)
    confusion = count_confusion(labels, predict(trained, images, device).argmax(dim=1), len(dataset.classes))
    correct, total = confusion.diagonal(), confusion.sum(dim=1)
    print(f"accuracy {correct.sum() / total.sum():.2%} ({correct.sum():,} of {total.sum():,} test pictures of {data})")
    width = max(map(len, dataset.classes))
    for name, right, count in zip(dataset.classes, correct, total, strict=True):
        print(f"  {name:{width}} {right / count:6.1%} ({right:,} of {count:,})")
    path = output_dir(LESSON) / "confusion.png"
    save_figure(plot_confusion(confusion, dataset.classes), path)
    print(f"confusion matrix: {shown(path)}")
    return 0


def run(options: dict) -> int:
    """Load the network, then classify pictures or, where none are named, measure it on the test split."""
    path = Path(options["checkpoint"]).expanduser() if options["checkpoint"] else newest_checkpoint()
    trained = load_trained(path, list(CIFAR_CLASSES))
    device, reason = pick_device(options["device"])
    print(reason)
    print(f"checkpoint: {shown(path)} ({trained.name}, {len(trained.classes)} classes)")
    if trained.data is None:
        print("it does not say how its pictures were prepared: they go in as 0…1, as in the video courses")
    if options["images"]:
        return classify(trained, options["images"], options["top"], device)
    return measure(trained, options["data"] or trained.data or "auto", device)


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error for each thing the user can mend; 130 after Ctrl-C."""
    return run_cli("test.py", lambda: run(parse_options(argv)))


if __name__ == "__main__":
    sys.exit(main())
