"""PPO: a policy that walks the layers; trained before, on drawn networks, or in the run itself."""

from agents.judging.best_in_world import Finder
from agents.ppo.config import PPOConfig
from agents.ppo.in_run import search_in_run
from agents.ppo.in_samples import search_in_samples
from agents.ppo.proposer import TokenProposer
from agents.ppo.token_weights import IN_RUN
from agents.search import SearchProblem, SearchResult
from quant.layers import FLOAT_BITS


def search(problem: SearchProblem, config: PPOConfig, *, seed: int) -> SearchResult:
    """Search with the policy that is configured until the evaluation limit is used up.

    One that was trained before proposes in samples of the posterior. Tokens do not tell of float
    weights: where those may be chosen, the policy is trained in the run.
    """
    policy = policy_of(problem, config)
    if config.policy != IN_RUN and not policy:
        problem.say(f"weights may stay in float, so the policy is this run's, not {config.policy}")
    if config.one_shot.steps and not policy:
        problem.say("a policy of the run's own has no training with shared weights: there is none")
    return (search_in_samples if policy else search_in_run)(problem, config, seed=seed)


def policy_of(problem: SearchProblem, config: object) -> str:
    """Return which policy that was trained before proposes; empty where none does.

    Args:
        problem: What is searched.
        config: A method's settings; those of other methods than PPO name no policy.
    """
    if not isinstance(config, PPOConfig) or config.policy == IN_RUN:
        return ""
    return config.policy if FLOAT_BITS not in problem.space.widths else ""


def finder_of(problem: SearchProblem, config: PPOConfig) -> Finder:
    """Return the policy as who finds what is best by the posterior's mean.

    A policy of the run's own finds nothing: it knows no world but the one that it practised in.
    """
    if not policy_of(problem, config):
        return lambda table: None
    return TokenProposer(problem, config, seed=0).propose
