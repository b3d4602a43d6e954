"""A network of the size that people have, through run, evaluate and export over a streamed folder.

`python -m tests.env.tasks.streaming.large_network FOLDER [--FLAG VALUE ...]` makes a folder of 20
classes with 20 images each and random weights of a ResNet-18 at 224 pixels, and prints what each of
the three commands took. Flags are added to the run's.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from env.tasks.networks.resnet import resnet18
from tests.env.tasks.streaming.made_up import make_folder
from tests.env.tasks.streaming.memory import watch

_CLASSES, _IMAGES, _SIZE = 20, 20, 256


def commands(folder: Path, weights: Path, output: Path, flags: list[str]) -> list[list[str]]:
    """Return the three, each as a module and its arguments."""
    return [
        [
            *("experiments.run", "--task.name", "image-folder", "--task.data", str(folder)),
            *("--task.network", "resnet18", "--task.weights", str(weights), "--quiet"),
            *("--task.cache-mb", "10", "--evaluations", "4", "--output", str(output)),
            *("--env.calibration-images", "32", "--env.finetune.compensation-images", "32"),
            *("--env.finetune.steps", "8", "--env.finetune.batch-size", "32"),
            *("--env.finetune.held-back-images", "100", "--env.finetune.scale-images", "100"),
            *("--final.steps", "8", "--final.batch-size", "32"),
            *("--final.compensation-images", "32", "--final.held-back-images", "100"),
            *("--final.scale-images", "100", *flags),
        ],
        ["experiments.evaluate", str(output / "latest"), "--quiet"],
        ["experiments.export", str(output / "latest"), "--output", str(output / "bundle")],
    ]


def main(root: Path, flags: list[str]) -> int:
    """Do all three; return the first exit code that is not 0."""
    folder, weights = root / "folder", root / "resnet18.pth"
    if not folder.exists():
        make_folder(root, _CLASSES * _IMAGES, classes=_CLASSES, size=_SIZE)
    torch.manual_seed(0)
    torch.save(resnet18(classes=_CLASSES).state_dict(), weights)
    for arguments in commands(folder, weights, root / "runs", flags):
        taken = watch(arguments, {"XDG_CACHE_HOME": str(root / "cache")})
        print(json.dumps({"command": arguments[0], **asdict(taken)}, indent=1), flush=True)
        if taken.code:
            return taken.code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
