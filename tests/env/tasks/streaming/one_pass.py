"""`python -m tests.env.tasks.streaming.one_pass FOLDER` reads training images in a new order."""

import sys
import time
from itertools import islice

import torch

from env.tasks import TaskConfig, load_task
from quant.retraining.loop import index_batches
from quant.tensors.images import in_batches

_BATCH = 64


def main(folder: str) -> None:
    """Read, and say how many images came in how many seconds."""
    config = TaskConfig(
        name="image-folder",
        data=folder,
        network="depthwise",
        image_size=32,
        cache_mb=100,
        workers=2,
    )
    images = load_task(config).train.images
    batches = index_batches(len(images), _BATCH, torch.Generator().manual_seed(0))
    one_pass = islice(batches, -(-len(images) // _BATCH))
    started = time.monotonic()
    count = sum(len(read) for _, _, read in in_batches(images, one_pass))
    print(f"{count} images in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1])
