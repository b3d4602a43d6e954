"""A job of the store, for tests that change some of it."""

from experiments.service.store.job import Fault, Health, Job, State

JOB = Job(
    id="a",
    user="ada",
    request={},
    kind="search",
    target="this machine",
    priority=0,
    wall_s=1.0,
    memory_bytes=1,
    evaluations=1,
    number=1,
    state=State.QUEUED,
    health=Health.UNKNOWN,
    reason="",
    hint="",
    fault=Fault.NONE,
    cancelled=False,
    attempts=0,
    crashes=0,
    losses=0,
    not_before_s=0.0,
    used_s=0.0,
    done=0,
    read_bytes=0,
    created_s=0.0,
    started_s=None,
    ended_s=None,
)
