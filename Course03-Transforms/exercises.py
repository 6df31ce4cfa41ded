"""Course 03 · Transforms: practice. Write where `...` stands. `python -m practice` judges each time you save.

Also: run this file, or its cells in an editor; the last cell judges, too.
"""

# %% Setup
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

# %% 1. What comes out of the chain? (predict, 3 min)
# picture is a PIL picture. Its mode is RGB, and picture.size is (170, 120). What is the
# shape of chain(picture)? Write it down, such as (1, 2, 3).
#
#     chain = v2.Compose([v2.ToImage(), v2.Resize(50), v2.RandomHorizontalFlip()])
shape = ...

# %% 2. The way back from Normalize (write, 5 min)
# images, (N, 3, H, W), has been through v2.Normalize(mean, std); mean and std are lists
# of three numbers, one for each channel. Return the images as they were before, and
# leave images itself as it is.


def unnormalize(images, mean, std):
    return ...


# %% 3. A chain in disorder (mend, 10 min)
# This function builds the transform of both parts, for PIL pictures. Both need floats:
# first 0...1, then normalised. train=True: 16x16 pixels from anywhere in the picture,
# mirrored in half of the calls. train=False: the 16x16 pixels in the middle, the same
# in each call. Three things are wrong. Mend them. Resize(20) is right.


def build_transform(train, mean, std):
    return v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(20),
            v2.RandomCrop(16),
            v2.RandomHorizontalFlip(),
            v2.Normalize(mean, std),
            v2.ToDtype(torch.float32),
        ]
    )


# %% 4. The mean and the std of a folder (write, 15 min)
# Below root there is a folder for each class, as ImageFolder (Course 01, section 6)
# wants it; ImageFolder(root, transform) puts each picture through a transform. The
# pictures have different sizes, and you may not resize them. Return two things: the
# means and the standard deviations of the three channels, over all pixels of all
# pictures, with pixels from 0 to 1. So a large picture counts more than a small one.
# Each is a list or a tensor of three numbers. torch.cat(tensors, dim=1) puts tensors
# end to end along axis 1.


def measure(root):
    return ...


# %% 5. A circle stays round (write, 20 min)
# A pair for Resize squeezes a picture, and a crop loses its edges. The third way:
# image, (3, H, W) in bytes, gets black borders until it is a square, and is then
# resized to (3, size, size), still in bytes. Nothing is lost, and a circle stays round.
# The borders on two opposite sides are equally wide. If one row or column is left over,
# it belongs at the bottom or on the right. v2.Pad((left, top, right, bottom)) adds
# black borders.


def to_square(image, size):
    return ...


# %% Check
from practice import check

check("Course03-Transforms", globals())
