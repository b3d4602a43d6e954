"""Blocks of a kernel are counted by the turns of the loops around them."""

import pytest

from hardware.errors import BuildError
from hardware.modelled.blocks import CountedBlock, counted_blocks

ANALYSIS = """
Determining loop execution counts for: @__tvm_ffi_kernel
Loop %for_body: backedge-taken count is i64 999
Determining loop execution counts for: @kernel_compute_
Loop %for_body2: backedge-taken count is i64 7
Loop %for_begin.preheader: backedge-taken count is i32 2
"""

ARM = """
__tvm_ffi_kernel:                       // @__tvm_ffi_kernel
.LBB0_1:                                // %for_body
                                        // =>This Inner Loop Header: Depth=1
\tmul\tx0, x0, x1
.Lfunc_end0:
kernel_compute_:                        // @kernel_compute_
\t.cfi_startproc
// %bb.0:                               // %entry
\tsub\tsp, sp, #80
.LBB1_1:                                // %for_begin.preheader
                                        // =>This Loop Header: Depth=1
                                        //     Child Loop BB1_2 Depth 2
\tmov\tx8, x9                          // a comment
.LBB1_2:                                // %for_body2
                                        //   Parent Loop BB1_1 Depth=1
                                        // =>  This Inner Loop Header: Depth=2
.Ltmp3:
\t.loc\t1 0 0
\tldr\tq0, [x8], #16
\tsdot\tv0.4s, v1.16b, v2.4b[0]
// %bb.3:                               // %for_end
                                        //   in Loop: Header=BB1_1 Depth=1
\tsubs\tx9, x9, #1
\tb.ne\t.LBB1_1
.LBB1_4:                                // %for_end4
\tret
.Lfunc_end1:
"""

X86 = (
    ARM.replace("//", "#")
    .replace("sub\tsp, sp, #80", "subq\t$80, %rsp")
    .replace("ldr\tq0, [x8], #16", "vmovdqu\t(%rax), %ymm0")
    .replace("sdot\tv0.4s, v1.16b, v2.4b[0]", "vpdpbusd\t%ymm1, %ymm0, %ymm2")
    .replace("subs\tx9, x9, #1", "decq\t%rcx")
)


@pytest.mark.parametrize("assembly", [ARM, X86], ids=["aarch64", "x86"])
def test_a_block_is_executed_as_often_as_the_loops_around_it_turn(assembly: str) -> None:
    blocks = counted_blocks(assembly, ANALYSIS)
    assert [block.count for block in blocks] == [1, 3, 24, 3, 1]
    assert [len(block.lines) for block in blocks] == [1, 1, 2, 2, 1]


def test_constants_are_no_comments() -> None:
    blocks = counted_blocks(ARM, ANALYSIS)
    assert blocks[2] == CountedBlock(
        label="BB1_2",
        lines=("ldr\tq0, [x8], #16", "sdot\tv0.4s, v1.16b, v2.4b[0]"),
        count=24,
    )


def test_a_loop_of_unknown_turns_is_refused() -> None:
    unknown = ANALYSIS.replace("Loop %for_body2: backedge-taken count is i64 7\n", "")
    with pytest.raises(BuildError, match="how often the loop for_body2 turns"):
        counted_blocks(ARM, unknown)
