"""Admission: from what a client asks for to a job that can be done, or a sentence why not."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from agents.ppo.token_weights import IN_RUN
from env.tasks.task_config import PRETRAINED
from experiments.compare.plan import Plan
from experiments.service.errors import RefusedError
from experiments.service.folder import JobFolder
from experiments.service.settings import Allowed, Limits
from experiments.service.store.job import Job, NewJob, State
from experiments.service.work.requests import (
    CompareRequest,
    ConfiguredRequest,
    EvaluateRequest,
    ExportRequest,
    JobRequest,
    MeasureRequest,
    SearchRequest,
)
from experiments.settings.load import config_from
from experiments.settings.run_config import RunConfig
from quant.allocation import Allocation
from quant.errors import BitAllocError

THIS_MACHINE = "this machine"
"""The target of all that needs no board."""
CLUSTER = "Ray cluster"
"""The target of what is retrained there and times nothing."""
NO_BOARDS = (THIS_MACHINE, CLUSTER)
"""Targets that no tracker knows."""
SHARED = "shared"
"""What a job calls the operator's cluster."""
WHERE = "the job's settings"
UPLOADED = re.compile(r"sha256:([0-9a-f]{64})")

_WORDS = (
    *("method", "task.name", "task.network", "task.normalize", "env.device"),
    *("target.key", "target.mcpu"),
)
"""Texts that name nothing but what BitAlloc or the tracker knows."""
_FUNCTIONS = ("task.metric", "task.loss", "task.augment")
"""Words of ours, or functions."""
_OPERATORS = {
    "output": "every job has a folder of its own",
    "store": "all jobs share one",
    "target.tracker": "boards are those of the operator's tracker: give target.key",
    "target.server": "boards are those of the operator's tracker: give target.key",
    "target.kernel_cache": "all jobs share one",
    "target.tile_choices": "all jobs share them",
    "energy.command": "it would start a program of the server's machine",
    "energy.csv": "it would read a file of the server's machine",
}
"""Texts that would name the server's own files, programs and neighbours."""
_FILES = ("task.model", "task.data", "task.weights", "ppo.policy")
"""Texts that name files, folders or functions: uploads, or what the operator allows."""
_HARMLESS = {("task.weights", PRETRAINED), ("ppo.policy", IN_RUN)}
"""Those of them that name nothing of the server's."""
_SIMULATED = "simulated"
_RAY = "train.ray"
"""Names the operator's cluster, where there is one."""
_PLAIN_WORD = re.compile(r"[\w .,/+-]*")
_UPLOADS = {"task.model": "networks", "task.data": "data"}
"""Kind of the uploads that a text may name."""

FindUpload = Callable[[str, str], Path]
"""Given a kind, `data` or `networks`, and a digest, returns where it lies, seen from a job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Judges requests by what the operator decided."""

    allowed: Allowed
    limits: Limits
    uploaded: FindUpload

    def admit(self, request: JobRequest, user: str, parent: Callable[[str], Job]) -> NewJob:
        """Return the job that a request asks for.

        Args:
            request: What a client sent.
            user: Who asks.
            parent: Finds the user's job of an id.

        Raises:
            BitAllocError: it cannot be done as it stands.
        """
        name = request.id or f"{request.kind}-{secrets.token_hex(5)}"
        if isinstance(request, EvaluateRequest | ExportRequest):
            target, simulated, evaluations = self._of_parent(request, parent(request.of))
        else:
            config = self.config(request)
            target = _target_of(config)
            simulated = config.target.runner == _SIMULATED
            evaluations = self._evaluations(request, config)
        return NewJob(
            id=name,
            user=user,
            request=document_of(request, name),
            kind=request.kind,
            target=target,
            of=request.of if isinstance(request, EvaluateRequest | ExportRequest) else "",
            priority=request.priority,
            wall_s=self._within("wall_s", request.wall_s, self.limits.wall_s),
            memory_bytes=int(
                self._within("memory_bytes", request.memory_bytes, self.limits.memory_bytes)
            ),
            evaluations=evaluations,
            simulated=simulated,
        )

    def config(self, request: ConfiguredRequest) -> RunConfig:
        """Return the configuration of a job, as its process gets it.

        Raises:
            BitAllocError: it is none, or names what only the operator may name.
        """
        given = config_from(request.settings, WHERE)
        plain = dict(_texts(given, RunConfig()))
        for key, value in plain.items():
            if key in _OPERATORS:
                raise RefusedError(
                    f"{key} is the operator's to set, found {value!r}, in {WHERE}", _OPERATORS[key]
                )
            if key in _FUNCTIONS and ":" in value:
                self._check_function(key, value)
            elif key in (*_WORDS, *_FUNCTIONS):
                if not _PLAIN_WORD.fullmatch(value):
                    raise RefusedError(f"{key}: expected a plain word, found {value!r}, in {WHERE}")
            elif key in _FILES:
                given = _with(given, key, self._named(key, value))
            elif key == _RAY:
                given = _with(given, key, self._cluster(given, value))
            else:
                raise RefusedError(f"{key} cannot be set in a job, found {value!r}")
        target = given.target
        if target.remote:
            target = self._on_tracker(given)
        config = replace(
            given, output=str(JobFolder.RUNS), store=str(JobFolder.STORE), target=target
        )
        if isinstance(request, CompareRequest):
            config = replace(config, output=str(JobFolder.COMPARISON))
        return config

    def _cluster(self, config: RunConfig, value: str) -> str:
        """Return the address of the operator's cluster, where a job may use it."""
        if value != SHARED:
            raise RefusedError(
                f"train.ray is the operator's to set, found {value!r}, in {WHERE}",
                f"the operator's own cluster is called {SHARED}",
            )
        if not self.allowed.ray:
            raise RefusedError(
                "train.ray: this service has no Ray cluster",
                "the operator starts it with --ray HOST:PORT",
            )
        if not (config.target.remote or config.target.runner == _SIMULATED):
            raise RefusedError(
                f"train.ray: expected a board, or target.runner {_SIMULATED}, for what a cluster "
                "retrains: this machine has its own network while it times",
                "leave train.ray out, and this machine does it",
            )
        return self.allowed.ray

    def _on_tracker(self, config: RunConfig) -> Any:
        target = config.target
        if not target.key:
            raise RefusedError(
                f"target.key: expected which board of the kind {target.board}, found none",
                "bitalloc jobs --boards lists what there is",
            )
        if not self.allowed.tracker:
            raise RefusedError(
                "target.board: this service has no tracker, and so no boards",
                "the operator starts it with --tracker HOST:PORT",
            )
        return replace(target, tracker=self.allowed.tracker)

    def _of_parent(
        self, request: EvaluateRequest | ExportRequest, parent: Job
    ) -> tuple[str, bool, int]:
        if parent.kind != "search":
            raise RefusedError(
                f"of: expected a search, found {parent.id}, a job of kind {parent.kind}"
            )
        if parent.state.over and parent.state is not State.SUCCEEDED:
            raise RefusedError(
                f"of: expected a search that goes well, found {parent.id}, which is {parent.state}"
            )
        if request.kind == "export" and parent.simulated:
            raise RefusedError(
                f"expected a search on a real target, found {parent.id}, whose times are simulated",
                "search again without target.runner=simulated",
            )
        # What it names must be there and allowed still, and uploads stay for longer.
        self.config(SearchRequest.model_validate(parent.request))
        target = THIS_MACHINE if request.kind == "export" else parent.target
        return target, parent.simulated, 0

    def _evaluations(self, request: ConfiguredRequest, config: RunConfig) -> int:
        """Return the most evaluations that a job makes; checks what a command would refuse."""
        count = config.evaluations
        if isinstance(request, MeasureRequest):
            if (request.allocation is None) == (request.bits is None):
                raise RefusedError("expected one of allocation and bits, found both or neither")
            if request.allocation is not None:
                _check_allocation(request.allocation)
            return 0
        if request.kind == "staircase":
            return 0
        if isinstance(request, CompareRequest):
            plan = Plan(
                methods=tuple(request.methods),
                budgets=tuple(request.budgets),
                seeds=request.seeds,
                evaluations=count,
            )
            count *= len(plan.jobs)
        return int(self._within("evaluations", count, self.limits.evaluations))

    def _within(self, name: str, asked: float | None, most: float) -> float:
        if asked is not None and asked > most:
            raise RefusedError(
                f"{name}: expected at most {most:,.0f}, found {asked:,.0f}",
                "that is the operator's limit",
            )
        return most if asked is None else asked

    def _check_function(self, key: str, name: str) -> None:
        if name not in self.allowed.functions:
            raise RefusedError(
                f"{key}: {name} is no function that the operator allows",
                "networks and data can be uploaded: sha256:DIGEST",
            )

    def _named(self, key: str, value: str) -> str:
        """Return what a job's process finds under a name: a path, or an allowed function."""
        if (key, value) in _HARMLESS:
            return value
        if key in _UPLOADS and (digest := UPLOADED.fullmatch(value)) is not None:
            return str(self.uploaded(_UPLOADS[key], digest[1]))
        if key == "task.data" and value in self.allowed.folders:
            return str(self.allowed.folders[value])
        if key in ("task.model", "task.data") and ":" in value:
            self._check_function(key, value)
            return value
        if key not in _UPLOADS:
            usual = next(word for name, word in _HARMLESS if name == key)
            raise RefusedError(
                f"{key}: expected a word such as {usual}, found {value!r}, which would be a file "
                "of the server's",
                "of one's own files jobs read networks and data",
            )
        known = ", ".join(sorted(self.allowed.folders)) or "none"
        raise RefusedError(
            f"{key}: expected sha256:DIGEST of an upload, or a name that the operator gave, found "
            f"{value!r}",
            f"names of folders: {known}"
            if key == "task.data"
            else "bitalloc submit uploads FILE.onnx",
        )


def document_of(request: JobRequest, name: str) -> dict[str, Any]:
    """Return a request as the store has it: with all defaults, and its id."""
    return {**request.model_dump(mode="json"), "id": name}


def texts_of(config: Any) -> dict[str, str]:
    """Return every value of a tree of dataclasses that may be any text, by its dotted name."""
    found: dict[str, str] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found |= {f"{field.name}.{name}": text for name, text in texts_of(value).items()}
        elif field.type is str:
            found[field.name] = value
    return found


def _texts(config: RunConfig, default: RunConfig) -> Mapping[str, str]:
    usual = texts_of(default)
    return {key: value for key, value in texts_of(config).items() if value != usual[key]}


def _with(config: Any, key: str, value: str) -> Any:
    """Return a tree of dataclasses with another value under a dotted name."""
    name, _, rest = key.partition(".")
    return replace(config, **{name: _with(getattr(config, name), rest, value) if rest else value})


def _target_of(config: RunConfig) -> str:
    """Return what a job holds while it runs: a board, or what times or retrains for it."""
    if config.target.remote:
        return config.target.key
    return CLUSTER if config.train.ray else THIS_MACHINE


def _check_allocation(document: Mapping[str, Any]) -> None:
    try:
        Allocation.from_dict(document)
    except BitAllocError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefusedError(f"allocation: expected the bits of each layer: {error}") from None
