"""One shot: before the first evaluation, a training with shared weights in which a policy draws.

Every batch of images shows what a whole allocation does to the loss, for the price of a batch. With
weights that serve all widths it is not what a retraining comes to, but up to a factor and a bias,
which the posterior fits (`env.responses.looks`), it tells responses apart.
"""

import math

import numpy as np
import torch

from agents.judging.knowledge import Knowledge
from agents.ppo.config import PPOConfig
from agents.ppo.proposer import TokenProposer
from agents.search import SearchProblem
from agents.training.training_file import TrainingFile
from env.responses.batch_looks import BatchLook
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.retraining.shared_weights import shared_images_seen, train_shared

_ROUNDS = 10
"""Parts of the training; what one showed decides what is drawn in the next."""
_WORLDS = 16
"""Samples of the posterior that the policy is shown in each."""
_DRAWS = 4
"""Allocations that it draws in each sample."""
_NARROWEST_EVERY = 8
"""Batches of which one is at the narrowest widths, so that they are trained, too."""


def one_shot(
    problem: SearchProblem, config: PPOConfig, proposer: TokenProposer, *, seed: int
) -> None:
    """Train once with shared weights; what batches show is entered in `problem.batch_looks`.

    The policy draws in samples of the posterior, so that its draws spread as far as nothing is
    known and come together as something is.

    Args:
        problem: Charged with the images.
        config: `one_shot.steps` batches; 0: nothing is done.
        proposer: Draws.
        seed: Of the order of images and of the draws.
    """
    if not config.one_shot.steps:
        return
    problem.ledger.add(
        training_samples=shared_images_seen(config.one_shot, len(problem.train.images))
    )
    file = TrainingFile(problem.state_folder, "one_shot", problem.say)
    if (kept := file.load({})) is not None:
        problem.batch_looks.extend(_read(problem, kept[0]))
        return
    knowledge = Knowledge(problem, seed=seed)  # estimates sensitivities under a lock of their own
    try:
        with training_lock():
            _train(problem, config, proposer, knowledge, seed)
    except TrainingError as error:
        problem.say(f"the training with shared weights ended early: {error}")
    file.save(_written(problem), {})


def _train(
    problem: SearchProblem,
    config: PPOConfig,
    proposer: TokenProposer,
    knowledge: Knowledge,
    seed: int,
) -> None:
    looks, steps = problem.batch_looks, config.one_shot.steps
    draws = np.random.default_rng(seed)
    narrowest = problem.space.allocation([each.menu[0] for each in problem.space.decisions])
    pool = list[Allocation]()
    part, drawn_at = -(-steps // _ROUNDS), -1

    def asked() -> Allocation:
        nonlocal drawn_at
        if drawn_at != len(looks) // part:
            drawn_at = len(looks) // part
            worlds = knowledge.posterior().tables[:_WORLDS]
            drawn = [proposer.draw(each, _DRAWS, at) for at, each in enumerate(worlds, len(looks))]
            pool[:] = [allocation for each in drawn for allocation in each]
        if len(looks) % _NARROWEST_EVERY == _NARROWEST_EVERY - 1:
            return narrowest
        return pool[int(draws.integers(len(pool)))]

    def seen(allocation: Allocation, rise: float, images: int) -> None:
        if math.isfinite(rise):  # else the training ends with this batch
            looks.append(BatchLook(allocation=allocation, rise=rise, images=images))

    basis = problem.retrainer(config.one_shot).basis
    train_shared(problem.prepare(), basis, asked, seen, seed=seed)


def _written(problem: SearchProblem) -> dict[str, torch.Tensor]:
    looks, space = problem.batch_looks, problem.space
    return {
        "bits": torch.tensor([space.bits_of(look.allocation) for look in looks]),
        "rises": torch.tensor([look.rise for look in looks], dtype=torch.float64),
        "images": torch.tensor([look.images for look in looks]),
    }


def _read(problem: SearchProblem, tensors: dict[str, torch.Tensor]) -> list[BatchLook]:
    parts = (tensors[name].tolist() for name in ("bits", "rises", "images"))
    return [
        BatchLook(allocation=problem.space.allocation(bits), rise=rise, images=images)
        for bits, rise, images in zip(*parts, strict=True)
    ]
