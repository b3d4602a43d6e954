"""StoredAccuracies: retraining from one fixed checkpoint is paid for once, whoever asks.

Only for evaluations that all start from the same weights: with weights shared between
evaluations, an accuracy depends on every evaluation before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

import quant
from env.evaluating.packed_scores import pack_looks, pack_scores, unpack_looks, unpack_scores
from env.evaluating.seen_look import SeenLook
from hardware.store import Store
from quant.allocation import Allocation
from quant.network import QuantizedNetwork
from quant.objective.paired import PairedDifference
from quant.objective.scores import ImageScores, Score
from quant.records.json_form import from_plain, to_plain
from quant.records.source_digest import digest_of_folder
from quant.records.state_digest import state_digest
from quant.retraining.retrained import Retrained


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What the retraining of one allocation came to."""

    score: Score
    beside_reference: PairedDifference | None
    """None where the reference's scores are not known image by image."""
    retraining: Retrained
    looks: tuple[SeenLook, ...] = ()


def network_digest(network: QuantizedNetwork) -> str:
    """Return a digest of a network's weights, steps and scales."""
    return state_digest(network.state_dict())


@cache
def code_digest() -> str:
    """Return a digest of the sources that train and score, so that no edit keeps old results.

    They are `quant`, and of `env` what splits, augments, retrains and scores.
    """
    evaluating = Path(__file__).parent
    folders = (Path(quant.__file__).parent, evaluating, evaluating.parent / "tasks")
    return "-".join(map(digest_of_folder, folders))


class StoredAccuracies:
    """Accuracies by allocation, under everything else that decides them.

    The reference of one key is one network, so that a difference from it is kept as well.
    """

    def __init__(self, store: Store, key: Mapping[str, Any]) -> None:
        """Keep the store and the part of the key that is the same for all allocations."""
        self._store = store
        self._key = dict(key)

    def get(self, allocation: Allocation, repeat: int = 0) -> Scored | None:
        """Return what an equal retraining came to, or None.

        What an earlier version kept, which was paired with nothing, is not found.
        """
        return self._store.read("evaluation", self._whole(allocation, repeat), _scored)

    def put(self, allocation: Allocation, scored: Scored, repeat: int = 0) -> None:
        """Keep what a retraining came to; where it was paired with nothing, it is not kept."""
        if scored.beside_reference is not None:
            self._store.put("evaluation", self._whole(allocation, repeat), to_plain(scored))

    def get_scores(self, allocation: Allocation) -> ImageScores | None:
        """Return what an equal retraining made of each image, or None."""
        return self._store.read("image-scores", self._whole(allocation), unpack_scores)

    def put_scores(self, allocation: Allocation, scores: ImageScores) -> None:
        """Keep what a retraining made of each image."""
        self._store.put("image-scores", self._whole(allocation), pack_scores(scores))

    def get_looks(self, allocation: Allocation) -> tuple[torch.Tensor, ...] | None:
        """Return what an equal staged retraining lost on each image it was looked at on, or None.

        Before the first decision and after each, `[N]`.
        """
        return self._store.read("look-losses", self._whole(allocation), unpack_looks)

    def put_looks(self, allocation: Allocation, losses: Sequence[torch.Tensor]) -> None:
        """Keep what a staged retraining lost on each image that it was looked at on."""
        self._store.put("look-losses", self._whole(allocation), pack_looks(losses))

    def _whole(self, allocation: Allocation, repeat: int = 0) -> dict[str, Any]:
        again = {"repeat": repeat} if repeat else {}  # so that what was kept before is found
        return {**self._key, "allocation": allocation.to_dict(), **again}


def _scored(document: Mapping[str, Any]) -> Scored | None:
    return from_plain(Scored, document) if document.get("beside_reference") is not None else None
