"""DecodedCache: pixels of the images that were read first, as long as there is room."""

import torch

_EMPTY = -1


class DecodedCache:
    """Pixels uint8 `[C, H, W]` by the number of the image; what is in stays in.

    Nothing is thrown out for what comes later: images are read in a new order each time, so that
    all of them are equally likely to be the next, and what was found when a batch was planned is
    still there when it comes.
    """

    def __init__(self, images: int, shape: tuple[int, ...], limit_bytes: int) -> None:
        """Make room.

        Args:
            images: How many there are.
            shape: Of each, `(C, H, W)`.
            limit_bytes: Most bytes of pixels; memory is taken as it is filled.
        """
        self._room = images, shape, limit_bytes
        size = int(torch.Size(shape).numel())
        self._pixels = torch.empty(
            (min(images, limit_bytes // max(1, size)), *shape), dtype=torch.uint8
        )
        self._place_of = torch.full((images,), _EMPTY)
        self._used = 0

    def __reduce__(self) -> tuple[type["DecodedCache"], tuple[int, tuple[int, ...], int]]:
        """Go to another process as the room alone: what is in may be a gigabyte of pixels."""
        return DecodedCache, self._room

    def has(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return which of some images are in, bool `[M]`."""
        return self._place_of[numbers] != _EMPTY

    def get(self, numbers: torch.Tensor) -> torch.Tensor:
        """Return the pixels of images that are in, uint8 `[M, C, H, W]`."""
        return self._pixels[self._place_of[numbers]]

    def put(self, numbers: torch.Tensor, pixels: torch.Tensor) -> None:
        """Keep the pixels `[M, C, H, W]` of some images, of as many as there is room for."""
        for number, image in zip(numbers.tolist(), pixels, strict=True):
            if self._used == len(self._pixels):
                return
            if self._place_of[number] == _EMPTY:
                self._pixels[self._used] = image
                self._place_of[number] = self._used
                self._used += 1
