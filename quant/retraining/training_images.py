"""TrainingImages: what is retrained on, in fixed views, and the teacher's outputs."""

from collections.abc import Iterable, Iterator

import torch

from quant.network import QuantizedNetwork
from quant.outputs import Outputs
from quant.retraining.finetune_config import FinetuneConfig, held_back_count
from quant.retraining.loop import Augment
from quant.tensors.images import Images, Numbered, in_batches, subset
from quant.tensors.moving import device_of, move

_SPLIT_SEED = 2026
_ORDERS_KEPT = 2
"""The teacher's outputs are kept for so many orders of the images, each one retraining long."""

BatchKey = tuple[int, bytes]
"""The view and the numbers of a batch's images."""


class TrainingImages:
    """The training split as retraining uses it: one part trained on, one held back, both fixed.

    An augmented image is one of `views` that its own number seeds: candidates of one search see the
    same pixels, and the teacher looks at each of their batches once.
    """

    def __init__(
        self,
        images: Images,
        labels: torch.Tensor,
        config: FinetuneConfig,
        teacher: QuantizedNetwork,
        augment: Augment | None = None,
    ) -> None:
        """Split the images; nothing is computed yet.

        Args:
            images: float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`, in memory or streamed.
            labels: `[N, ...]`.
            config: How many are held back, and how many views there are.
            teacher: Run in float, whatever its allocation; its weights stay as they are.
            augment: Makes a view of images; None: there is one view, the image itself.
        """
        held_back = held_back_count(config, len(images))
        order = torch.arange(len(images))
        if held_back:  # files are often sorted by class
            order = torch.randperm(
                len(images), generator=torch.Generator().manual_seed(_SPLIT_SEED)
            )
        self._images, self._labels = images, labels
        self._trained_on, self._held_back = order[held_back:], order[:held_back]
        self._teacher, self._augment = teacher, augment if config.views else None
        self._views = config.views if self._augment else 1
        self._outputs: dict[BatchKey, Outputs] = {}
        self._batches_kept = _ORDERS_KEPT * config.steps

    def __len__(self) -> int:
        """Return the number of images that are trained on."""
        return len(self._trained_on)

    def first(self, count: int) -> torch.Tensor:
        """Return the first images that are trained on, as they are, all of them at most."""
        return self._images[self._trained_on[:count]]

    def first_labels(self, count: int) -> torch.Tensor:
        """Return the labels of `first`, `[N, ...]`."""
        return self._labels[self._trained_on[:count]]

    @property
    def held_back(self) -> tuple[Images, torch.Tensor]:
        """Images and labels that are never trained on, as they are."""
        return subset(self._images, self._held_back), self._labels[self._held_back]

    def batches(
        self, batches: Iterable[Numbered]
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor, BatchKey]]:
        """Yield batches to train on.

        Args:
            batches: How often the whole part was seen before, which decides the view, and which
                images, 0 to `len(self)`.

        Yields:
            Images where the teacher is, labels `[N, ...]`, and the key that `taught` takes.
        """
        wanted = ((passed, self._trained_on[positions]) for passed, positions in batches)
        for passed, numbers, as_they_are in in_batches(self._images, wanted):
            view, images = passed % self._views, as_they_are
            if self._augment is not None:
                images = torch.cat(
                    [self._view(image[None], int(n), view) for image, n in zip(images, numbers)]  # noqa: B905
                )
            images = move(images, device_of(self._teacher))
            yield images, self._labels[numbers], (view, numbers.numpy().tobytes())

    @torch.no_grad()
    def taught(self, images: torch.Tensor, key: BatchKey) -> Outputs:
        """Return the float network's outputs of a batch, computed when first asked for.

        Whole batches are kept, not images: the last bits of an image's outputs depend on those
        beside it, and must not depend on what was trained before, or no run could be resumed.
        """
        if key not in self._outputs:
            if len(self._outputs) == self._batches_kept:
                del self._outputs[next(iter(self._outputs))]  # the oldest
            self._outputs[key] = self._teacher.float_outputs(images)
        return self._outputs[key]

    def _view(self, image: torch.Tensor, number: int, view: int) -> torch.Tensor:
        assert self._augment is not None
        generator = torch.Generator().manual_seed(number * self._views + view)
        return self._augment(image, generator)
