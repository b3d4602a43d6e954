"""Models note: which numbers of a run were measured and which ones a model made."""

import statistics

from experiments.record.run_record import RunRecord
from experiments.report.markup import Markup, element
from hardware.energy.energy import MODELLED, NO_METER

__all__ = ["models_note"]


def models_note(record: RunRecord) -> Markup:
    """Return a list of what was measured, predicted or simulated, with the models' errors."""
    items = [*_latency(record), *_energy(record), *_practice(record)]
    items.append(
        element(
            "li",
            "Accuracies in the search are of the search split, and the best was chosen by them: "
            "they flatter it a little. ",
            "The table of the test split above does not."
            if record.test_results is not None
            else "python -m experiments.evaluate scores it on the test split.",
        )
    )
    return element("ul", *items)


def _latency(record: RunRecord) -> list[Markup]:
    items = []
    for source in record.sources:
        how = (
            "every latency of an evaluation is of its own compiled program, run on the device"
            if source == "measured"
            else "the latencies come from a formula or an emulator, not from a device"
        )
        items.append(element("li", element("strong", source), f": {how}."))
    return items


def _energy(record: RunRecord) -> list[Markup]:
    source = record.energy_source
    if source == NO_METER:
        return []
    if source == MODELLED:
        text = ": every energy is a named power times a measured or simulated time."
        return [element("li", element("strong", MODELLED), text)]
    text = (
        f"Energies of programs are of the {source} meter, in a window of many executions each. "
        "Those of single layers are modelled: measured time times the power of a kernel family at "
        "these bits, fitted to the windows of whole programs."
    )
    return [element("li", text)]


def _practice(record: RunRecord) -> list[Markup]:
    episodes = record.curves.get("practice/episodes")
    if episodes is None:
        return [element("li", "No practice was logged: every episode was a real evaluation.")]
    practised = int(max(episodes.values))
    items = [
        element(
            "li",
            f"Modelled: {practised} practice episodes. Their latency is the sum of the layer "
            "table, their accuracy a model of the sensitivities, corrected by the real "
            "evaluations. No result is taken from them.",
        )
    ]
    ratios = record.curves.get("evaluation/predicted_over_measured")
    if ratios is not None and ratios.values:
        middle = statistics.median(ratios.values)
        low, high = min(ratios.values), max(ratios.values)
        items.append(
            element(
                "li",
                f"The layer table predicted {middle:.2f} of the latency that was then timed "
                f"(median of {len(ratios.values)}; {low:.2f} to {high:.2f}).",
            )
        )
    return items
