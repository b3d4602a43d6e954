"""Steps: what a program calls a kernel for, an operator or a layer with what follows it.

A layer whose wide codes go to one addition or one requantization computes those as well, while its
sums are still in registers. Five operators of a residual block become two calls:

    operators                                step 0               step 1
    Conv2d       x    -> a (wide)            op
    Requantize   a    -> q (narrow)          requantize
    Conv2d       q    -> b (wide)                                 op
    Add          b, r -> s (wide)                                 add
    Requantize   s    -> y (narrow)                               requantize
                                    reads    x                    q, r
                                    writes   q                    y, and s where others read it

The wide tensors a and b are never stored.
"""

from dataclasses import dataclass

from quant.deploy_graph import (
    Add,
    Conv2d,
    DeployGraph,
    DeployOp,
    Linear,
    Requantize,
    read_names,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One call of a program, or a Reshape, for which nothing is called."""

    op: DeployOp
    add: Add | None = None
    """The addition of the layer's output to another wide tensor."""
    requantize: Requantize | None = None
    """What makes narrow codes of the layer's output or of the sum."""
    keeps_wide: bool = True
    """Whether the layer's output, or the sum, is needed beside the narrow codes."""

    @property
    def followers(self) -> tuple[Add | Requantize, ...]:
        """The operators that the step computes beside `op`, in order."""
        return tuple(op for op in (self.add, self.requantize) if op is not None)

    @property
    def other(self) -> str | None:
        """The tensor that is added to the layer's output."""
        if self.add is None:
            return None
        left, right = self.add.inputs
        return right if left == self.op.output else left

    @property
    def wide(self) -> str:
        """The layer's output, or the sum where there is an addition."""
        return self.op.output if self.add is None else self.add.output

    @property
    def reads(self) -> tuple[str, ...]:
        """The tensors that the step reads, in the order of its arguments."""
        own = read_names(self.op)
        return own if self.other is None else (*own, self.other)

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensors that the step writes, in the order of its arguments."""
        if self.requantize is None:
            return (self.wide,)
        return (*((self.wide,) if self.keeps_wide else ()), self.requantize.output)


def steps_of(graph: DeployGraph) -> tuple[Step, ...]:
    """Return the steps of a graph, in an order in which they can run."""
    readers: dict[str, list[DeployOp]] = {}
    for op in graph.ops:
        for name in read_names(op):
            readers.setdefault(name, []).append(op)
    written = {graph.input, *graph.zeros}
    done: set[int] = set()
    steps = []
    for op in graph.ops:
        if id(op) in done:
            continue
        step = Step(op=op)
        if isinstance(op, Conv2d | Linear) and not _is_depthwise(op):
            step = _with_followers(step, graph, readers, written)
        steps.append(step)
        written.update(step.writes)
        done.update(id(follower) for follower in step.followers)
    return tuple(steps)


def _with_followers(
    step: Step, graph: DeployGraph, readers: dict[str, list[DeployOp]], written: set[str]
) -> Step:
    """Return a layer's step with the addition and the requantization that it can compute."""
    add = requantize = None
    wide = step.op.output
    if graph.tensors[wide].dtype != "int16":
        return step
    only = readers.get(wide, [])
    if len(only) == 1 and isinstance(only[0], Add) and not _is_kept(graph, wide):
        others = [name for name in only[0].inputs if name != wide]
        # Of two layers that are added, the later one does it.
        if len(others) == 1 and others[0] in written:
            add, wide = only[0], only[0].output
    for reader in readers.get(wide, []):
        if isinstance(reader, Requantize) and graph.tensors[reader.output].dtype == "uint8":
            requantize = reader
            break
    users = [reader for reader in readers.get(wide, []) if reader is not requantize]
    return Step(
        op=step.op,
        add=add,
        requantize=requantize,
        keeps_wide=requantize is None or bool(users) or _is_kept(graph, wide),
    )


def _is_kept(graph: DeployGraph, name: str) -> bool:
    return name == graph.output or name in graph.kept


def _is_depthwise(op: Conv2d | Linear) -> bool:
    return isinstance(op, Conv2d) and op.groups > 1 and op.weight.shape[3] == 1
