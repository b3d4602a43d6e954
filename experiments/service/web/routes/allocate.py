"""/v1/allocate: other budgets, answered at once from what a finished search learnt."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from env.decisions.budget import BudgetConfig
from experiments.allocate import allocate
from experiments.errors import RunFolderError
from experiments.record.run_record import RunRecord
from experiments.service.errors import NotNowError, RefusedError
from experiments.service.web.caller import Asked, Caller, own_job
from experiments.service.web.problem import RESPONSES
from experiments.service.work.requests import JOB_ID

routes = APIRouter(prefix="/v1", tags=["allocate"], responses=RESPONSES)
_Above0 = Annotated[float | None, Field(gt=0, allow_inf_nan=False)]


class AllocateRequest(BaseModel):
    """A budget for the network of a search; at least one limit."""

    model_config = ConfigDict(extra="forbid")

    job: str = Field(pattern=JOB_ID, description="The search, which has succeeded.")
    latency_ms: _Above0 = None
    latency_ratio: _Above0 = Field(default=None, description="Of what all-8 is predicted to take.")
    model_bytes: Annotated[int | None, Field(gt=0, le=2**53)] = None
    model_bytes_ratio: _Above0 = None
    energy_mj: _Above0 = None
    energy_ratio: _Above0 = None


class AllocateView(BaseModel):
    """The best allocation inside the budget, by the search's own model; nothing was measured."""

    predicted: bool = Field(description="Always true.")
    allocation: dict[str, Any] = Field(description="As `best_allocation.json` has one.")
    score: float
    latency_ms: float
    energy_mj: float | None = Field(description="null where there was no meter.")
    model_bytes: int
    policy: str = Field(description="The policy that answered; empty for an integer program.")
    evaluations: int = Field(description="How many taught the model.")


@routes.post("/allocate")
def answer(request: AllocateRequest, asked: Asked, who: Caller) -> AllocateView:
    """Say which bits a network should have inside another budget than its search's.

    What `bitalloc allocate` says of the same run. To see whether it holds, hand in a search with
    that budget.
    """
    job = own_job(asked, request.job, who)
    budget = BudgetConfig(**request.model_dump(exclude={"job"}))
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
    found = allocate(record, budget)
    return AllocateView(
        predicted=found.predicted,
        allocation=found.allocation.to_dict(),
        score=found.score,
        latency_ms=found.latency_ms,
        energy_mj=found.energy_mj,
        model_bytes=found.model_bytes,
        policy=record.beliefs.policy,
        evaluations=record.beliefs.evaluations,
    )
