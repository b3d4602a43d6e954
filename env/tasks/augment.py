"""Changes of training images that leave their labels true."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

_SHIFT = 4
"""Pixels by which a small image is moved at most. Source: He et al. 2016, section 4.2."""
_SHARE = 8
"""Images of N pixels are moved by up to N / 8: the same share of an image of 32 pixels."""
_COLOUR = 0.4
"""Most by which brightness, contrast and saturation change, as a share. Source: Krizhevsky et al.
2012, section 4.1, for the idea; the size is that of torchvision's references."""

Change = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def flip_and_shift(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return images `[N, C, H, W]`, each mirrored or not and moved by up to `_SHIFT` pixels."""
    return _shifted(flip(images, generator), generator, _SHIFT)


def flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return images `[N, C, H, W]`, each mirrored or not."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    flipped: torch.Tensor = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return flipped


def crop(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return images `[N, C, H, W]`, each moved by up to an eighth of its height."""
    return _shifted(images, generator, max(1, images.shape[2] // _SHARE))


def colour(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return images `[N, C, H, W]`, each of another brightness, contrast and saturation."""
    draws = (2 * torch.rand((3, len(images), 1, 1, 1), generator=generator) - 1) * _COLOUR
    brightness, contrast, saturation = draws
    deviation, mean = torch.std_mean(images, (1, 2, 3), keepdim=True, correction=0)
    images = (images - mean) * (1 + contrast) + mean + brightness * deviation
    grey = images.mean(1, keepdim=True)
    coloured: torch.Tensor = grey + (images - grey) * (1 + saturation)
    return coloured


CHANGES: dict[str, Change] = {"crop": crop, "flip": flip, "colour": colour}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Some of `CHANGES`, one after the other; its representation is part of stored keys."""

    words: tuple[str, ...]

    @property
    def __name__(self) -> str:
        """What float checkpoints are kept by."""
        return ",".join(self.words)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return changed images `[N, C, H, W]`."""
        for word in self.words:
            images = CHANGES[word](images, generator)
        return images


def _shifted(images: torch.Tensor, generator: torch.Generator, shift: int) -> torch.Tensor:
    """Return images, each moved by up to `shift` pixels; what comes in is zero."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (shift,) * 4)
    offsets = torch.randint(2 * shift + 1, (2, count), generator=generator)
    rows = (offsets[0][:, None] + torch.arange(height))[:, None, :, None]
    columns = (offsets[1][:, None] + torch.arange(width))[:, None, None, :]
    picked: torch.Tensor = padded[
        torch.arange(count)[:, None, None, None],
        torch.arange(images.shape[1])[:, None, None],
        rows,
        columns,
    ]
    return picked
