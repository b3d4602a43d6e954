"""Whatever the API's document allows, and more, is answered as the document says."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.experiments.service.conftest import LIMITS, lend
from tests.experiments.service.here import Here

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

_REQUESTS = 2_000
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """A server whose jobs end as soon as they have begun: many of the requests are good ones."""
    limits = replace(LIMITS, wall_s=1.0, memory_bytes=1_000_000)
    with lend(tmp_path_factory.mktemp("bounded"), limits) as here:
        yield here


@pytest.mark.parametrize("role", ["operator", "user", "nobody"])
def test_two_thousand_requests_of_any_kind(bounded: Here, role: str) -> None:
    token = {"operator": bounded.operator, "user": bounded.user, "nobody": ""}[role]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    document = bounded.ask("GET", "/v1/openapi.json", bounded.operator).json()
    assert document["openapi"].startswith("3.1")
    schema = schemathesis.openapi.from_dict(document)
    operations = [cast(Ok[Any], found).ok() for found in schema.get_all_operations()]
    answered: list[int] = []
    for operation in operations:

        @seed(2026)
        @settings(
            max_examples=-(-_REQUESTS // len(operations)),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            response = case.call(base_url=bounded.url, headers=headers)
            answered.append(response.status_code)
            case.validate_response(response, checks=_CHECKS)

        ask()
    assert len(answered) >= 0.9 * _REQUESTS
    if role == "nobody":
        assert set(answered) <= {200, 401, 404, 405, 413, 429}
    assert bounded.ask("GET", "/healthz", "").status_code == 200
