"""Running one operator's compiled kernel, and making operators with random codes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from hardware.graph.program_steps import Step
from hardware.kernels.compiling.cache import KernelCache
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.context import ChooseFamily, ChooseSchedule, PlanContext
from hardware.kernels.planning.plan_step import plan_step
from hardware.kernels.schedule.schedule import make_schedule
from hardware.target import TargetConfig
from quant.deploy_graph import (
    WIDE_MAX,
    WIDE_MIN,
    Conv2d,
    DeployGraph,
    DeployTensor,
    Epilogue,
    Linear,
    MatMul,
    Matrices,
)
from quant.integer import run_op

Shape = tuple[int, ...]


class Bench:
    """Plans, compiles and runs single operators for one target."""

    def __init__(self, folder: Any, family: Any = "auto", transform: Any = "words") -> None:
        config = TargetConfig(kernel_cache=str(folder), family=family, transform=transform)
        self.target = KernelTarget.of(config)
        self.cache = KernelCache(config)
        self.schedule: ChooseSchedule = make_schedule
        self.family: ChooseFamily = choose_family

    def plan(self, op: Any, inputs: list[np.ndarray], out_shape: Shape, out_dtype: Any) -> Any:
        names = op.inputs if hasattr(op, "inputs") else (op.input,)
        tensors = {
            name: DeployTensor(name=name, shape=x.shape[1:], dtype=str(x.dtype))  # type: ignore[arg-type]
            for name, x in zip(names, inputs, strict=True)
        }
        tensors[op.output] = DeployTensor(name=op.output, shape=out_shape[1:], dtype=out_dtype)
        graph = DeployGraph(
            network="one", input=names[0], output=op.output, tensors=tensors, ops=(op,)
        )
        context = PlanContext(
            graph=graph,
            batch=inputs[0].shape[0],
            target=self.target,
            schedule=self.schedule,
            family=self.family,
        )
        return plan_step(Step(op=op), context)

    def run(self, op: Any, inputs: list[np.ndarray], out_shape: Shape, out_dtype: Any) -> Any:
        plan = self.plan(op, inputs, out_shape, out_dtype)
        (module,) = self.cache.load([plan])
        # What was in the output before must not matter.
        output = np.full(out_shape, 77, out_dtype)
        arguments = [
            tvm.runtime.tensor(np.ascontiguousarray(a)) for a in (*inputs, *plan.constants)
        ]
        result = tvm.runtime.tensor(output)
        module[plan.symbol](*arguments, result)
        return result.numpy()

    def agrees(self, op: Any, *inputs: np.ndarray, out_dtype: Any) -> None:
        """Assert that the kernel computes what the integer reference computes, every code."""
        expected = run_op(op, *inputs).astype(out_dtype)
        found = self.run(op, list(inputs), expected.shape, out_dtype)
        assert np.array_equal(found, expected), f"{(found != expected).sum()} codes differ"


def make_layer(
    rng: np.random.Generator,
    weight_shape: Shape,
    bits: tuple[int, int],
    *,
    out_dtype: str = "uint8",
    zero_point: int = 0,
    **conv: Any,
) -> Conv2d | Linear:
    """Return a layer with random codes whose outputs use the range of their type."""
    largest = 2 ** (bits[0] - 1) - 1
    weight = rng.integers(-largest, largest, weight_shape, dtype=np.int8, endpoint=True)
    spread = np.sqrt(weight[0].size) * (2 ** bits[1] - 1) * largest / 3 + 1
    target = {"uint8": 60, "int16": 9000, "float32": 1}[out_dtype]
    channels = weight_shape[0]
    wide = out_dtype == "int16"
    epilogue = Epilogue(
        bias=rng.integers(-int(spread), int(spread) + 1, channels).astype(np.int32),
        multiplier=(target / spread * rng.uniform(0.5, 1.5, channels)).astype(np.float32),
        zero_point=0 if wide else 90,
        clip_min=WIDE_MIN if wide else 0,
        clip_max=WIDE_MAX if wide else 200,
        logits=out_dtype == "float32",
    )
    common: Any = {
        "layer": "layer",
        "input": "x",
        "output": "y",
        "weight": weight,
        "weight_bits": bits[0],
        "activation_bits": bits[1],
        "input_zero_point": zero_point,
        "epilogue": epilogue,
    }
    return Conv2d(**common, **conv) if conv else Linear(**common)


def dense_of(
    sizes: tuple[int, int, int], bits: tuple[int, int], out_dtype: str, seed: int
) -> tuple[Conv2d | Linear, npt.NDArray[np.uint8]]:
    """Return a dense layer with random codes, and codes for it.

    Args:
        sizes: Rows, features and outputs.
        bits: Of weights and codes.
        out_dtype: Of the outputs.
        seed: Draws all of it.
    """
    rng = np.random.default_rng(seed)
    (rows, features, out_features), codes = sizes, 2 ** bits[1]
    op = make_layer(
        rng,
        (out_features, features),
        bits,
        out_dtype=out_dtype,
        zero_point=int(rng.integers(0, codes)),
    )
    return op, rng.integers(0, codes, (rows, features), dtype=np.uint8)


def product_of(
    matrices: Matrices, bits: tuple[int, int], points: tuple[int, int], *, wide: bool
) -> MatMul:
    """Return a product whose outputs use the range of their type."""
    groups, rows, columns = matrices.made
    spread = np.sqrt(matrices.depth) * (2 ** bits[0] - 1) * (2 ** bits[1] - 1) / 4
    return MatMul(
        layer="product",
        inputs=("a", "b"),
        output="y",
        matrices=matrices,
        bits=bits,
        input_zero_points=points,
        multiplier=float(np.float32((9000 if wide else 60) / spread)),
        zero_point=0 if wide else 90,
        clip_min=WIDE_MIN if wide else 0,
        clip_max=WIDE_MAX if wide else 200,
        shape=(groups, rows, columns),
    )


def codes_of(op: MatMul, batch: int, seed: int = 0) -> tuple[Any, Any]:
    """Return random codes of both sides of a product."""
    rng = np.random.default_rng(seed)
    left, right = (
        rng.integers(0, 2**bits, (batch, *shape), dtype=np.uint8)
        for bits, shape in zip(op.bits, (op.matrices.left, op.matrices.right), strict=True)
    )
    return left, right
