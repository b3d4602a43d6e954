"""Predicted losses: what each width is believed to lose before anything was retrained."""

from dataclasses import dataclass

import numpy as np

from agents.solvers.cost_model import Losses
from agents.solvers.response_losses import response_losses
from env.evaluating.accounting import Ledger
from env.responses.columns import response_columns
from env.responses.losses import ObservedLosses
from env.responses.posterior import ResponsePosterior, infer_responses
from env.responses.shipped import shipped_prior
from env.sensitivity.stored_sensitivities import StoredSensitivities
from experiments.stages.network_setup import NetworkSetup
from experiments.terminal.progress import LiveProgress
from hardware.store import Store
from quant.allocation import Allocation


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PredictedLosses:
    """The mean of a posterior that no evaluation has taught: shipped prior and sensitivities."""

    posterior: ResponsePosterior

    @property
    def source(self) -> str:
        """Where the prior comes from, in words."""
        return self.posterior.prior.source

    @property
    def losses(self) -> Losses:
        """What every choice of every layer loses, for a solver."""
        table = np.nan_to_num(self.posterior.mean_table)
        return response_losses(self.posterior.columns.space, table)

    def lost(self, allocation: Allocation) -> float:
        """Return the quality that an allocation is predicted to lose against all-8."""
        return float(self.posterior.mean_losses([allocation])[0])


def predict_losses(setup: NetworkSetup, store: Store, progress: LiveProgress) -> PredictedLosses:
    """Return what `bayes` believes at its first proposal, had it evaluated nothing before.

    Raises:
        StoreError: the store cannot be read or written.
    """
    config, prior, space = setup.config, shipped_prior(), setup.space
    sensitivities = StoredSensitivities(
        setup.network,
        setup.task.train,
        config.env.sensitivity,
        store,
        Ledger(),
        lambda name, done, total: progress.stage(f"{name} sensitivity", done, total),
        setup.task.objective.loss,
    )
    columns = response_columns(space, sensitivities.table(prior.kind).rises)
    nothing = ObservedLosses(allocations=(), losses=np.zeros(0), errors=np.zeros(0))
    return PredictedLosses(
        posterior=infer_responses(prior, columns, nothing, seed=config.seed),
    )
