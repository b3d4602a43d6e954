"""A search problem in which a formula stands for network and device."""

from pathlib import Path

from agents.search import SearchProblem
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.evaluating.evaluation import Evaluation
from env.testing import (
    FormulaEvaluator,
    FormulaSensitivities,
    formula_sensitivities,
    tied_layers,
)
from hardware.layers.table import LayerTable

CHOICES = (2, 4, 6, 8)
LAYERS = tied_layers()
SENSITIVITIES = formula_sensitivities(LAYERS)


def formula_problem(
    table: LayerTable,
    evaluator: FormulaEvaluator,
    reference: Evaluation,
    budget: Budget,
    log_folder: Path | None,
) -> SearchProblem:
    """Return the problem; `table` is what a method knows, `evaluator` what is true."""

    def make_env() -> BitAllocationEnv:
        return BitAllocationEnv(
            layers=LAYERS,
            bit_choices=CHOICES,
            budget=budget,
            evaluator=evaluator,
            table=table,
            sensitivities=SENSITIVITIES,
            reference=reference,
        )

    return SearchProblem(
        layers=LAYERS,
        bit_choices=CHOICES,
        budget=budget,
        evaluator=evaluator,  # type: ignore[arg-type]
        table=table,
        reference=reference,
        make_env=make_env,
        prepare=None,  # type: ignore[arg-type]
        retrainer=None,  # type: ignore[arg-type]
        sensitivities=FormulaSensitivities(LAYERS, SENSITIVITIES),
        train=None,  # type: ignore[arg-type]
        search=None,  # type: ignore[arg-type]
        log_folder=log_folder,
    )
