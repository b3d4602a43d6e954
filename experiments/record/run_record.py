"""RunRecord: one run as its files tell it, whether it goes on, was stopped or has ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import yaml

from env.decisions.budget import Budget
from env.evaluating.evaluation import Evaluation
from experiments.errors import RunFolderError, new_run_with
from experiments.record import files
from experiments.record.curves import Curve, read_curves
from experiments.record.given import Given
from experiments.record.islands import ListedIsland
from experiments.record.layer_choices import LayerChoice
from experiments.record.lines import whole_lines
from experiments.record.results import document_from, results_from, test_results_from
from experiments.settings.strict_yaml import read_yaml
from experiments.terminal.typed import typed_sibling
from hardware.energy.energy import NO_METER
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.errors import AllocationError
from quant.layers import MAX_BITS, MIN_BITS, LayerSpec
from quant.records.json_form import from_plain
from quant.records.regular_file import read_regular
from quant.records.strict_json import NoNumberError, parse_json

if TYPE_CHECKING:
    from agents.judging.beliefs import Beliefs
    from quant.sensitivities import SensitivityTable

T = TypeVar("T", covariant=True)
Missing = TypeVar("Missing", covariant=True)

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_SHOWN = 200


def _hint() -> str:
    return f"give a folder that {typed_sibling('run')} printed, for example runs/latest"


class _File(Generic[T, Missing]):
    """A file of the folder as an attribute: read when it is first asked for, and once."""

    def __init__(self, name: str, parse: Callable[[bytes], T], missing: Missing) -> None:
        self._name = name
        self._parse = parse
        self._missing = missing

    def __set_name__(self, owner: type, attribute: str) -> None:
        self._attribute = attribute

    def __get__(self, record: "RunRecord", owner: type) -> T | Missing:
        path = record.path / self._name
        found: T | Missing = self._missing
        try:
            found = self._parse(read_regular(path))
        except FileNotFoundError:
            pass
        except NoNumberError as error:
            # A device of before could write such a file; the rest of the run is still worth a look.
            record.left_out.append(f"{path}: holds {error}, which is no number: it is left out")
        except OSError as error:
            raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from None
        except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
            raise RunFolderError(
                f"{path}: a file of the run is damaged or of another version: {_reason(error)}",
                new_run_with(record.path / files.CONFIG),
            ) from None
        record.__dict__[self._attribute] = found  # from now on before this descriptor
        return found


def _reason(error: Exception) -> str:
    """Return an error as text of a sentence's length: it may quote whatever is in the file."""
    text = str(error) if isinstance(error, UnicodeDecodeError) else repr(error)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _config_from(content: bytes) -> Mapping[str, Any]:
    found = read_yaml(content)
    return found if isinstance(found, dict) else {}


def _budget_from(content: bytes) -> Mapping[str, Any]:
    document = document_from(content)
    shares = {
        name: from_plain(dict[int, float], document.pop(name, {}))
        for name in ("latency_shares", "energy_shares")
    }
    for bits, share in (entry for limit in shares.values() for entry in limit.items()):
        if not (MIN_BITS <= bits <= MAX_BITS and share > 0):
            raise ValueError(f"expected shares of uniform bits, found {share} of {bits}")
    reason = document.pop("reason")
    if not isinstance(reason, str):
        raise ValueError(f"reason: expected a sentence, found {reason!r}")
    return {**asdict(from_plain(Budget, document)), "reason": reason, **shares}


def _environment_from(content: bytes) -> Mapping[str, Any]:
    document = document_from(content)
    if not isinstance(document.get("device", {}), dict):
        raise ValueError("device: expected facts by name")
    from_plain(tuple[str, ...], document.get("packages", []))
    return document


def _tiles_from(content: bytes) -> Mapping[str, Any]:
    document = document_from(content)
    if not isinstance(document["digest"], str):
        raise ValueError(f"digest: expected a text, found {document['digest']!r}")
    return document


def _evaluations_from(content: bytes) -> tuple[Evaluation, ...]:
    found = tuple(
        Evaluation.from_dict(parse_json(line, with_nan=True)) for line in whole_lines(content)
    )
    layers = {tuple(name for name, _ in item.allocation.items) for item in found}
    if len(layers) > 1:
        raise ValueError("expected evaluations of one network, found others")
    return found


def _sensitivities_from(content: bytes) -> "SensitivityTable":
    from quant.sensitivities import SensitivityTable  # brings torch: two seconds of a report

    return from_plain(SensitivityTable, parse_json(content))


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherBudget:
    """An allocation for another budget, as the page shows it; all of it is predicted."""

    allocation: Allocation
    score: float
    latency_ms: float
    model_bytes: int
    budget: Budget


def _other_budgets_from(content: bytes) -> tuple[OtherBudget, ...]:
    return from_plain(tuple[OtherBudget, ...], parse_json(content))


def _beliefs_from(content: bytes) -> "Beliefs":
    from agents.judging.beliefs import Beliefs  # likewise

    return from_plain(Beliefs, parse_json(content))


class RunRecord:
    """One run as its files tell it.

    None stands for a file that is not written yet. A file that is damaged raises RunFolderError
    where it is first asked for.
    """

    config_text = _File(files.CONFIG, bytes.decode, "")
    config = _File(files.CONFIG, _config_from, _NOTHING)
    """The configuration by key, whichever version wrote it."""
    command = _File(files.COMMAND, lambda content: content.decode().strip(), "")
    """The command line that started the run, and each that it went on by."""
    environment = _File(files.ENVIRONMENT, _environment_from, _NOTHING)
    """What the run ran on."""
    given = _File(files.GIVEN, lambda text: from_plain(Given, parse_json(text)), None)
    """The network and the images that it searched with; None for a run from before they were
    written down."""
    tiles = _File(files.TILES, _tiles_from, None)
    """What the tile search did; None for a run from before there was one."""
    table = _File(files.TABLE, lambda text: from_plain(LayerTable, parse_json(text)), None)
    """What each layer takes at each pair of bits."""
    sensitivity = _File(files.SENSITIVITIES, _sensitivities_from, None)
    """How much the loss rises with each tensor at each width; None where the method makes no
    environment, and as long as it has made none."""
    budget = _File(files.BUDGET, _budget_from, None)
    """The limits `latency_ms`, `model_bytes` and `energy_mj`, the `reason` for them, and what they
    are shares of."""
    islands = _File(
        files.ISLANDS, lambda text: from_plain(tuple[ListedIsland, ...], parse_json(text)), ()
    )
    """What stays in float; none where everything has an integer form."""
    layer_choices = _File(
        files.LAYER_CHOICES, lambda text: from_plain(tuple[LayerChoice, ...], parse_json(text)), ()
    )
    """What the rules for single layers leave each; none where no rule is given."""
    evaluations = _File(
        files.EVALUATIONS,
        _evaluations_from,
        (),
    )
    """The finished evaluations in order; one that was being written is none."""
    beliefs = _File(files.BELIEFS, _beliefs_from, None)
    """What the run believes of every allocation; None where scores alone said what is best."""
    other_budgets = _File(files.OTHER_BUDGETS, _other_budgets_from, ())
    """What the run would answer for other budgets; none where it has no beliefs."""
    best_allocation = _File(
        files.BEST_ALLOCATION, lambda content: Allocation.from_dict(parse_json(content)), None
    )
    """The chosen allocation once more, in a file of its own."""
    results = _File(files.RESULTS, results_from, None)
    """The final table and the choice; None while the run goes on or after it was stopped."""
    test_results = _File(files.TEST_RESULTS, test_results_from, None)
    """The table on the test split, once `experiments.evaluate` was run."""

    def __init__(self, path: Path) -> None:
        """Use a folder; nothing is read yet, and `open` looks at it first."""
        self.path = path
        self.left_out: list[str] = []
        """Files that cannot be used, in a sentence each, as far as they were asked for."""

    @classmethod
    def open(cls, path: Path, *, finished: bool = False) -> "RunRecord":
        """Open the folder of a run, which must have ended if `finished`.

        Raises:
            RunFolderError: no such folder, not a run's, or the run has not ended.
        """
        if not path.is_dir():
            raise RunFolderError(f"{path}: expected the folder of a run, found no folder", _hint())
        kind = "finished run" if finished else "run"
        for name in (
            (files.CONFIG, files.BEST_ALLOCATION, files.RESULTS) if finished else (files.CONFIG,)
        ):
            if not (path / name).is_file():
                raise RunFolderError(
                    f"{path} is not the folder of a {kind}: it has no {name}", _hint()
                )
        return cls(path.resolve())

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """The scalars that were logged."""
        try:
            return read_curves(self.path / files.EVENTS)
        except RunFolderError:
            return {}  # no events yet

    @property
    def sources(self) -> tuple[str, ...]:
        """Where latencies come from: `measured`, `simulated`, `emulated`; sorted, each once."""
        found = {item.measurement.source for item in self.evaluations if item.measurement}
        if self.table is not None:
            found.add(self.table.source)
        return tuple(sorted(found))

    @property
    def energy_source(self) -> str:
        """Where energies come from: a kind of meter, `modelled` or `none`."""
        found = [item.measurement.energy_source for item in self.evaluations if item.measurement]
        if self.table is not None:
            found.append(self.table.energy_source)
        return next((source for source in found if source != NO_METER), NO_METER)

    @property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of the final table; none before the run has ended."""
        rows: tuple[Mapping[str, Any], ...] = () if self.results is None else self.results["rows"]
        return rows

    @property
    def budget_ms(self) -> float | None:
        """The latency budget, where the run has decided one."""
        return None if self.budget is None else self.budget["latency_ms"]

    @property
    def rules(self) -> tuple[str, ...]:
        """What the user said of single layers."""
        env = self.config.get("env")
        layers = env.get("layers") if isinstance(env, dict) else None
        return tuple(map(str, layers)) if isinstance(layers, list) else ()

    @property
    def best(self) -> Allocation | None:
        """The chosen allocation; None before the run has ended."""
        if self.results is None:
            return None
        return Allocation.from_dict(self.results["best"]["allocation"])

    def chosen(self, layers: Sequence[LayerSpec]) -> Allocation:
        """Return the allocation of `best_allocation.json`, which must be one of a network.

        Raises:
            RunFolderError: there is none, or it is another network's.
        """
        path = self.path / files.BEST_ALLOCATION
        if self.best_allocation is None:
            raise RunFolderError(
                f"expected the chosen allocation in {path}, found no file", _hint()
            )
        chosen = self.best_allocation.with_products(layers)
        try:
            chosen.check(layers)
        except AllocationError as error:
            raise RunFolderError(f"{path}: {error.message}", error.hint) from None
        return chosen
