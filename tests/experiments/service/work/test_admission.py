"""What a job may ask for, and what only the operator may say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from experiments.service.errors import RefusedError
from experiments.service.settings import Allowed, Limits
from experiments.service.store.job import Job, NewJob, State
from experiments.service.work import admission as module
from experiments.service.work.admission import CLUSTER, THIS_MACHINE, Admission, texts_of
from experiments.service.work.requests import JobRequest
from experiments.settings.run_config import RunConfig
from quant.errors import BitAllocError
from tests.experiments.service.work.one_job import JOB

_ANY: TypeAdapter[JobRequest] = TypeAdapter(JobRequest)
_DIGEST = "a" * 64


def _uploaded(kind: str, digest: str) -> Path:
    return Path("..", "..", kind, f"{digest}.npz")


def _admission(**allowed: Any) -> Admission:
    return Admission(allowed=Allowed(**allowed), limits=Limits(evaluations=100), uploaded=_uploaded)


def _admit(admission: Admission, **request: Any) -> NewJob:
    def parent(name: str) -> Job:
        raise AssertionError(name)

    return admission.admit(_ANY.validate_python({"kind": "search", **request}), "ada", parent)


def test_every_text_of_a_configuration_is_judged() -> None:
    """A key that a later version adds is refused until somebody decides what it may name."""
    judged = {*module._WORDS, *module._FUNCTIONS, *module._OPERATORS, *module._FILES, module._RAY}
    assert set(texts_of(RunConfig())) == judged


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"output": "/etc"}, "output is the operator's to set"),
        ({"store": "/etc/passwd"}, "store is the operator's"),
        ({"target": {"board": "rpi4", "tracker": "10.0.0.1:22"}}, "target.tracker is"),
        ({"target": {"board": "rpi4", "server": "10.0.0.1:22"}}, "target.server is"),
        ({"target.kernel_cache": "/tmp"}, "target.kernel_cache is"),
        ({"energy": {"meter": "external", "command": "id"}}, "energy.command is"),
        ({"task": {"name": "image-folder", "data": "/home"}}, "sha256:DIGEST of an upload"),
        ({"task": {"name": "image-folder", "data": "../../jobs"}}, "sha256:DIGEST of an upload"),
        ({"task.model": "os:getcwd"}, "no function that the operator allows"),
        ({"task.metric": "os:system", "task.loss": "mse"}, "no function that the operator allows"),
        ({"task.weights": "/etc/passwd"}, "would be a file of the server"),
        ({"ppo.policy": "/etc/passwd"}, "would be a file of the server"),
        ({"target.mcpu": "x;y"}, "target.mcpu: expected a plain word"),
        ({"train.ray": "10.0.0.1:22", "target.runner": "simulated"}, "train.ray is the operator's"),
        ({"train.ray": "shared", "target.runner": "simulated"}, "has no Ray cluster"),
        ({"evaluations": 101}, "expected at most 100, found 101"),
        ({"evaluatoins": 1}, "unknown key evaluatoins"),
        ({"target": {"board": "rpi4", "key": "pi"}}, "has no tracker"),
    ],
)
def test_what_names_the_servers_own_things_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(BitAllocError, match=said.replace(".", r"\.")):
        _admit(_admission(), settings=settings)


def test_what_the_operator_allows_may_be_named(tmp_path: Path) -> None:
    admission = _admission(
        functions=frozenset({"mine:network"}),
        folders={"shelf": tmp_path},
        tracker="127.0.0.1:9190",
    )
    request = _ANY.validate_python(
        {
            "kind": "search",
            "settings": {
                "task": {"name": "image-folder", "data": "shelf", "model": "mine:network"},
                "target": {"board": "rpi4", "key": "pi"},
            },
        }
    )
    config = admission.config(request)  # type: ignore[arg-type]
    assert config.task.data == str(tmp_path)
    assert config.task.model == "mine:network"
    assert config.target.tracker == "127.0.0.1:9190"
    assert _admit(admission, **request.model_dump(exclude={"kind"})).target == "pi"


def test_the_operators_cluster_is_a_target_of_its_own_where_nothing_is_timed() -> None:
    admission = _admission(ray="10.0.0.1:6379", tracker="10.0.0.1:9190")
    cluster = {"train.ray": "shared"}
    job = _admit(admission, settings={**cluster, "target.runner": "simulated"})
    assert job.target == CLUSTER
    request = _ANY.validate_python(job.request)
    assert admission.config(request).train.ray == "10.0.0.1:6379"  # type: ignore[arg-type]
    board = {"target": {"board": "rpi4", "key": "pi"}}
    assert _admit(admission, settings={**cluster, **board}).target == "pi"
    with pytest.raises(BitAllocError, match="has its own network while it times"):
        _admit(admission, settings=cluster)


def test_an_upload_is_named_by_its_digest() -> None:
    settings = {"task": {"name": "own", "data": f"sha256:{_DIGEST}", "network": "digits-even"}}
    request = _ANY.validate_python({"kind": "search", "settings": settings})
    config = _admission().config(request)  # type: ignore[arg-type]
    assert config.task.data == f"../../data/{_DIGEST}.npz"
    assert _admit(_admission(), settings=settings).target == THIS_MACHINE


def test_a_comparison_counts_all_its_evaluations() -> None:
    settings = {"evaluations": 20}
    more = {"kind": "compare", "methods": ["random", "uniform"], "budgets": [0.5]}
    assert _admit(_admission(), settings=settings, seeds=2, **more).evaluations == 80
    with pytest.raises(BitAllocError, match="at most 100, found 120"):
        _admit(_admission(), settings=settings, seeds=3, **more)
    with pytest.raises(BitAllocError, match="expected some of"):
        _admit(_admission(), settings=settings, **{**more, "methods": ["--output"]})


@pytest.mark.parametrize(
    "more", [{}, {"bits": 4, "allocation": {}}, {"allocation": {"schema": 1, "layers": {"a": 3}}}]
)
def test_a_measurement_names_one_allocation(more: dict[str, Any]) -> None:
    with pytest.raises(BitAllocError):
        _admit(_admission(), kind="measure", **more)


@pytest.mark.parametrize("kind", ["evaluate", "export"])
def test_what_works_on_a_search_needs_what_the_search_named(kind: str) -> None:
    """Its data may have expired since, and its functions may be allowed no more."""
    settings = {"task": {"name": "own", "data": f"sha256:{_DIGEST}", "network": "digits-even"}}
    request = {"kind": "search", "id": "a", "settings": settings}
    search = replace(JOB, request=request, state=State.SUCCEEDED)
    again = _ANY.validate_python({"kind": kind, "of": "a"})
    assert _admission().admit(again, "ada", lambda name: search).of == "a"

    def gone(kind: str, digest: str) -> Path:
        raise RefusedError(f"there is no upload sha256:{digest} among the {kind}")

    without = Admission(allowed=Allowed(), limits=Limits(), uploaded=gone)
    with pytest.raises(RefusedError, match=r"no upload sha256:a+ among the data"):
        without.admit(again, "ada", lambda name: search)
