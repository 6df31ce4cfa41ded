"""torchvision's ResNet-18 with the weights that were trained on ImageNet: from the cache, or else from the network."""

import hashlib
import http.client
import sys
from pathlib import Path

import torch
from torchvision.models import ResNet18_Weights

from common import UserError, checkpoint
from common.checkpoint import Trained
from common.models import IMAGE_SIZES, make_model
from common.paths import make_folder

WEIGHTS = ResNet18_Weights.IMAGENET1K_V1
MODEL = "resnet18-224"


def load_imagenet_network() -> Trained:
    """ResNet-18 for the 1,000 classes of ImageNet, downloaded where it is not in the cache of torch.hub.

    UserError where it can neither be found nor fetched, and where the file is not the published one.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS.url.rpartition("/")[2]
    hash_begins = path.stem.rpartition("-")[2]  # resnet18-f37072fd.pth: the file's name says how its SHA-256 begins
    if not path.exists():
        _download(path, hash_begins)
    with path.open("rb") as file:
        if not hashlib.file_digest(file, "sha256").hexdigest().startswith(hash_begins):
            raise UserError(f"{path} is not the file that its name says, or is damaged: delete it and try again")
    state_dict = checkpoint.load(path)
    categories, prepared = WEIGHTS.meta["categories"], WEIGHTS.transforms()
    model = make_model(MODEL, len(categories))
    # The published file is older than this count of steps, which every BatchNorm has today.
    counts = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    checkpoint.load_state(model, counts | state_dict, path)
    _, size, _ = IMAGE_SIZES[MODEL]
    return Trained(model.eval(), MODEL, list(categories), prepared.mean, prepared.std, "ImageNet", size)


def _download(path: Path, hash_begins: str) -> None:
    """Fetch the file: written beside its place, compared with the hash, moved. UserError where that fails."""
    print(f"downloading {WEIGHTS.url} to {path}")
    try:
        make_folder(path.parent)
        torch.hub.download_url_to_file(WEIGHTS.url, str(path), hash_begins, progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException, UserError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{path.name} cannot be fetched ({why}): download {WEIGHTS.url} in another way and put it into "
            f"{path.parent}, or take --pretrained course, which is here"
        ) from error
