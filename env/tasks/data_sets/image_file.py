"""One image file: its pixels as 8-bit RGB, upright, in the size that the network reads."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from quant.errors import DataError
from quant.records.regular_file import check_regular

ENDINGS = frozenset(
    (
        *(".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2"),
        *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    )
)
_RESIZE = 256 / 224
"""The shorter side before the middle is cut out, in units of the cut. Source: torchvision's
references, as in He et al. 2016."""
_LARGEST_16, _16_TO_8 = 65535, 257


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """How images get one size."""

    size: int
    """Height and width that the network reads."""
    resize: int | None = None
    """Shorter side that images are brought to; None for 256/224 of the cut, where an image is
    larger or smaller than the cut at all."""
    crop: int | None = None
    """Height and width of the middle that is cut out; None for `size`, 0 for the whole image."""

    @property
    def cut(self) -> int:
        """Height and width of what is cut out, 0 where nothing is."""
        return self.size if self.crop is None else self.crop

    @property
    def words(self) -> str:
        """What is done, in words."""
        if not self.cut:
            return f"the whole image to {self.size}x{self.size}"
        shorter = self.resize or round(_RESIZE * self.cut)
        words = f"shorter side to {shorter} pixels, then the {self.cut}x{self.cut} in the middle"
        if self.resize is None:
            words += f"; images of {self.cut}x{self.cut} as they are"
        return words if self.cut == self.size else f"{words}, then to {self.size}x{self.size}"


def read_image(file: Path, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Return an image's pixels, `[3, size, size]`.

    Raises:
        DataError: it cannot be read, or nobody knows which of its values is white.
    """
    try:
        check_regular(file)  # a pipe of this name would be waited for without end
        with Image.open(file) as opened:
            image = _resized(_rgb(opened), geometry)
    except Exception as error:  # a damaged image raises nearly anything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        helps = "free memory" if isinstance(error, MemoryError) else "remove or mend it"
        raise DataError(f"cannot read the image {file}: {reason}", helps) from None
    return np.asarray(image).transpose(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    """Return an upright image of three 8-bit channels; transparency is left out."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are float numbers, and nobody says which of them is white")
    if image.mode.startswith("I"):  # which Pillow itself would cut off above 255
        values = np.asarray(image)
        if values.min() < 0 or values.max() > _LARGEST_16:
            raise ValueError(f"expected values of 16 bits, found {values.min()} to {values.max()}")
        image = Image.fromarray((values / _16_TO_8).round().astype(np.uint8))
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _resized(image: Image.Image, geometry: Geometry) -> Image.Image:
    cut, size = geometry.cut, (geometry.size, geometry.size)
    if cut and (geometry.resize is not None or image.size != (cut, cut)):
        scale = (geometry.resize or _RESIZE * cut) / min(image.size)
        width, height = (max(cut, round(side * scale)) for side in image.size)
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - cut) // 2, (height - cut) // 2
        image = image.crop((left, top, left + cut, top + cut))
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)
