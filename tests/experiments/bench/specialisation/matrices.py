"""Hand-made matrices."""

from collections.abc import Mapping, Sequence

from env.testing import formula_table, tied_layers
from experiments.bench.specialisation.cell import Cell
from experiments.bench.specialisation.results import Row, Specialisation
from experiments.bench.specialisation.retrained import Retrained
from hardware.measuring.measurement import MeasurementSource
from quant.allocation import Allocation
from quant.objective.metric import ACCURACY, Metric

LAYERS = tied_layers()


def matrix(
    bits: Mapping[str, int],
    times_ms: Sequence[Sequence[float]],
    lost: Sequence[float],
    *,
    limits_ms: Sequence[float] | None = None,
    sources: Mapping[str, MeasurementSource] | None = None,
    retrained: Mapping[str, tuple[Retrained, ...]] | None = None,
    metric: Metric = ACCURACY,
    left_out: str = "",
) -> Specialisation:
    """Return a matrix of uniform allocations.

    Args:
        bits: Of each view's best.
        times_ms: Row by row.
        lost: Predicted quality, for each view.
        limits_ms: Of each view; what its own best takes where there are none.
        sources: Of views that are not measured.
        retrained: By view.
        metric: What is lost.
        left_out: See `Specialisation`.
    """
    views = list(bits)
    own = [row[k] for k, row in enumerate(times_ms)]
    limits = own if limits_ms is None else limits_ms
    source_of = {view: (sources or {}).get(view, "measured") for view in views}
    return Specialisation(
        task="hand-made",
        seed=0,
        share=0.3,
        prior="a guess",
        metric=metric,
        left_out=left_out,
        rows=tuple(
            Row(
                view=view,
                device="a device",
                source=source_of[view],
                budget="as asked for",
                saves=0.5 if width < 8 else 0.01,
                all_8_ms=9.0,
                allocation=Allocation.uniform(LAYERS, width),
                predicted_lost=lost[k],
                retrained=(retrained or {}).get(view, ()),
                table=formula_table(LAYERS),
            )
            for k, (view, width) in enumerate(bits.items())
        ),
        cells=tuple(
            Cell(
                made_for=made,
                deployed_on=on,
                source=source_of[on],
                latency_ms=times_ms[r][c],
                own_ms=own[c],
                limit_ms=limits[c],
                stable=(r, c) != (0, 1),
            )
            for r, made in enumerate(views)
            for c, on in enumerate(views)
        ),
    )
