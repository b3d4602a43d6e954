"""ONNX's operators: for each, what puts it into the network."""

from collections.abc import Callable

from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.operators import (
    activations,
    arithmetic,
    layers,
    moves,
    norms,
    pooling,
    shapes,
)
from env.tasks.onnx_network.operators.plain import cast, cast_like, constant, identity
from env.tasks.onnx_network.operators.resize import resize

Handler = Callable[[Builder, OnnxNode], None]

HANDLERS: dict[str, Handler] = {
    "ArgMax": arithmetic.extreme_place,
    "ArgMin": arithmetic.extreme_place,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": norms.batch_norm,
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": activations.clip,
    "Concat": moves.concat,
    "Constant": constant,
    "ConstantOfShape": shapes.constant_of_shape,
    "Conv": layers.conv,
    "ConvTranspose": layers.conv_transpose,
    "DepthToSpace": moves.depth_to_space,
    "Einsum": arithmetic.einsum,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Gather": moves.gather,
    "Gemm": layers.gemm,
    "GlobalAveragePool": pooling.global_pool,
    "GlobalMaxPool": pooling.global_pool,
    "GroupNormalization": norms.group_norm,
    "HardSigmoid": activations.hard_sigmoid,
    "Identity": identity,
    "InstanceNormalization": norms.instance_norm,
    "LRN": norms.local_response_norm,
    "LayerNormalization": norms.layer_norm,
    "LogSoftmax": activations.softmax,
    "LpNormalization": norms.lp_normalization,
    "MatMul": layers.matmul,
    "MaxPool": pooling.max_pool,
    "Mod": arithmetic.modulo,
    "PRelu": activations.prelu,
    "Pad": moves.pad,
    "Range": shapes.constant_range,
    "Relu": activations.relu,
    "Reshape": shapes.reshape,
    "Resize": resize,
    "Selu": activations.selu,
    "Shape": shapes.shape,
    "Shrink": activations.shrink,
    "Size": shapes.size,
    "Slice": moves.cut,
    "Softmax": activations.softmax,
    "SpaceToDepth": moves.space_to_depth,
    "Split": moves.split,
    "Squeeze": shapes.squeeze,
    "Swish": activations.swish,
    "Tile": shapes.tile,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
    "Upsample": resize,
    "Where": arithmetic.where,
    **dict.fromkeys(activations.MODULES, activations.module_of),
    **dict.fromkeys(arithmetic.BINARY, arithmetic.binary),
    **dict.fromkeys(arithmetic.MANY, arithmetic.many),
    **dict.fromkeys(arithmetic.REDUCTIONS, arithmetic.reduction),
    **dict.fromkeys(arithmetic.UNARY, arithmetic.unary),
}
"""By ONNX's name of the operator."""
