"""Requests: what a client may ask for, as the API's document has it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JOB_ID = r"^[a-z0-9][a-z0-9_-]{0,63}$"
"""An id is the name of a folder, and a part of addresses."""

JobId = Annotated[str, Field(pattern=JOB_ID, examples=["resnet8-on-rpi4"])]
_Settings = Annotated[
    dict[str, Any],
    Field(
        default_factory=dict,
        description="Keys of a configuration, in sections or dotted, as `bitalloc run --help` "
        "lists them. Files are named by what the service knows: `sha256:...` of an upload, or a "
        "name that the operator gave.",
        examples=[{"method": "random", "evaluations": 8, "target.runner": "simulated"}],
    ),
]
_Bits = Annotated[int, Field(ge=2, le=8)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: JobId | None = Field(
        default=None,
        description="The job's id. The same request with the same id is the same job, so that a "
        "client may ask again after a lost answer. Without one the service makes it up.",
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="Among one's own jobs; higher ones come first."
    )
    wall_s: float | None = Field(
        default=None, gt=0, description="The longest it may run; the operator's limit by default."
    )
    memory_bytes: int | None = Field(
        default=None, gt=0, description="The most resident memory; the operator's by default."
    )


class SearchRequest(_Request):
    """Search the bits of every layer of a network."""

    kind: Literal["search"]
    settings: _Settings


class EvaluateRequest(_Request):
    """Retrain the answer of a search longer, measure it again, and score it on test images."""

    kind: Literal["evaluate"]
    of: JobId = Field(description="The search.")


class ExportRequest(_Request):
    """Write the answer of a search as a bundle that runs by itself."""

    kind: Literal["export"]
    of: JobId = Field(description="The search.")
    onnx: bool = Field(default=True, description="With a model in ONNX, too.")


class MeasureRequest(_Request):
    """Time one allocation beside all-8-bit, untrained."""

    kind: Literal["measure"]
    settings: _Settings
    allocation: dict[str, Any] | None = Field(
        default=None, description="As `best_allocation.json` of a run has it."
    )
    bits: _Bits | None = Field(default=None, description="Instead: the same for every layer.")


class StaircaseRequest(_Request):
    """Time each layer at each bit-width."""

    kind: Literal["staircase"]
    settings: _Settings
    shapes: Literal["standard", "small"] | None = Field(
        default=None, description="Layers of well-known networks instead of the task's network."
    )
    bits: list[_Bits] = Field(default_factory=lambda: [2, 3, 4, 5, 6, 7, 8], min_length=1)
    all_pairs: bool = False


class CompareRequest(_Request):
    """Search with several methods under the same budgets."""

    kind: Literal["compare"]
    settings: _Settings
    methods: list[str] = Field(min_length=1, max_length=30, examples=[["uniform", "ppo"]])
    budgets: list[float] = Field(min_length=1, max_length=20, examples=[[0.2, 0.5]])
    seeds: int = Field(default=1, ge=1, le=100)


JobRequest = Annotated[
    SearchRequest
    | EvaluateRequest
    | ExportRequest
    | MeasureRequest
    | StaircaseRequest
    | CompareRequest,
    Field(discriminator="kind"),
]
ConfiguredRequest = SearchRequest | MeasureRequest | StaircaseRequest | CompareRequest
"""Those with a configuration of their own."""
