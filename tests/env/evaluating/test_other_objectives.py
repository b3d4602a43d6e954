"""Candidates are trained, judged, paired and kept by any loss and metric."""

import pytest
import torch

from env.decisions.space import decision_space
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.ranking import rank
from env.evaluating.reward import RewardConfig, reward
from env.evaluating.stored_accuracies import StoredAccuracies
from env.practice.practice import PracticeEvaluator
from env.tasks.task import Split
from hardware.layers.table import LayerTable
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.store import Store
from quant.allocation import Allocation
from quant.convert import convert
from quant.network import QuantizedNetwork, prepare
from quant.objective.loss import MEAN_SQUARED_ERROR
from quant.objective.metrics import SQUARED_ERROR
from quant.objective.objective import Objective
from quant.records.json_form import to_plain
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.float_training import TrainConfig, train_float
from quant.sensitivities import measured_sensitivity
from quant.sensitivities.batches import batches_of
from quant.torch_integer import integer_logits
from tests.experiments.run.own_objectives import autoencoder, smaller

OBJECTIVE = Objective(loss=MEAN_SQUARED_ERROR, scorer=SQUARED_ERROR)
BITS = (8, 4, 2)


@pytest.fixture(scope="module")
def splits() -> dict[str, Split]:
    return {
        name: Split(images=images, labels=targets) for name, (images, targets) in smaller().items()
    }


@pytest.fixture(scope="module")
def network(splits: dict[str, Split]) -> QuantizedNetwork:
    torch.manual_seed(0)
    module, train = autoencoder(), splits["train"]
    recipe = TrainConfig(epochs=10, learning_rate=0.05)
    train_float(module, train.images, train.labels, recipe, seed=0, loss=OBJECTIVE.loss)
    made = prepare(module.eval(), train.images[:1])
    made.calibrate(train.images[:64])
    return made


def evaluate(
    network: QuantizedNetwork, splits: dict[str, Split], store: Store, *bits: int
) -> list[Evaluation]:
    evaluator = Evaluator(
        network.clone(),
        SimulatedDevice(ProtocolConfig()),
        splits["train"],
        splits["search"],
        EnvConfig(finetune=FinetuneConfig(steps=8, held_back_images=50, compensation_images=32)),
        seed=0,
        limit=8,
        objective=OBJECTIVE,
        accuracies=StoredAccuracies(store, {"objective": OBJECTIVE.key}),
    )
    return evaluator.evaluate([Allocation.uniform(network.layers, width) for width in bits])


@pytest.fixture(scope="module")
def evaluations(
    network: QuantizedNetwork,
    splits: dict[str, Split],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Evaluation]:
    with Store(tmp_path_factory.mktemp("store") / "store.sqlite") as store:
        found = evaluate(network, splits, store, *BITS)
        again = evaluate(network, splits, store, *BITS)  # looked up
    assert [one.score for one in found] == [one.score for one in again]
    assert [one.beside_reference for one in found] == [one.beside_reference for one in again]
    return found


def test_the_score_is_the_error_of_the_integer_network(
    network: QuantizedNetwork, splits: dict[str, Split], evaluations: list[Evaluation]
) -> None:
    compensated = network.clone()
    compensated.set_allocation(Allocation.uniform(network.layers, 8))
    search = splits["search"]
    outputs = integer_logits(convert(compensated), search.images)
    assert outputs.shape == search.labels.shape
    plain = float((outputs - search.labels).square().mean())
    assert evaluations[0].score == pytest.approx(plain, rel=0.2)  # it is retrained
    assert evaluations[0].score < float(search.labels.var()) / 3
    for one in evaluations:
        assert one.metric == SQUARED_ERROR.metric
        assert one.score == pytest.approx(one.loss, rel=1e-5)
        assert one.retraining is not None
        assert one.retraining.start_loss is not None


def test_two_bits_lose_quality_and_the_pairing_says_so(evaluations: list[Evaluation]) -> None:
    eight, _, two = evaluations
    assert two.score > eight.score
    assert two.quality < eight.quality
    assert two.beside_reference is not None
    assert two.beside_reference.score == pytest.approx(two.score - eight.score)
    assert two.beside_reference.score_se is not None
    assert 0 < two.beside_reference.score_se < two.beside_reference.score
    best = min(evaluations, key=lambda one: one.score)
    assert rank(evaluations, eight, RewardConfig(speed_worth=0.0))[0] == best
    assert reward(two, eight, RewardConfig())[0] < 0


def test_an_evaluation_is_read_back_with_its_metric(evaluations: list[Evaluation]) -> None:
    document = to_plain(evaluations[2])
    assert document["metric"] == {"name": "MSE", "unit": "", "more_is_better": False}
    found = Evaluation.from_dict(document)
    assert found == evaluations[2]
    assert found.quality == evaluations[2].quality


def test_practice_predicts_scores_of_the_metric(
    network: QuantizedNetwork, splits: dict[str, Split], evaluations: list[Evaluation]
) -> None:
    search, widths = splits["search"], [*BITS]
    table = measured_sensitivity(
        network, batches_of(search.images, search.labels), widths, loss=OBJECTIVE.loss
    )
    pairs = {(w, a): 1.0 + w + a for w in range(2, 9) for a in range(2, 9)}
    times = LayerTable(
        times_us={layer.name: pairs for layer in network.layers},
        disturbed_share=0.0,
        overhead_us=1.0,
        source="simulated",
    )
    space = decision_space(network.layers, widths)
    practice = PracticeEvaluator(space, times, table.rises, evaluations[0])
    for one in evaluations:
        practice.observe(one)
    predicted = practice.evaluate([one.allocation for one in evaluations])
    assert all(one.metric == SQUARED_ERROR.metric for one in predicted)
    assert predicted[2].score > predicted[0].score > 0
    assert predicted[2].quality < predicted[0].quality


def test_objectives_have_keys_of_their_own() -> None:
    all_of_them = (Objective(), Objective(loss=MEAN_SQUARED_ERROR), OBJECTIVE)
    assert len({tuple(one.key.items()) for one in all_of_them}) == 3
