"""Decoding pictures: any file from the world, as a person sees it, and then as the networks of the course take it."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from common import UserError

# Formats that Pillow decodes by itself: EPS and its like start other programs.
PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of what Pillow refuses
            with Image.open(path, formats=PICTURE_FORMATS) as image:
                ImageOps.exif_transpose(image, in_place=True)
                if image.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip at 255
                    image = Image.fromarray((np.asarray(image, np.float32) / 257).clip(0, 255).astype(np.uint8))
                if image.has_transparency_data:
                    image = image.convert("RGBA")
                    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
                image.load()
                return image if image.mode == "RGB" else image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
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
    return F.pil_to_tensor(image)
