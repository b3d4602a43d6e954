"""A candidate whose library has an illegal instruction that runs when the board loads it."""

from pathlib import Path
from typing import Any

from tvm.support import cc

import hardware.worker.rpc.workbench

_ILLEGAL = """\
    .text
bitalloc_illegal:
    ud2
    .section .init_array,"aw"
    .p2align 3
    .quad bitalloc_illegal
    .section .note.GNU-stack,"",%progbits
"""


workbench: Any = hardware.worker.rpc.workbench


def break_next_library() -> str:
    """Runs in the worker: the next library that is linked there has the instruction."""
    ordinary = workbench.link_program

    def link_program(*arguments: Any, **options: Any) -> None:
        workbench.link_program = ordinary

        def link(library: str, files: list[str]) -> None:
            source = Path(library).with_name("illegal.s")
            source.write_text(_ILLEGAL)
            cc.create_shared(library, [*files, str(source)])

        ordinary(*arguments, **{**options, "link": link})

    workbench.link_program = link_program
    return "crashing"


class OnArrival:
    """Calls the function above where it is unpickled, and is its result."""

    def __reduce__(self) -> Any:
        return break_next_library, ()
