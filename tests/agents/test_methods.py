"""Every method keeps the contract with a real network that really trains."""

import pytest

from agents.methods import METHODS
from tests.agents.search_contract import MakeProblem, ResumeContract

BUDGETS = [{"share": 0.35}, {"share": 0.5, "bytes_share": 0.4}]


class TestOnDigits(ResumeContract):
    @pytest.fixture(params=METHODS)
    def method(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def make(self, problems: MakeProblem) -> MakeProblem:
        return problems

    @pytest.fixture(params=BUDGETS, ids=["latency", "latency and bytes"])
    def budget(self, request: pytest.FixtureRequest) -> dict[str, float]:
        return dict(request.param)


@pytest.mark.slow
class TestOnFashionMNIST(TestOnDigits):
    @pytest.fixture
    def make(self, fashion_problems: MakeProblem) -> MakeProblem:
        return fashion_problems

    @pytest.fixture
    def budget(self) -> dict[str, float]:
        return {"share": 0.35, "bytes_share": 0.6}
