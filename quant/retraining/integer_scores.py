"""Integer scores: what a converted network makes of images, on its integer codes."""

import torch

from quant.deploy_graph import DeployGraph
from quant.objective.objective import CLASSIFICATION, Objective
from quant.objective.scores import ImageScores
from quant.outputs import several
from quant.torch_integer import integer_outputs


def integer_scores(
    graph: DeployGraph,
    images: torch.Tensor,
    labels: torch.Tensor,
    objective: Objective = CLASSIFICATION,
    *,
    batch: int = 256,
) -> ImageScores:
    """Return what a converted network makes of each image.

    Args:
        graph: The converted network.
        images: float32 `[N, C, H, W]`.
        labels: `[N, ...]`, as the objective takes them.
        objective: Loss and metric.
        batch: Images computed at a time.
    """
    batches = zip(images.split(batch), labels.split(batch), strict=True)
    return objective.score(
        (several(integer_outputs(graph, part), graph.outputs), wanted) for part, wanted in batches
    )
