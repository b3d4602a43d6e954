from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from env.evaluating.packed_scores import pack_scores
from env.evaluating.stored_accuracies import Scored, StoredAccuracies, network_digest
from hardware.store import Store
from quant.allocation import Allocation, LayerBits
from quant.convert import convert
from quant.network import QuantizedNetwork
from quant.objective.loss import BINARY_CROSS_ENTROPY
from quant.objective.metric import ACCURACY
from quant.objective.metrics import F1, SQUARED_ERROR, TOP_1
from quant.objective.objective import CLASSIFICATION, Objective
from quant.objective.paired import PairedDifference, paired
from quant.objective.scorer import Scorer
from quant.objective.scores import ImageScores, Score
from quant.records.json_form import to_plain
from quant.retraining.retrained import Retrained
from tests.hardware.store_contract import Reopen, ResultStore, StoreContract

DIFFERENCE = PairedDifference(
    score=-0.1,
    score_se=0.02,
    score_unpaired_se=0.05,
    loss=0.3,
    loss_se=0.04,
    loss_unpaired_se=0.06,
)
KEPT = Retrained(kept="trained", start_loss=0.6, trained_loss=0.5)


def score(correct: int, count: int) -> Score:
    value = correct / count
    return Score(metric=ACCURACY, value=value, standard_error=0.1, count=count, loss=0.5)


def scored(correct: int = 1, count: int = 2) -> Scored:
    return Scored(score=score(correct, count), beside_reference=DIFFERENCE, retraining=KEPT)


def test_every_change_of_a_layers_bits_changes_its_codes_and_the_stored_key(
    network: QuantizedNetwork, tmp_path: Path
) -> None:
    base = Allocation.uniform(network.layers, 5)
    network.set_allocation(base)
    codes = {op.layer: op.weight for op in convert(network).layer_ops()}
    with Store(tmp_path / "store.sqlite") as store:
        known = StoredAccuracies(store, {"task": "tiny"})
        known.put(base, scored())
        assert known.get(base) == scored()
        for layer in network.layers:
            for bits in (2, 3, 4, 6, 7, 8):
                changed = dict(base.items)
                changed[layer.name] = replace(changed[layer.name], weight_bits=bits)
                allocation = Allocation.of(changed)
                assert known.get(allocation) is None
                network.set_allocation(allocation)
                for op in convert(network).layer_ops():
                    same = (op.weight == codes[op.layer]).all()
                    assert same == (op.layer != layer.name), (layer.name, bits)


def test_results_of_another_task_or_network_are_not_used(
    network: QuantizedNetwork, tmp_path: Path
) -> None:
    base = Allocation.uniform(network.layers, 4)
    with Store(tmp_path / "store.sqlite") as store:
        first = {"network": network_digest(network)}
        StoredAccuracies(store, first).put(base, scored())
        network.layer(network.layers[0].name).weight.data[0] += 1e-3
        second = {"network": network_digest(network)}
        assert StoredAccuracies(store, second).get(base) is None


BITS = Allocation.of({"layer": LayerBits(weight_bits=8, activation_bits=8)})


def made_up(count: int, objective: Objective = CLASSIFICATION) -> ImageScores:
    generator = torch.Generator().manual_seed(count)
    logits = torch.randn(count, 10, generator=generator)
    if objective is not CLASSIFICATION:
        return objective.score([(logits, (logits.flip(0) > 0).float())])
    labels = torch.randint(10, (count,), generator=generator)
    return CLASSIFICATION.score([(logits, labels)])


def equal(one: torch.Tensor | None, two: torch.Tensor | None) -> bool:
    return one is two if one is None or two is None else torch.equal(one, two)


@pytest.mark.parametrize("scorer", [TOP_1, SQUARED_ERROR, F1])
@pytest.mark.parametrize("count", [1, 8, 360, 1001])
def test_scores_of_single_images_come_back_to_the_bit(
    tmp_path: Path, count: int, scorer: Scorer
) -> None:
    objective = CLASSIFICATION
    if scorer is not TOP_1:
        objective = Objective(loss=BINARY_CROSS_ENTROPY, scorer=scorer)
    scores = made_up(count, objective)
    with Store(tmp_path / "store.sqlite") as store:
        known = StoredAccuracies(store, {"task": "tiny"})
        assert known.get_scores(BITS) is None
        known.put_scores(BITS, scores)
        found = known.get_scores(BITS)
        assert StoredAccuracies(store, {"task": "other"}).get_scores(BITS) is None
    assert found is not None
    assert (found.value, found.metric) == (scores.value, scorer.metric)
    assert equal(found.each, scores.each)
    assert equal(found.resampled, scores.resampled)
    assert (found.each is None) == (scorer is F1) == (found.resampled is not None)
    assert torch.equal(found.loss, scores.loss)
    assert paired(found, scores).score_se == 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 359), ("correct", "AAAA"), ("loss", "no base64!"), ("loss", None), ("count", "x")],
)
def test_damaged_scores_are_missing_and_made_again(
    tmp_path: Path, field: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        key = {"task": "tiny", "allocation": BITS.to_dict()}
        store.put("image-scores", key, pack_scores(made_up(360)) | {field: value})
        known = StoredAccuracies(store, {"task": "tiny"})
        assert known.get_scores(BITS) is None
        assert "not as they were written" in caplog.text
        known.put_scores(BITS, made_up(360))
        assert known.get_scores(BITS) is not None


def test_what_was_paired_with_nothing_is_not_found(tmp_path: Path) -> None:
    with Store(tmp_path / "store.sqlite") as store:
        known = StoredAccuracies(store, {"task": "tiny"})
        # The form of versions before there were paired differences.
        store.put(
            "evaluation",
            {"task": "tiny", "allocation": BITS.to_dict()},
            to_plain(score(1, 2)),
        )
        assert known.get(BITS) is None
        other = Allocation.of({"layer": LayerBits(weight_bits=7, activation_bits=8)})
        known.put(other, replace(scored(), beside_reference=None))
        assert known.get(other) is None


class TestStoredAccuracies(StoreContract):
    keys = tuple(
        Allocation.of({"layer": LayerBits(weight_bits=bits, activation_bits=8)}) for bits in (3, 4)
    )
    results = tuple(scored(right, 9) for right in (3, 4))

    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Reopen:
        @contextmanager
        def opened() -> Iterator[ResultStore]:
            with Store(tmp_path / "store.sqlite") as store:
                yield StoredAccuracies(store, {"task": "tiny"})

        return opened
