"""NetworkFacts: the layers of a network, and their times where somebody measured them."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import ConfigError
from hardware.layers.table import LayerTable
from quant.layers import LayerSpec
from quant.records.json_form import from_plain
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

MOST_LAYERS = 1_000
_MOST_WEIGHTS = 1 << 50
"""Of one layer: sums over all layers are still exact integers of 64 bits."""
_MOST_US = 1e9
"""Of one layer, or microjoules; likewise."""
_SHOWN = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFacts:
    """All that an answer without a run needs; no weights, no data."""

    layers: tuple[LayerSpec, ...]
    table: LayerTable | None = None
    """Measured on the device that is meant, at every pair of the widths that may be chosen, and at
    8 bits; None where nobody measured."""

    def __post_init__(self) -> None:
        """Refuse what is no network.

        Raises:
            ConfigError: no layers or too many, a name twice, or sizes below 1.
        """
        if not 1 <= len(self.layers) <= MOST_LAYERS:
            raise ConfigError(
                f"layers: expected 1 to {MOST_LAYERS:,} of them, found {len(self.layers):,}"
            )
        name, count = Counter(layer.name for layer in self.layers).most_common(1)[0]
        if count > 1:
            raise ConfigError(f"layers: expected names that differ, found {name!r} {count} times")
        for layer in self.layers:
            sizes = (layer.in_channels, layer.out_channels, layer.groups, *layer.kernel)
            if min(*sizes, layer.macs, layer.parameters if layer.has_weights else 1) < 1:
                raise ConfigError(f"layers: expected sizes of 1 or more, found others in {layer}")
            largest = max(*sizes, layer.out_channels * layer.products, layer.macs, layer.parameters)
            if largest > _MOST_WEIGHTS:
                raise ConfigError(
                    f"layers: expected sizes up to {_MOST_WEIGHTS:,}, found {largest:,}"
                )

    def check_times(self, widths: Collection[int]) -> None:
        """Refuse a table that lacks a time.

        Args:
            widths: That weights and activations may have.

        Raises:
            ConfigError: names the first time that is missing.
        """
        if self.table is None:
            return
        for layer in self.layers:
            row = self.table.times_us.get(layer.name, {})
            for pair in layer.bit_pairs(tuple(widths)):
                if not row.get(pair, 0.0) > 0.0:
                    raise ConfigError(
                        f"table: expected a time of {layer.name} at {pair[0]}/{pair[1]} bits, "
                        "found none",
                        "choose among the widths that were measured, or leave the table out",
                    )


def check_sizes(table: LayerTable) -> None:
    """Refuse times and energies that no layer takes, of which sums would be none.

    Raises:
        ConfigError: names the first value.
    """
    rows = [*table.times_us.values(), *table.energies_uj.values()]
    values = [table.overhead_us, table.overhead_uj, *(v for row in rows for v in row.values())]
    for value in values:
        if not 0 <= value <= _MOST_US:
            raise ConfigError(
                f"table: expected microseconds from 0 to {_MOST_US:.0e}, found {value}"
            )


def facts_from(document: Any, where: str) -> NetworkFacts:
    """Read the form of JSON: `{"layers": [...], "table": {...}}`, the table being optional.

    Raises:
        ConfigError: it is something else.
    """
    try:
        return from_plain(NetworkFacts, document)
    except ConfigError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())[:_SHOWN]
        raise ConfigError(
            f"{where}: expected layers as beliefs.json of a run has them: {said}",
            'such as {"layers": [...]}, and "table" as layer_table.json where it was measured',
        ) from None


def read_facts(file: Path) -> NetworkFacts:
    """Read a file of JSON.

    Raises:
        ConfigError: it is not there, or is something else.
    """
    try:
        return facts_from(parse_json(read_regular(file)), str(file))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror or error}") from None
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{file} is not JSON: {error}") from None
