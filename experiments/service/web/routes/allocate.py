"""/v1/allocate: which bits a budget wants, at once, of a finished search or an unseen network."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from agents.judging.beliefs import Beliefs
from env.decisions.budget import BudgetConfig
from experiments.allocate.answer import answer as answer_by
from experiments.allocate.answer import say
from experiments.errors import RunFolderError
from experiments.record.run_record import RunRecord
from experiments.service.errors import NotNowError, RefusedError
from experiments.service.store.job import Job
from experiments.service.web.caller import Asked, Caller, own_job
from experiments.service.web.problem import RESPONSES
from experiments.service.web.routes.jobs import hand_in
from experiments.service.work.admission import THIS_MACHINE
from experiments.service.work.requests import JOB_ID, JobId, MeasureRequest
from experiments.zero_shot.network_facts import facts_from
from experiments.zero_shot.unseen import Unseen, believe_unseen
from quant.layers import MAX_BITS, MIN_BITS
from quant.records.json_form import to_plain

routes = APIRouter(prefix="/v1", tags=["allocate"], responses=RESPONSES)
_Above0 = Annotated[float | None, Field(gt=0, allow_inf_nan=False)]
_ACCEPTED = 202
_LIMITS = (
    *("latency_ms", "latency_ratio", "latency_share", "model_bytes", "model_bytes_ratio"),
    *("energy_mj", "energy_ratio"),
)


class AllocateRequest(BaseModel):
    """A budget for a network: that of a search, an uploaded one, or one that is described."""

    model_config = ConfigDict(extra="forbid")

    job: str | None = Field(
        default=None, pattern=JOB_ID, description="A search that has succeeded, which answers."
    )
    network: str | dict[str, Any] | None = Field(
        default=None,
        description="In place of a job: `sha256:...` of an upload, or the layers themselves, "
        '`{"layers": [...], "table": {...}}`, as `beliefs.json` of a run has both; the table, of '
        "measured times, may be left out.",
    )
    shape: list[Annotated[int, Field(ge=1, le=2**16)]] = Field(
        default_factory=list,
        max_length=4,
        description="Sizes of one input of an uploaded network that leaves them free.",
    )
    target: str = Field(
        default=THIS_MACHINE,
        max_length=200,
        description="Where the network is to run, by its key: finished searches there tell times.",
    )
    bit_choices: list[Annotated[int, Field(ge=MIN_BITS, le=MAX_BITS)]] = Field(
        default_factory=lambda: list(range(MIN_BITS, MAX_BITS + 1)),
        min_length=2,
        max_length=MAX_BITS - MIN_BITS + 1,
        description="Widths that may be chosen, for a network.",
    )
    latency_ms: _Above0 = None
    latency_ratio: _Above0 = Field(default=None, description="Of what all-8 is predicted to take.")
    latency_share: Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=None,
        description="Of the way from what the fastest uniform allocation is predicted to take (0) "
        "to all-8 (1).",
    )
    model_bytes: Annotated[int | None, Field(gt=0, le=2**53)] = None
    model_bytes_ratio: _Above0 = None
    energy_mj: _Above0 = None
    energy_ratio: _Above0 = None
    verify: bool = Field(
        default=False, description="Also hand in a job that times the answer beside all-8."
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="Of that job: the network with its data, and the target. Of a search they are "
        "known.",
    )
    id: JobId | None = Field(default=None, description="Of that job.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.job is None) == (self.network is None):
            raise ValueError("expected one of job and network")
        if self.verify and self.network is not None and not self.settings:
            raise ValueError("verify: expected settings with the network and its data, found none")
        if len(set(self.bit_choices)) < len(self.bit_choices):
            raise ValueError("bit_choices: expected widths that differ")
        return self


class DistanceView(BaseModel):
    """How far a network is from those that the shipped policy practised on."""

    deviations: float = Field(description="Standard deviations, of the property furthest away.")
    furthest: str
    outside: list[str] = Field(description="Properties beyond all of them: a guess in these.")


class BudgetView(BaseModel):
    """Limits in absolute units; null for what is free."""

    latency_ms: float | None
    model_bytes: int | None
    energy_mj: float | None


class MetricView(BaseModel):
    """What a score means."""

    name: str
    unit: str
    more_is_better: bool


class AllocateView(BaseModel):
    """The best allocation inside a budget, by a model; nothing was retrained or measured."""

    predicted: bool = Field(description="Always true.")
    allocation: dict[str, Any] = Field(description="As `best_allocation.json` has one.")
    budget: BudgetView
    metric: MetricView
    score: float | None = Field(description="null for a network whose float score is not known.")
    lost: float = Field(description="Quality lost against all-8; 0.01 is a point of accuracy.")
    latency_ms: float
    times: str = Field(description="Where milliseconds come from.")
    energy_mj: float | None = Field(description="null where there was no meter.")
    model_bytes: int
    policy: str = Field(description="The policy that answered; empty for an integer program.")
    policy_version: str = Field(description="Of the shipped policy, with the package's version.")
    evaluations: int = Field(description="How many taught the model; 0 for a network unseen.")
    prior: str = Field(description="Where the model's prior comes from.")
    distance: DistanceView | None = Field(description="null for a search, which knows its network.")
    job: str | None = Field(description="The job that verifies it; null where none was asked for.")


@routes.post("/allocate", responses={_ACCEPTED: {"model": AllocateView}})
def answer(request: AllocateRequest, asked: Asked, who: Caller, response: Response) -> AllocateView:
    """Say which bits a network should have inside a budget.

    What `bitalloc allocate` says of the same run or network. 202 where a job was handed in that
    times the answer.
    """
    unseen, settings = None, request.settings
    if request.job is not None:
        parent = own_job(asked, request.job, who)
        beliefs, settings = _beliefs_of(parent, asked), settings or parent.request["settings"]
    else:
        unseen = _unseen(request, asked, who)
        beliefs = unseen.beliefs
    limits = {name: getattr(request, name) for name in _LIMITS}
    with asked.answers.take():
        found = answer_by(beliefs, BudgetConfig(**limits))
    job = None
    if request.verify:
        measure = MeasureRequest(
            kind="measure",
            id=request.id,
            settings=settings,
            allocation=found.allocation.to_dict(),
        )
        job = hand_in(measure, asked, who)[0].id
        response.status_code = _ACCEPTED
    return AllocateView(**to_plain(say(found, beliefs, unseen)), job=job)


def _beliefs_of(job: Job, asked: Asked) -> Beliefs:
    if job.kind != "search":
        raise RefusedError(f"job: expected a search, found {job.id}, a job of kind {job.kind}")
    if job.state.over and (found := asked.searched.of(job)) is not None:
        return found
    try:
        record = RunRecord.open(asked.folder.job(job.id).run, finished=True)
    except RunFolderError as error:
        raise NotNowError(
            f"expected a search that has ended well, found job {job.id}, which is {job.state}",
            "bitalloc watch JOB waits for it",
        ) from error
    if record.beliefs is None:
        raise RefusedError(
            f"expected a search whose answer is a model's, found job {job.id}, whose is a score",
            "searches of ppo and bayes have one, others with posterior: true in their settings",
        )
    return record.beliefs


def _unseen(request: AllocateRequest, asked: Asked, who: Caller) -> Unseen:
    if isinstance(request.network, str):
        facts = asked.networks.known(request.network, request.shape)
        if facts is None:
            with asked.readings.take():
                facts = asked.networks.facts(request.network, request.shape)
    else:
        facts = facts_from(request.network, "network")
    searched = asked.searched.on(request.target, who.sees)
    return believe_unseen(facts, request.bit_choices, searched=searched)
