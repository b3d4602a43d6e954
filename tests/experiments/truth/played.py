"""A claim with one bar, judged where each search loses a known accuracy and nothing else."""

from collections.abc import Callable

from experiments.truth.claim import Claim
from experiments.truth.contest import Match, Outcome, matches
from experiments.truth.verdicts import Verdict, verdicts


def verdict_on(claim: Claim, regret: Callable[[Match], float]) -> Verdict:
    """Return what becomes of the claim's bar, by the points of accuracy that each search loses."""
    outcomes = {
        match: Outcome(
            match=match,
            answer=(2,),
            regret={"accuracy": regret(match), "log_loss": 0.0, "reward": 0.0},
            error={"accuracy": 0.0, "log_loss": 0.0, "reward": 0.0},
            used=1,
            again=0,
            training_samples=0,
            fell_back=False,
        )
        for match in matches(claim)
    }
    (verdict,) = verdicts(claim, outcomes)
    return verdict
