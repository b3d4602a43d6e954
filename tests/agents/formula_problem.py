"""A search problem in which a formula stands for network and device."""

from pathlib import Path

from agents.search import SearchProblem
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.decisions import DecisionSpace
from env.decisions.space import decision_space
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
SPACE = decision_space(LAYERS, CHOICES)
SENSITIVITIES = formula_sensitivities(LAYERS)


def formula_problem(
    table: LayerTable,
    evaluator: FormulaEvaluator,
    reference: Evaluation,
    budget: Budget,
    log_folder: Path | None,
    space: DecisionSpace | None = None,
) -> SearchProblem:
    """Return the problem; `table` is what a method knows, `evaluator` what is true."""

    space = space or SPACE
    rises = formula_sensitivities(space.layers)

    def make_env() -> BitAllocationEnv:
        return BitAllocationEnv(
            space=space,
            budget=budget,
            evaluator=evaluator,
            table=table,
            sensitivities=rises,
            reference=reference,
        )

    return SearchProblem(
        space=space,
        budget=budget,
        evaluator=evaluator,  # type: ignore[arg-type]
        table=table,
        reference=reference,
        make_env=make_env,
        prepare=None,  # type: ignore[arg-type]
        retrainer=None,  # type: ignore[arg-type]
        sensitivities=FormulaSensitivities(space.layers, rises),
        train=None,  # type: ignore[arg-type]
        search=None,  # type: ignore[arg-type]
        log_folder=log_folder,
    )
