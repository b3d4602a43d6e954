"""Integer scores: what a converted network makes of images, on its integer codes."""

import torch

from quant.deploy_graph import DeployGraph
from quant.objective.objective import CLASSIFICATION, Objective
from quant.objective.scores import ImageScores
from quant.outputs import several
from quant.tensors.devices import CPU
from quant.tensors.images import Images
from quant.torch_integer import integer_outputs


def integer_scores(
    graph: DeployGraph,
    images: Images,
    labels: torch.Tensor,
    objective: Objective = CLASSIFICATION,
    *,
    batch: int = 256,
    device: torch.device = CPU,
) -> ImageScores:
    """Return what a converted network makes of each image.

    Args:
        graph: The converted network.
        images: float32 `[N, C, H, W]`, in memory or streamed.
        labels: `[N, ...]`, as the objective takes them.
        objective: Loss and metric.
        batch: Images computed at a time.
        device: Where the network was trained; computed there where that is as exact.
    """
    batches = zip(images.split(batch), labels.split(batch), strict=True)
    return objective.score(
        (several(integer_outputs(graph, part, device), graph.outputs), wanted)
        for part, wanted in batches
    )
