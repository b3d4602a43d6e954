"""Metrics against slow, plain counting, and their standard errors against many made-up sets."""

import pytest
import torch

from quant.errors import ObjectiveError
from quant.objective.loss import MEAN_SQUARED_ERROR
from quant.objective.metrics import F1, SQUARED_ERROR, TOP_1, TOP_5, mean_overlap
from quant.objective.objective import Objective
from quant.objective.paired import paired
from quant.objective.scorer import Scorer
from quant.outputs import NamedTensors

IGNORED = 255


def one_hot(classes: torch.Tensor, count: int) -> torch.Tensor:
    """Return logits `[N, C, ...]` whose largest is at these classes."""
    return torch.nn.functional.one_hot(classes, count).movedim(-1, 1).float()


def value(scorer: Scorer, outputs: torch.Tensor, labels: torch.Tensor) -> float:
    return scorer.whole([scorer.part(outputs, labels)]).value


def test_top_5_counts_labels_among_the_five_largest() -> None:
    logits = torch.arange(8.0).repeat(3, 1)
    assert value(TOP_5, logits, torch.tensor([7, 3, 2])) == pytest.approx(2 / 3)
    assert value(TOP_1, logits, torch.tensor([7, 3, 2])) == pytest.approx(1 / 3)


def test_overlaps_are_those_of_counting_pixel_by_pixel() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (6, 5, 7), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = IGNORED
    labels[labels == 3] = 2  # a class that does not occur
    found = torch.randint(3, labels.shape, generator=generator)
    shares = []
    for one in range(3):
        both = either = 0
        for truth, guess in zip(labels.flatten().tolist(), found.flatten().tolist(), strict=True):
            if truth != IGNORED:
                both += truth == one and guess == one
                either += truth == one or guess == one
        shares.append(both / either)
    scorer = mean_overlap(IGNORED)
    batches = [(one_hot(found[part], 4), labels[part]) for part in (slice(0, 2), slice(2, 6))]
    whole = scorer.whole([scorer.part(*batch) for batch in batches])
    assert whole.value == pytest.approx(sum(shares) / 3)
    assert value(scorer, one_hot(torch.where(labels == IGNORED, 0, labels), 4), labels) == 1.0


def test_f1_is_the_harmonic_mean_of_precision_and_recall() -> None:
    targets = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    logits = torch.tensor([[2.0, 1, -1], [-1, 3, -2]])  # 2 right of 3 found, of 3 true
    precision, recall = 2 / 3, 2 / 3
    expected = 2 * precision * recall / (precision + recall)
    assert value(F1, logits, targets) == pytest.approx(expected)
    assert value(F1, -torch.ones(2, 3), torch.zeros(2, 3)) == 0.0


def made_up_maps(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (200, 4, 4), generator=generator)
    hard = torch.rand(200, 1, 1, generator=generator)  # images differ
    wrong = torch.rand(labels.shape, generator=generator) < hard
    return one_hot(torch.where(wrong, 0, labels), 3), labels


def test_the_bootstrap_is_the_spread_over_other_sets_of_images() -> None:
    objective = Objective(scorer=mean_overlap(IGNORED))
    scores = [objective.score([made_up_maps(seed)]) for seed in range(60)]
    spread = torch.tensor([one.value for one in scores], dtype=torch.float64).std()
    errors = [one.standard_error for one in scores[:20]]
    assert None not in errors
    mean = sum(error or 0.0 for error in errors) / len(errors)
    assert mean == pytest.approx(float(spread), rel=0.25)


def test_networks_that_miss_the_same_pixels_differ_by_less_than_each_is_unsure() -> None:
    objective = Objective(scorer=mean_overlap(IGNORED))
    logits, labels = made_up_maps(0)
    other = logits.clone()
    other[:20] = logits[:20].flip(1)
    found = paired(objective.score([(other, labels)]), objective.score([(logits, labels)]))
    assert found.score < 0
    assert found.score_se is not None
    assert found.score_unpaired_se is not None
    assert 0 < found.score_se < found.score_unpaired_se
    same = paired(objective.score([(logits, labels)]), objective.score([(logits, labels)]))
    assert (same.score, same.score_se) == (0.0, 0.0)


def test_a_mean_over_images_has_the_usual_error() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs, targets = (torch.randn(50, 1, 4, 4, generator=generator) for _ in range(2))
    scores = Objective(loss=MEAN_SQUARED_ERROR, scorer=SQUARED_ERROR).score([(outputs, targets)])
    each = (outputs - targets).square().mean((1, 2, 3)).double()
    assert scores.value == pytest.approx(float(each.mean()))
    assert scores.standard_error == pytest.approx(float(each.std()) / 50**0.5)
    assert scores.score.loss == pytest.approx(scores.value)


@pytest.mark.parametrize(
    ("scorer", "outputs", "labels", "words"),
    [
        (TOP_1, (4, 3), torch.zeros(4, 3), r"the metric top1 expects outputs \[N, classes\]"),
        (TOP_1, (4, 3, 2, 2), torch.zeros(4, 2, 2).long(), r"class numbers \[N\], found outputs"),
        (mean_overlap(0), (4, 3, 2, 2), torch.zeros(4, 2, 3).long(), r"label maps \[N, H, W\]"),
        (SQUARED_ERROR, (4, 3), torch.zeros(4).long(), r"labels \[4\] of int64"),
        (F1, (4, 3), torch.zeros(4, 2), "targets of floats with the outputs' shape"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(
    scorer: Scorer, outputs: tuple[int, ...], labels: torch.Tensor, words: str
) -> None:
    with pytest.raises(ObjectiveError, match=words):
        scorer.part(torch.zeros(outputs), labels)


@pytest.mark.parametrize(
    "names", [("logits", "boxes"), ("output.0", "output.1"), ("boxes", "logits")]
)
def test_of_several_outputs_the_main_one_counts(names: tuple[str, str]) -> None:
    logits, labels = torch.eye(4), torch.tensor([0, 1, 2, 2])
    tensors = [logits, torch.zeros(4, 2)] if names[1] != "logits" else [torch.zeros(4, 2), logits]
    found = Objective().score([(NamedTensors(tensors, names), labels)])
    assert found.value == 0.75
    assert torch.equal(found.loss, Objective().score([(logits, labels)]).loss)
