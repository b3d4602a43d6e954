"""Sensitivities: what quantizing one tensor to b bits does, as each paper estimates it.

All work on any calibrated network and any iterable of batches `(images, labels)`.
"""

from quant.sensitivities.fisher import fisher_sensitivity
from quant.sensitivities.gauss_newton import gauss_newton_sensitivity
from quant.sensitivities.hessian import hessian_sensitivity
from quant.sensitivities.measured import measured_sensitivity
from quant.sensitivities.orthogonality import Orthogonality, orthogonality
from quant.sensitivities.table import (
    SENSITIVITY_KINDS,
    SensitivityKind,
    SensitivityTable,
)

__all__ = [
    "SENSITIVITY_KINDS",
    "Orthogonality",
    "SensitivityKind",
    "SensitivityTable",
    "fisher_sensitivity",
    "gauss_newton_sensitivity",
    "hessian_sensitivity",
    "measured_sensitivity",
    "orthogonality",
]
