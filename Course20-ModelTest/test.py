"""Course 20 · ModelTest — what does a trained network say about new pictures?

Run   python Course20-ModelTest/test.py PICTURE …   what is on these pictures?
      python Course20-ModelTest/test.py             how good is the network?
      python Course20-ModelTest/test.py --checkpoint FILE …
                               with these weights, not the newest run's best
      python Course20-ModelTest/test.py --checkpoint course …
                               with the course's own, which knows photographs
Read  notes.md

The newest run is the newest that is finished and was trained on all pictures.
Where nothing is trained yet, the course's own network answers.
"""

import sys
from pathlib import Path

from trainer import startup

if __name__ == "__main__":
    startup.prepare("test.py")  # before torch is imported; see Course 19

import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.datasets import CIFAR10
from tqdm import tqdm

from common import UserError
from common.checkpoint import Trained, load_trained
from common.data import has_real_cifar10, in_memory, open_data, resolve_data
from common.device import DEVICES, pick_device
from common.drawn import CIFAR_CLASSES
from common.paths import output_dir, shown
from common.pictures import read_image, to_uint8
from common.pretrained import load_course_network
from trainer import runs
from trainer.cli import OneLineParser, number, run_cli
from trainer.loader import MemoryLoader
from trainer.plots import plot_confusion, plot_predictions, save_figure
from trainer.records import Record, read_record

LESSON = "Course20-ModelTest"
DEFAULTS = {"images": [], "checkpoint": None, "data": None, "device": "auto", "top": 3}


def parse_options(argv: list[str] | None) -> dict:
    """All options, with their defaults."""
    parser = OneLineParser(__doc__)
    add = parser.add_argument
    add("images", nargs="*", metavar="PICTURE", help="pictures to classify; none: measure on the test pictures")
    add("--checkpoint", metavar="FILE", help="trained weights, or: course (default: the best of the newest run)")
    add("--data", help="whose test pictures: auto | drawn | cifar10 | FOLDER (default: those it was trained for)")
    add("--device", choices=DEVICES, help="where to compute (default: auto)")
    add("--top", metavar="K", type=number(int, 1), help="how many classes to name for a picture (default: 3)")
    return DEFAULTS | vars(parser.parse_args(argv))


def choose_network(checkpoint: str | None) -> tuple[Trained, Record | None, list[str]]:
    """The network that answers, its record where it has one, and what to say: which it is, and how good it was."""
    path, note = (Path(checkpoint).expanduser(), "") if checkpoint else runs.newest_best("Course19-TrainGPU")
    if checkpoint == "course" or path is None:
        course = load_course_network()
        trained, name = course.trained, "course"
        record = Record(trained.data, course.pictures, course.accuracy, f"{course.test_pictures:,} test pictures")
        note = "" if checkpoint else "nothing is trained yet: this network comes with the course"
    else:
        trained, name = load_trained(path, list(CIFAR_CLASSES)), shown(path)
        try:
            record = read_record(path)
        except UserError:  # weights alone, or a training that cannot go on: enough for an answer
            record = None
    lines = [f"checkpoint: {name} ({trained.name}, {len(trained.classes)} classes)", note, str(record or "")]
    if trained.data is None:
        lines.append("it does not say how its pictures were prepared: they go in as 0…1, as in the video courses")
    return trained, record, [line for line in lines if line]


@torch.no_grad()
def predict(trained: Trained, images: Tensor, device: torch.device) -> Tensor:
    """Probabilities (N, num_classes) for uint8 images (N, 3, H, W), prepared exactly as for the training."""
    model: nn.Module = trained.model.to(device, memory_format=torch.channels_last).eval()
    dummy_labels = torch.zeros(len(images), dtype=torch.int64, device=device)
    batch_size = max(1, 500 * 32**2 // trained.image_size**2)  # as much memory, however large the pictures are
    loader = MemoryLoader(images.to(device), dummy_labels, batch_size, trained.mean, trained.std)
    batches = tqdm(loader, "predicting", leave=False, disable=None)
    return torch.cat([model(batch).softmax(dim=1) for batch, _ in batches]).cpu()


def count_confusion(labels: Tensor, guesses: Tensor, num_classes: int) -> Tensor:
    """How often each true class (row) was taken for each class (column). labels, guesses (N,) -> int64 (C, C)."""
    return (labels * num_classes + guesses).bincount(minlength=num_classes**2).view(num_classes, num_classes)


def prepare(path: str, size: int) -> tuple[Tensor, Image.Image]:
    """What the network gets to see of a picture, (3, size, size), and that middle square sharp enough for a person."""
    picture = read_image(path)  # of a large photograph 300 MB, and none of it is kept
    return to_uint8(picture, size), ImageOps.fit(picture, (160, 160), Image.Resampling.BICUBIC)


def classify(trained: Trained, paths: list[str], top: int, device: torch.device) -> int:
    """Print the most likely classes of each picture and draw them all on one page. 2 where a file was no picture."""
    pictures = {}
    for path in paths:
        try:
            pictures[path] = prepare(path, trained.image_size)
        except UserError as error:
            print(f"test.py: {error}", file=sys.stderr)
    if pictures:
        small, squares = zip(*pictures.values(), strict=True)
        images = torch.stack(small)  # (N, 3, size, size)
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
    size = trained.image_size
    if isinstance(dataset, CIFAR10) and size != 32:
        raise UserError(f"the pictures of {data} are 32x32, and the network takes {size}x{size}: name a --data FOLDER")
    images, labels = in_memory(dataset, size)
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
    trained, record, lines = choose_network(options["checkpoint"])
    device, reason = pick_device(options["device"])
    print(reason, *lines, sep="\n")
    data = options["data"] or trained.data or "auto"
    knows_drawn_alone = trained.data == "drawn" and not (record and record.pretrained)
    if knows_drawn_alone and (options["images"] or resolve_data(data) != "drawn"):  # section 5 of the notes
        print("it has seen no photographs, and gets most of them wrong: --checkpoint course")
    if options["images"]:
        return classify(trained, options["images"], options["top"], device)
    if data == "cifar10" and not options["data"] and not has_real_cifar10():
        print("the photographs to measure it on are not in data/: these are drawn, new to it")
        data = "drawn"
    return measure(trained, data, device)


def main(argv: list[str] | None = None) -> int:
    """Exit code 0; 2 after one line on standard error for each thing the user can mend; 130 after Ctrl-C."""
    return run_cli("test.py", lambda: run(parse_options(argv)))


if __name__ == "__main__":
    sys.exit(main())
