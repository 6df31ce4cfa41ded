"""Decoding pictures: any file from the world, as a person sees it, and then as the networks of the course take it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, features
from torch import Tensor

from common import UserError

# The formats that are read, and how files in them are usually called. Pillow decodes these by itself: EPS and its like
# start other programs.
PICTURE_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
}
if "avif" in features.modules and features.check("avif"):  # Pillow reads it since 11.3, where it was built so
    PICTURE_FORMATS["AVIF"] = (".avif", ".avifs")
PICTURE_EXTENSIONS = {extension for extensions in PICTURE_FORMATS.values() for extension in extensions}

# What Pillow raises for bytes that are no picture, or a damaged one.
UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError)


def is_picture(path: str | Path) -> bool:
    """Whether read_image() is to read this file: its name says so, or else, whatever it is called, its first bytes."""
    if Path(path).suffix.lower() in PICTURE_EXTENSIONS:
        return True  # where it is none after all, read_image() says what is wrong with it
    try:
        with _opened(path):
            return True
    except UNREADABLE:
        return False


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """The picture in a file of one of PICTURE_FORMATS, not decoded yet. Raises one of UNREADABLE for other files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of what Pillow refuses
        warnings.simplefilter("ignore", UserWarning)  # of damaged notes of a camera, in a picture that is whole
        with Image.open(path, formats=tuple(PICTURE_FORMATS)) as image:
            yield image


def read_image(path: str | Path) -> Image.Image:
    """Any picture from the world as a person sees it: RGB, turned upright, transparency over white, first frame.

    Grey with 16 bits is scaled to 8, not clipped. UserError, naming the file, for what is no picture, is damaged, or
    claims more pixels than Pillow decodes (179 million).
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a picture")
    if not path.exists():
        raise UserError(f"there is no picture {path}")
    try:
        with _opened(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip at 255
                image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
            image.load()
            return image if image.mode == "RGB" else image.convert("RGB")
    except UNREADABLE as error:
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty, not a picture") from None
        if isinstance(error, Image.UnidentifiedImageError):
            raise UserError(f"{path} is no picture in a known format ({', '.join(PICTURE_FORMATS)})") from None
        if isinstance(error, Image.DecompressionBombError):
            raise UserError(f"{path} is too large to be decoded here ({error})") from None
        raise UserError(f"{path} is damaged or cannot be read ({error})") from None


def to_uint8(image: Image.Image, size: int = 32) -> Tensor:
    """The middle square of a PIL picture, scaled to (3, size, size), uint8: the one way in, training and test alike."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)  # antialiased when it shrinks
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # (size, size, 3) -> (3, size, size)
