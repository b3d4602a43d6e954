"""Times dense layers of one vector beside plain reading of the bytes of their weights.

Such a layer uses every weight once, so that reading them is its limit. Each width is compiled with
its default tile, and checked; the layers and the reading of each one's own weights take turns.

    python -m tools.dense_bandwidth                     # 4096x4096 at 8 to 2 bits
    python -m tools.dense_bandwidth --features 1024 --bits 8 4 --rounds 99
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import tvm
import tyro
from tvm.tirx.script import builder as T

from hardware.graph.program_steps import Step
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.emitting.emit import Parameter, function, load, local_vector, store
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.plan_step import plan_step
from hardware.target import KernelFamily, TargetConfig
from quant.deploy_graph import DeployGraph, DeployTensor, Epilogue, Linear
from quant.integer import run_op

_ACCUMULATORS, _LANES = 8, 8
_CALLS = 4
"""Executions of one sample."""


@dataclass(kw_only=True)
class _Layer:
    """One width's kernel, and the kernel that reads its weights, with what they took, seconds."""

    bits: int
    family: str
    weight_bytes: int
    run: Any
    read: Any
    run_s: list[float] = field(default_factory=list)
    read_s: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Time both once."""
        self.run_s.append(self.run().mean)
        self.read_s.append(self.read().mean)

    def line(self) -> str:
        """Return the medians."""
        run_s, read_s = median(self.run_s), median(self.read_s)
        share = median(one / other for one, other in zip(self.read_s, self.run_s, strict=True))
        return (
            f"{self.bits} bits  {self.family:20} {self.weight_bytes / 2**20:5.1f} MiB  "
            f"{1e6 * run_s:7.0f} us  {self.weight_bytes / run_s / 1e9:5.1f} GB/s  "
            f"reading {self.weight_bytes / read_s / 1e9:5.1f} GB/s  share {share:.0%}"
        )


def _read_kernel(symbol: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Return a function that reads a tensor from begin to end and keeps a digest of it."""
    words = int(np.prod(shape)) * np.dtype(dtype).itemsize // 4
    one_turn = _ACCUMULATORS * _LANES

    def body(source: Any, digest: Any) -> None:
        source = T.decl_buffer((words,), "int32", data=source.data)
        sums = [local_vector("int32", _LANES) for _ in range(_ACCUMULATORS)]
        for one in sums:
            store(one, 0, T.broadcast(T.int32(0), _LANES), _LANES)
        with T.serial(words // one_turn) as turn:
            for index, one in enumerate(sums):
                value = load(source, turn * one_turn + index * _LANES, _LANES)
                store(one, 0, T.bitwise_xor(load(one, 0, _LANES), value), _LANES)
        for index, one in enumerate(sums):
            store(digest, index * _LANES, load(one, 0, _LANES), _LANES)

    parameters = [
        Parameter(name="source", shape=shape, dtype=dtype),
        Parameter(name="digest", shape=(one_turn,), dtype="int32"),
    ]
    return function(symbol, parameters, body)


def _layer(bits: int, features: int, target: KernelTarget) -> _Layer:
    """Compile one width, check it, and compile the reading of its weights."""
    rng = np.random.default_rng(bits)
    most = 2 ** (bits - 1) - 1
    op = Linear(
        layer="dense",
        input="x",
        output="y",
        weight=rng.integers(-most, most, (features, features), np.int8, endpoint=True),
        weight_bits=bits,
        activation_bits=bits,
        input_zero_point=0,
        epilogue=Epilogue(
            bias=np.zeros(features, np.int32),
            multiplier=np.ones(features, np.float32),
            logits=True,
        ),
    )
    tensors = {
        "x": DeployTensor(name="x", shape=(features,), dtype="uint8"),
        "y": DeployTensor(name="y", shape=(features,), dtype="float32"),
    }
    graph = DeployGraph(network="dense", input="x", output="y", tensors=tensors, ops=(op,))
    plan = plan_step(Step(op=op), PlanContext(graph=graph, batch=1, target=target))
    assert plan is not None
    codes = rng.integers(0, 2**bits, (1, features), dtype=np.uint8)
    arguments = [tvm.runtime.tensor(np.ascontiguousarray(a)) for a in (codes, *plan.constants)]
    output = tvm.runtime.tensor(np.zeros((1, features), np.float32))
    digest = tvm.runtime.tensor(np.zeros(_ACCUMULATORS * _LANES, np.int32))
    weights = plan.constants[0]
    read = _read_kernel("read", weights.shape, str(weights.dtype))
    functions = {"run": plan.build("run"), "read": read}
    built = {
        name: tvm.tirx.build(tvm.IRModule({name: one}), target.tvm_target())
        for name, one in functions.items()
    }
    built["run"]["run"](*arguments, output)
    if not np.array_equal(output.numpy(), run_op(op, codes)):
        raise SystemExit(f"{bits} bits: {plan.family} computes something else than the reference")
    timers = {
        name: one.time_evaluator(name, tvm.cpu(), number=_CALLS, repeat=1)
        for name, one in built.items()
    }
    return _Layer(
        bits=bits,
        family=plan.family,
        weight_bytes=weights.nbytes,
        run=lambda: timers["run"](*arguments, output),
        read=lambda: timers["read"](arguments[1], digest),
    )


def main(
    *,
    bits: Sequence[int] = (8, 7, 6, 5, 4, 3, 2),
    features: int = 4096,
    family: KernelFamily | None = None,
    rounds: int = 31,
) -> int:
    """Time dense layers of one vector beside reading their weights.

    Args:
        bits: Widths of weights and codes.
        features: Input and output features.
        family: Which group of kernels; the fastest of this machine where none is named.
        rounds: Samples of each, which take turns.
    """
    target = KernelTarget.of(TargetConfig(family=family or "auto"))
    layers = [_layer(one, features, target) for one in bits]
    for _ in range(rounds):
        for layer in layers:
            layer.sample()
    for layer in layers:
        ratio = median(a / b for a, b in zip(layers[0].run_s, layer.run_s, strict=True))
        print(f"{layer.line()}  {ratio:.2f} times as fast as {layers[0].bits} bits")
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
