"""Basic blocks of a kernel, and how often each is executed.

No loop of a kernel depends on its data: LLVM's analysis knows every number of turns. A block is
executed as often as the product of the turns of the loops around it:

    for tile in range(98):          the block that prepares a tile         98
        for step in range(16):      the block of a step               98 * 16

`llc` writes beside each block which loops it is in.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from hardware.errors import BuildError

_FUNCTION = re.compile(r"^(\w+):\s*(?://|#)+ @")
_BLOCK = re.compile(r"^(?:\.L(BB\d+_\d+):|(?://|#) %(bb\.\d+):)\s*(?:(?://|#) %(?P<name>\S+))?")
_HEADER = re.compile(r"=>\s*This (?:Inner )?Loop Header: Depth=(\d+)")
_PARENT = re.compile(r"Parent Loop (BB\d+_\d+) Depth=(\d+)")
_INSIDE = re.compile(r"in Loop: Header=(BB\d+_\d+) Depth=(\d+)")
_COMMENT = re.compile(r"\s*(?://|#)(?![0-9]).*$")
_OF_FUNCTION = re.compile(r"^Determining loop execution counts for: @\"?([\w.]+)")
_TURNS = re.compile(r"^Loop %(\S+): backedge-taken count is i\d+ (\d+)")

_KERNEL = "_compute_"
"""End of the name of the function that computes; the others check arguments, once."""


@dataclass(slots=True)
class Block:
    """Instructions that are executed one after another."""

    label: str
    name: str
    """LLVM's name of it before it was compiled."""
    lines: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    """Labels of the headers of the loops around it, the outermost first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedBlock:
    """A block and how often it is executed."""

    label: str
    lines: tuple[str, ...]
    count: int


def counted_blocks(assembly: str, analysis: str) -> tuple[CountedBlock, ...]:
    """Return the blocks of a kernel in their order, those without instructions left out.

    A block under a condition counts as if it were executed each time.

    Args:
        assembly: What `llc` wrote.
        analysis: What LLVM's scalar evolution says of the same kernel.

    Raises:
        BuildError: a loop's number of turns is not known.
    """
    turns = dict(_turns(analysis))
    blocks = list(_blocks(assembly))
    names = {block.label: block.name for block in blocks}

    def of_loop(label: str) -> int:
        name = names.get(label, "")
        if name not in turns:
            raise BuildError(f"LLVM does not tell how often the loop {name or label} turns")
        return turns[name]

    return tuple(
        CountedBlock(
            label=block.label,
            lines=tuple(block.lines),
            count=prod(of_loop(label) for label in block.loops),
        )
        for block in blocks
        if block.lines
    )


def _turns(analysis: str) -> Iterator[tuple[str, int]]:
    """Yield the name of each loop's header in the function that computes, and its turns."""
    wanted = False
    for line in analysis.splitlines():
        if found := _OF_FUNCTION.match(line):
            wanted = found[1].endswith(_KERNEL)
        elif wanted and (found := _TURNS.match(line)):
            yield found[1].strip('"'), int(found[2]) + 1


def _blocks(assembly: str) -> Iterator[Block]:
    """Yield the blocks of the function that computes."""
    wanted, block = False, Block("entry", "entry")
    loops_of: dict[str, list[str]] = {}
    for line in assembly.splitlines():
        if found := _FUNCTION.match(line):
            wanted = found[1].endswith(_KERNEL)
            continue
        if not wanted:
            continue
        if line.startswith(".Lfunc_end"):
            yield block
            wanted, block = False, Block("entry", "entry")
        elif found := _BLOCK.match(line):
            yield block
            block = Block(found[1] or found[2], (found["name"] or "").strip('"'))
            _note_loop(line, block, loops_of)
        elif re.match(r"^\s+[a-z]", line):
            block.lines.append(_COMMENT.sub("", line).strip())
        else:
            _note_loop(line, block, loops_of)


def _note_loop(line: str, block: Block, loops_of: dict[str, list[str]]) -> None:
    """Note what a comment says of the loops around a block."""
    if found := _PARENT.search(line):
        block.loops.append(found[1])
    elif _HEADER.search(line):
        block.loops.append(block.label)
        loops_of[block.label] = list(block.loops)
    elif found := _INSIDE.search(line):
        block.loops = list(loops_of[found[1]])
