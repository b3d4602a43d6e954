"""Our own kernels: the network at several allocations, with random weight codes."""

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from experiments.bench.allocations import random_allocations
from experiments.bench.peers.contender import Bits, Contender
from hardware.graph.agreement import fixed_input
from hardware.graph.random_codes import with_random_codes
from hardware.graph.tensor_widths import BitPair, codes_read, fixed_tensors
from hardware.kernels.planning.family_limits import family_shares
from hardware.progress import LabelledProgress
from hardware.target import TargetConfig
from hardware.tile_search.report import TileReport
from hardware.tile_search.search import search_tiles
from hardware.worker.workbench import Workbench
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph, MatMul
from quant.layers import INPUT_BITS, MAX_BITS
from quant.network import QuantizedNetwork, prepare

UNIFORM_PAIRS: tuple[BitPair, ...] = ((8, 8), (7, 8), (6, 6), (4, 4), (2, 2))


def calibrate_network(module: nn.Module, images: torch.Tensor) -> QuantizedNetwork:
    """Return a float module with quantizers calibrated on a few images."""
    network = prepare(module, images[:1])
    network.calibrate(images)
    return network


def mixed_allocation(network: QuantizedNetwork, seed: int) -> Allocation:
    """Return one random allocation: every layer's bits drawn from 2 to 8."""
    (allocation,) = random_allocations(network.layers, 1, seed)
    return allocation


def bitalloc_contenders(
    network: QuantizedNetwork, mixed: Allocation, target: TargetConfig, seed: int
) -> Iterator[Contender]:
    """Build one program for each uniform pair of bits, then one for the mixed allocation.

    Every program's logits are compared with the integer reference, to the bit, before it is
    handed out. The layer that reads the network's input has 8-bit activations in all of them.

    Raises:
        BuildError: a program cannot be built, or is wrong.
    """
    graph = _graph(network)
    for pairs, shown in _programs(graph, mixed):
        yield _contender(graph, pairs, shown, target, seed)


def tune_bitalloc(
    network: QuantizedNetwork, mixed: Allocation, target: TargetConfig, progress: LabelledProgress
) -> TileReport:
    """Choose the tiles of the layers that the contenders have; nothing else may be running.

    Args:
        network: The calibrated network.
        mixed: The last allocation.
        target: Whose instructions the kernels may use.
        progress: Called after each search.
    """
    if target.tune_s == 0:
        return TileReport(why_none="defaults, without a search")
    graph = _graph(network)
    found: dict[str, set[BitPair]] = {}
    for pairs, _ in _programs(graph, mixed):
        for layer, pair in pairs.items():
            found.setdefault(layer, set()).add(pair)
    wanted = {layer: sorted(pairs) for layer, pairs in found.items()}
    return search_tiles(graph, wanted, Workbench(target, 1), target.tune_s, progress)


def _graph(network: QuantizedNetwork) -> DeployGraph:
    network.set_allocation(Allocation.uniform(network.layers, MAX_BITS))
    return convert(network)


def _programs(
    graph: DeployGraph, mixed: Allocation
) -> Iterator[tuple[dict[str, BitPair], tuple[Bits, Bits]]]:
    """Yield the layers' bits of each program, and how they are called."""
    fixed = fixed_tensors(graph)
    for weight_bits, activation_bits in UNIFORM_PAIRS:
        pairs = {}
        for op in graph.decided_ops():
            read = [INPUT_BITS if name in fixed else activation_bits for name, _ in codes_read(op)]
            # Of a product, the right tensor's where a layer has those of its weights.
            pairs[op.layer] = (read[1] if isinstance(op, MatMul) else weight_bits, read[0])
        yield pairs, (weight_bits, activation_bits)
    pairs = {name: (bits.weight_bits, bits.activation_bits) for name, bits in mixed.items}
    yield pairs, ("mixed", "mixed")


def _contender(
    graph: DeployGraph,
    pairs: Mapping[str, BitPair],
    shown: tuple[Bits, Bits],
    target: TargetConfig,
    seed: int,
) -> Contender:
    # A workbench keeps one program: each contender gets its own, as all stay loaded together.
    bench = Workbench(target, 1)
    at_bits = with_random_codes(graph, pairs, seed)
    built = bench.build(at_bits)
    program = bench.program
    program.run(fixed_input(at_bits, 1))  # leaves the input in place
    return Contender(
        engine="bitalloc",
        weight_bits=shown[0],
        activation_bits=shown[1],
        execute=program.execute,
        families=tuple(built.families.values()),
        shares=family_shares(at_bits, target, bench.family_of),
    )
