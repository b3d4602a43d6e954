"""Staircase: everything one command measured on one device, and how it is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.staircase.layer_steps import LayerSteps, layer_steps
from experiments.staircase.summary import Summary, summarize
from hardware.device import Device
from hardware.measure_layers import measure_layer_table
from hardware.measuring.measurement import MeasurementSource
from hardware.measuring.protocol import ProtocolConfig
from hardware.progress import LabelledProgress
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS
from quant.records.json_form import to_plain

_SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Staircase:
    """Times of layers at their bit pairs on one device."""

    what: str
    """The network's name, or which list of shapes."""
    device: str
    source: MeasurementSource
    machine: Mapping[str, Any]
    """What the device says of itself."""
    protocol: ProtocolConfig
    widths: tuple[int, ...]
    """From 8 downwards."""
    layers: tuple[LayerSteps, ...]
    overhead_us: float | None
    """What no layer of a network accounts for; None for separate shapes."""
    disturbed_share: float
    """Share of the timings during which something else slowed the machine."""

    @property
    def label(self) -> str:
        """The device and where its numbers come from, for every place that shows them."""
        if self.source == "simulated":
            return "simulated: a formula, nothing was measured"
        return f"{self.device}, {self.source}"

    @property
    def summary(self) -> Summary:
        """What bits buy, over all layers."""
        return summarize(self.layers, self.widths)

    @property
    def sentence(self) -> str:
        """What bits buy on this device."""
        return f"What bits buy ({self.label}): {self.summary.sentence}."

    def to_dict(self, command: str, commit: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON document.

        Args:
            command: What was asked for.
            commit: Of the code that measured.
        """
        # Schema 1 has a list called `bar`; nothing is checked against one any more.
        document = {
            "staircase_schema": _SCHEMA,
            "what": self.what,
            "device": self.device,
            "source": self.source,
            "machine": self.machine,
            "command": command,
            "commit": commit,
            "protocol": self.protocol,
            "disturbed_share": self.disturbed_share,
            "overhead_us": self.overhead_us,
            "layers": self.layers,
            "summary": {**to_plain(self.summary), "sentence": self.sentence, "bar": []},
        }
        return {key: to_plain(value) for key, value in document.items()}


def measure_staircase(
    device: Device,
    graphs: Sequence[DeployGraph],
    widths: Sequence[int],
    protocol: ProtocolConfig,
    *,
    what: str,
    all_pairs: bool,
    progress: LabelledProgress | None = None,
) -> Staircase:
    """Measure every layer of some graphs; 8 bits are always among the widths.

    All widths of one graph are timed in interleaved rounds, so that its ratios are of one moment.

    Args:
        device: Where to measure.
        graphs: One network, or several single layers.
        widths: Bit-widths to measure.
        protocol: How the device times.
        what: Name of the network or of the list of shapes.
        all_pairs: Also the pairs of unequal widths.
        progress: Called with what is done of the current graph, and its name.

    Raises:
        BuildError: a layer cannot be built at one of the pairs.
        HardwareLostError: the device is gone.
    """
    widths = sorted({*widths, MAX_BITS}, reverse=True)
    layers: list[LayerSteps] = []
    tables = []
    for graph in graphs:

        def report(done: int, total: int, _: str, name: str = graph.network) -> None:
            if progress is not None:
                progress(done, total, name)

        table = measure_layer_table(device, graph, widths, report, equal_bits=not all_pairs)
        tables.append(table)
        layers += layer_steps(graph, table, protocol.batch)
    return Staircase(
        what=what,
        device=device.name,
        source=tables[0].source,
        machine=device.facts(),
        protocol=protocol,
        widths=tuple(widths),
        layers=tuple(layers),
        overhead_us=tables[0].overhead_us if len(graphs) == 1 else None,
        disturbed_share=sum(table.disturbed_share for table in tables) / len(tables),
    )
