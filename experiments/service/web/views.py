"""Views: the service's things as the API's document has them."""

from typing import Any

from pydantic import BaseModel, Field

from experiments.service.store.job import Fault, Health, Job, State
from experiments.service.store.jobs import Event
from experiments.service.store.uploads import Upload


class JobView(BaseModel):
    """A job. Times are seconds since the epoch."""

    id: str
    number: int = Field(description="In which order jobs came; `after` of a list.")
    kind: str
    user: str
    state: State
    health: Health = Field(description="Whether the result may be believed, once there is one.")
    reason: str = Field(description="Why it is where it is; may be empty.")
    hint: str
    fault: Fault = Field(description="Whose a failure is.")
    target: str
    of: str = Field(description="The search that it works on; empty for others.")
    priority: int
    simulated: bool
    evaluations: int = Field(description="The most that it makes.")
    done: int = Field(description="Those that are finished.")
    attempts: int
    created_s: float
    started_s: float | None
    ended_s: float | None
    used_s: float = Field(description="Seconds that its processes ran, without the one that runs.")
    request: dict[str, Any]

    @classmethod
    def of_job(cls, job: Job) -> "JobView":
        """Show a job."""
        return cls(**{name: getattr(job, name) for name in cls.model_fields})


class JobList(BaseModel):
    """A page of jobs, in the order in which they came."""

    jobs: list[JobView]
    next: int | None = Field(description="`after` of the next page; null on the last one.")


class EventView(BaseModel):
    """Something that happened to a job."""

    number: int
    at_s: float
    kind: str = Field(description="`state` or `evaluation`.")
    document: dict[str, Any]

    @classmethod
    def of_event(cls, event: Event) -> "EventView":
        """Show an event."""
        return cls(
            number=event.number,
            at_s=event.at_s,
            kind=event.kind,
            document=dict(event.document),
        )


class EventList(BaseModel):
    """A page of a job's events."""

    events: list[EventView]
    over: bool = Field(description="Whether the job is over, and these are its last events.")


class ArtifactView(BaseModel):
    """A file of a job."""

    name: str
    bytes: int
    sha256: str


class ArtifactList(BaseModel):
    """The files of a job."""

    artifacts: list[ArtifactView]


class UploadView(BaseModel):
    """A file that was uploaded."""

    name: str = Field(description="What a job's settings call it.", examples=["sha256:..."])
    bytes: int
    expires_s: float = Field(description="When it goes, unless a job names it before.")

    @classmethod
    def of_upload(cls, upload: Upload) -> "UploadView":
        """Show an upload."""
        return cls(name=f"sha256:{upload.digest}", bytes=upload.bytes, expires_s=upload.expires_s)


class BoardView(BaseModel):
    """A target: this machine, or the boards of one key."""

    key: str
    addresses: list[str]
    free: int = Field(description="Boards that nobody uses, as the tracker says.")
    waiting: int = Field(description="Hosts that wait for one, as the tracker says.")
    job: str | None = Field(description="The job that runs there; null for none, or another's.")
    user: str | None = Field(description="Whose job runs there.")
    queued: int = Field(description="Jobs that wait for it.")
    facts: dict[str, Any] = Field(description="What the newest job learnt of the machine.")
    hottest_c: float | None = Field(
        description="Its temperature at the newest timing; null where it does not say."
    )
    health: str = Field(description="Empty, or why the newest job lost it.")


class BoardList(BaseModel):
    """Where jobs can run."""

    boards: list[BoardView]
    error: str = Field(description="Why the tracker tells nothing; may be empty.")


class VersionView(BaseModel):
    """What answers."""

    version: str
    api: str = "v1"


class HealthView(BaseModel):
    """Whether the service can work."""

    ready: bool
    reasons: list[str]
