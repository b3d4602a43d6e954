"""Hand-made evaluations for the tests of this folder."""

from env.evaluating.evaluation import Evaluation
from hardware.measuring.measurement import Measurement
from hardware.measuring.protocol import ProtocolConfig
from quant.allocation import Allocation, LayerBits
from quant.objective.paired import PairedDifference


def allocation(weight_bits: int, activation_bits: int = 8) -> Allocation:
    return Allocation.of(
        {
            "first": LayerBits(weight_bits=weight_bits, activation_bits=8),
            "second": LayerBits(weight_bits=weight_bits, activation_bits=activation_bits),
        }
    )


def measurement(latency_ms: float) -> Measurement:
    values = tuple(latency_ms * factor for factor in (0.99, 0.995, 1.0, 1.005, 1.01))
    return Measurement(
        values_ms=values,
        loops=3,
        protocol=ProtocolConfig(),
        source="simulated",
        device="test",
        facts={},
    )


def difference(score: float) -> PairedDifference:
    """Return what an evaluation is beside a reference of accuracy 0.95 and loss 0.08."""
    return PairedDifference(
        score=score - 0.95,
        score_se=0.004,
        score_unpaired_se=0.014,
        loss=0.02,
        loss_se=0.003,
        loss_unpaired_se=0.03,
    )


def evaluation(
    index: int,
    bits: Allocation,
    *,
    score: float,
    latency_ms: float | None,
    model_bytes: int = 1000,
    practice: bool = False,
) -> Evaluation:
    """Return a real evaluation; without a latency, one that failed."""
    return Evaluation(
        allocation=bits,
        index=index,
        score=score,
        score_se=0.01,
        loss=0.1,
        beside_reference=None if latency_ms is None else difference(score),
        model_bytes=model_bytes,
        measurement=None if latency_ms is None else measurement(latency_ms),
        error="" if latency_ms is not None else "did not build",
        proposer="test",
        practice=practice,
    )
