"""Hand-made DeployGraphs for the tests of this folder: a builder, a zoo and a digits-size one."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quant.deploy_graph import (
    WIDE_MAX,
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    DeployGraph,
    DeployTensor,
    Epilogue,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
)


def _largest(bits: int) -> int:
    return (1 << bits) - 1


@dataclass
class GraphBuilder:
    """Appends operators with random codes; every method returns the new tensor's name."""

    seed: int = 0
    ops: list[Any] = field(default_factory=list)
    tensors: dict[str, DeployTensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def tensor(self, shape: tuple[int, ...], dtype: Any, name: str = "") -> str:
        name = name or f"t{len(self.tensors)}"
        self.tensors[name] = DeployTensor(name=name, shape=shape, dtype=dtype)
        return name

    def image(self, channels: int, height: int, width: int, zero_point: int = 37) -> str:
        x = self.tensor((channels, height, width), "float32", "x")
        q = self.tensor((height, width, channels), "uint8")
        self.ops.append(
            QuantizeInput(
                input=x, output=q, multiplier=float(np.float32(1 / 0.017)), zero_point=zero_point
            )
        )
        return q

    def conv(
        self,
        source: str,
        out_channels: int,
        kernel: int = 3,
        *,
        bits: tuple[int, int] = (8, 8),
        out_bits: int = 8,
        wide: bool = False,
        stride: int = 1,
        padding: int | None = None,
        groups: int = 1,
        dilation: int = 1,
        zero_point: int = 0,
    ) -> str:
        height, width, channels = self.tensors[source].shape
        pad = kernel // 2 if padding is None else padding
        size = [
            (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for side in (height, width)
        ]
        output = self.tensor((*size, out_channels), "int16" if wide else "uint8")
        weight = self._weight((out_channels, kernel, kernel, channels // groups), bits[0])
        self.ops.append(
            Conv2d(
                layer=f"layer{len(self.ops)}",
                input=source,
                output=output,
                weight=weight,
                weight_bits=bits[0],
                activation_bits=bits[1],
                input_zero_point=self._zero_point(source, bits[1]),
                stride=(stride, stride),
                padding=(pad, pad),
                dilation=(dilation, dilation),
                groups=groups,
                epilogue=self._epilogue(weight, bits, out_bits, wide, zero_point),
            )
        )
        return output

    def linear(self, source: str, features: int, *, bits: tuple[int, int] = (8, 8)) -> str:
        (in_features,) = self.tensors[source].shape
        output = self.tensor((features,), "float32")
        weight = self._weight((features, in_features), bits[0])
        bias = self.rng.integers(-500, 500, features).astype(np.int32)
        multiplier = self.rng.uniform(1e-4, 1e-3, features).astype(np.float32)
        self.ops.append(
            Linear(
                layer=f"layer{len(self.ops)}",
                input=source,
                output=output,
                weight=weight,
                weight_bits=bits[0],
                activation_bits=bits[1],
                input_zero_point=self._zero_point(source, bits[1]),
                epilogue=Epilogue(bias=bias, multiplier=multiplier, logits=True),
            )
        )
        return output

    def requantize(self, source: str, bits: int, zero_point: int = 0) -> str:
        output = self.tensor(self.tensors[source].shape, "uint8")
        multiplier = float(np.float32(_largest(bits) / 3000))
        self.ops.append(
            Requantize(
                input=source,
                output=output,
                multiplier=multiplier,
                zero_point=zero_point,
                clip_min=0,
                clip_max=_largest(bits),
            )
        )
        return output

    def add(self, left: str, right: str) -> str:
        output = self.tensor(self.tensors[left].shape, "int16")
        self.ops.append(
            Add(
                inputs=(left, right),
                output=output,
                multipliers=(1.0, float(np.float32(0.73))),
                clip_min=WIDE_MIN,
                clip_max=WIDE_MAX,
            )
        )
        return output

    def multiply(self, left: str, right: str) -> str:
        """Multiply wide codes; the right ones may be one a channel."""
        output = self.tensor(self.tensors[left].shape, "int16")
        self.ops.append(
            Multiply(
                inputs=(left, right),
                output=output,
                input_zero_points=(0, 0),
                multiplier=float(np.float32(1 / 2000)),
                zero_point=0,
                clip_min=WIDE_MIN,
                clip_max=WIDE_MAX,
            )
        )
        return output

    def lookup(self, source: str) -> str:
        """Make wide codes of narrow ones by a table of random entries."""
        output = self.tensor(self.tensors[source].shape, "int16")
        table = self.rng.integers(-3000, 3000, 256).astype(np.int16)
        self.ops.append(Lookup(input=source, output=output, table=table))
        return output

    def max_pool(self, source: str, kernel: int, stride: int, padding: int = 0) -> str:
        output = self._pooled(source, kernel, stride, padding, self.tensors[source].dtype)
        self.ops.append(
            MaxPool2d(
                input=source,
                output=output,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=(padding, padding),
            )
        )
        return output

    def avg_pool(self, source: str, kernel: int, stride: int, bits: int, padding: int = 0) -> str:
        output = self._pooled(source, kernel, stride, padding, "uint8")
        self.ops.append(
            AvgPool2d(
                input=source,
                output=output,
                kernel=(kernel, kernel),
                stride=(stride, stride),
                padding=(padding, padding),
                multiplier=float(np.float32(_largest(bits) / (2000 * kernel * kernel))),
                zero_point=0,
                clip_min=0,
                clip_max=_largest(bits),
            )
        )
        return output

    def flatten(self, source: str) -> str:
        shape = (int(np.prod(self.tensors[source].shape)),)
        output = self.tensor(shape, self.tensors[source].dtype)
        self.ops.append(Reshape(input=source, output=output, shape=shape))
        return output

    def concat(self, *sources: str) -> str:
        first = self.tensors[sources[0]]
        channels = sum(self.tensors[name].shape[-1] for name in sources)
        output = self.tensor((*first.shape[:-1], channels), first.dtype)
        self.ops.append(Concat(inputs=sources, output=output))
        return output

    def pad(self, source: str, before: tuple[int, int], after: tuple[int, int]) -> str:
        height, width, channels = self.tensors[source].shape
        size = (height + before[0] + after[0], width + before[1] + after[1])
        output = self.tensor((*size, channels), self.tensors[source].dtype)
        self.ops.append(
            Pad2d(
                input=source,
                output=output,
                before=before,
                after=after,
                zero_point=self._zero_point(source, 8),
            )
        )
        return output

    def graph(self, output: str, name: str = "handmade") -> DeployGraph:
        return DeployGraph(
            network=name, input="x", output=output, tensors=self.tensors, ops=tuple(self.ops)
        )

    def _weight(self, shape: tuple[int, ...], bits: int) -> Any:
        largest = 2 ** (bits - 1) - 1
        return self.rng.integers(-largest, largest, shape, dtype=np.int8, endpoint=True)

    def _zero_point(self, source: str, bits: int) -> int:
        """Return the zero point that the producer of a tensor gave it."""
        for op in self.ops:
            if op.output == source:
                if isinstance(op, Conv2d):
                    return op.epilogue.zero_point
                if isinstance(op, MaxPool2d | Reshape | Pad2d):
                    return self._zero_point(op.input, bits)
                if isinstance(op, Concat):
                    return self._zero_point(op.inputs[0], bits)
                return int(op.zero_point)
        raise AssertionError(f"no producer of {source}")

    def _epilogue(
        self, weight: Any, bits: tuple[int, int], out_bits: int, wide: bool, zero_point: int
    ) -> Epilogue:
        channels, products = weight.shape[0], weight[0].size
        # Standard deviation of a sum of independent random codes, so that outputs use their range.
        spread = np.sqrt(products) * _largest(bits[1]) * 2 ** (bits[0] - 1) / 3 + 1
        target = 2000 if wide else _largest(out_bits) / 2
        multiplier = (target / spread * self.rng.uniform(0.5, 1.5, channels)).astype(np.float32)
        bias = self.rng.integers(-int(spread), int(spread) + 1, channels).astype(np.int32)
        return Epilogue(
            bias=bias,
            multiplier=multiplier,
            zero_point=0 if wide else zero_point,
            clip_min=WIDE_MIN if wide else 0,
            clip_max=WIDE_MAX if wide else _largest(out_bits),
        )

    def _pooled(self, source: str, kernel: int, stride: int, padding: int, dtype: Any) -> str:
        height, width, channels = self.tensors[source].shape
        size = [(side + 2 * padding - kernel) // stride + 1 for side in (height, width)]
        return self.tensor((*size, channels), dtype)


def zoo(seed: int = 0) -> DeployGraph:
    """Every operator: residual add, gate, stride 2, pools, concat, 1x1, groups, odd channels."""
    build = GraphBuilder(seed)
    x = build.image(3, 9, 9)
    first = build.conv(x, 13, bits=(5, 8), wide=True)
    narrow = build.requantize(first, 6)
    branch = build.conv(narrow, 13, bits=(3, 6), out_bits=7, zero_point=11)
    branch = build.conv(branch, 13, 1, bits=(7, 7), wide=True)
    wide = build.add(first, branch)
    pooled = build.max_pool(wide, 3, 2, 1)
    code = build.requantize(pooled, 4, zero_point=3)
    left = build.conv(code, 12, stride=2, bits=(2, 4), out_bits=5)
    right = build.conv(code, 7, 1, stride=2, bits=(4, 4), out_bits=5)
    joined = build.concat(left, right)
    joined = build.conv(joined, 19, bits=(6, 5), out_bits=8, groups=19)
    last = build.conv(joined, 21, bits=(8, 8), wide=True, dilation=2, padding=2)
    gate = build.conv(build.avg_pool(last, 3, 1, 8), 21, 1, bits=(4, 8))
    gated = build.multiply(last, build.lookup(gate))
    flat = build.flatten(build.avg_pool(gated, 3, 1, 5))
    return build.graph(build.linear(flat, 10, bits=(6, 5)), "zoo")


def digits_like(bits: tuple[int, ...] = (8, 8, 8, 8, 8), seed: int = 0) -> DeployGraph:
    """A plain network of the size of the digits task: 8x8 images, 16 to 64 channels."""
    build = GraphBuilder(seed)
    t = build.image(1, 8, 8, zero_point=0)
    t = build.conv(t, 16, bits=(bits[0], 8), out_bits=bits[1])
    t = build.conv(t, 32, bits=(bits[1], bits[1]), out_bits=bits[2])
    t = build.conv(t, 32, bits=(bits[2], bits[2]), out_bits=bits[3], stride=2)
    t = build.conv(t, 64, bits=(bits[3], bits[3]), wide=True)
    t = build.flatten(build.avg_pool(t, 4, 4, bits[4]))
    return build.graph(build.linear(t, 10, bits=(bits[4], bits[4])), "digits-like")
