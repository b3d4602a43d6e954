"""AMX's permission: Linux lends a process the tile registers when it asks, and not before.

Whether they then compute what they should is tried in a process of its own: an instruction that
this machine does not have ends that process with a signal, and not the one that measures.

    ask_for_tiles()    ""                                    this process may use them
                       "Linux does not lend its registers: Invalid argument"
    why_no_amx()       ""                                    asked, tried, and exact
                       "a test of its instructions ended with SIGILL"

The test is 47 bytes of machine code, called with four addresses; every stride is 64:

    ldtilecfg [rdi]                     16 rows of 64 bytes in each of tiles 0 to 2
    tilezero tmm0
    tileloadd tmm1, [rsi + rax]         codes, u8 16x64
    tileloadd tmm2, [rdx + rax]         weights, s8: four of each of 16 channels in a row
    tdpbusd tmm0, tmm1, tmm2
    tilestored [rcx + rax], tmm0        sums, s32 16x16
    tilerelease

This file needs Python alone, so that bundles take it along.

Source: https://docs.kernel.org/arch/x86/xstate.html
"""

import ctypes
import mmap
import os
import platform
import signal
import struct
import subprocess
import sys
from functools import cache

_ARCH_PRCTL = 158
"""Number of the system call on x86-64."""
_REQUEST = 0x1023
"""ARCH_REQ_XCOMP_PERM."""
_TILE_DATA = 18
"""The part of a thread's state that holds tiles."""
_LIMIT_S = 30.0
_CODE = bytes.fromhex(
    "c4e2784907"  # ldtilecfg [rdi]
    "b840000000"  # mov eax, 64
    "c4e27b49c0"  # tilezero tmm0
    "c4e27b4b0c06"  # tileloadd tmm1, [rsi + rax]
    "c4e27b4b1402"  # tileloadd tmm2, [rdx + rax]
    "c4e2695ec1"  # tdpbusd tmm0, tmm1, tmm2
    "c4e27a4b0401"  # tilestored [rcx + rax], tmm0
    "c4e27849c0"  # tilerelease
    "c3"
)
_ROWS, _ROW_BYTES, _PRODUCTS = 16, 64, 4
_REFUSED, _WRONG = 3, 4
"""Exit codes of the test."""
_UNASKED = "--unasked"


@cache
def ask_for_tiles() -> str:
    """Ask Linux for the tile registers; return why this process gets none, empty where it does."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"it is there on Linux and x86-64, found {platform.system()} {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    asked = [ctypes.c_long(value) for value in (_ARCH_PRCTL, _REQUEST, _TILE_DATA)]
    if libc.syscall(*asked) == 0:
        return ""
    return f"Linux does not lend its registers: {os.strerror(ctypes.get_errno())}"


@cache
def why_no_amx() -> str:
    """Return why this process cannot use AMX, empty where it can; asks for the registers."""
    return ask_for_tiles() or _try_in_a_process()


def sums_of_a_test() -> tuple[list[int], list[int]]:
    """Return what one `tdpbusd` makes of fixed codes and weights here, and what it should make.

    Both are 16x16, flat. The process ends with a signal where it has no such instruction.
    """
    codes = bytes((37 * row + 11 * at + 255) % 256 for row, at in _places())
    weights = struct.pack(
        f"{_ROWS * _ROW_BYTES}b", *((91 * row + 5 * at) % 256 - 128 for row, at in _places())
    )
    tile = struct.pack("<H", _ROW_BYTES)
    config = bytes([1, *[0] * 15]) + tile * 3 + bytes(26) + bytes([_ROWS] * 3 + [0] * 13)
    sums = ctypes.create_string_buffer(4 * _ROWS * _ROWS)
    with mmap.mmap(
        -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ) as page:
        page.write(_CODE)
        place = ctypes.c_char.from_buffer(page)
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(ctypes.addressof(place))
        buffers = [
            ctypes.create_string_buffer(data, len(data)) for data in (config, codes, weights)
        ]
        call(*(ctypes.addressof(buffer) for buffer in (*buffers, sums)))
        del call, place
    signed = struct.unpack(f"{_ROWS * _ROW_BYTES}b", weights)
    expected = [
        sum(
            codes[row * _ROW_BYTES + at]
            * signed[at // _PRODUCTS * _ROW_BYTES + channel * _PRODUCTS + at % _PRODUCTS]
            for at in range(_ROW_BYTES)
        )
        for row in range(_ROWS)
        for channel in range(_ROWS)
    ]
    return list(struct.unpack(f"<{_ROWS * _ROWS}i", sums.raw)), expected


def _places() -> list[tuple[int, int]]:
    return [(row, at) for row in range(_ROWS) for at in range(_ROW_BYTES)]


def _try_in_a_process(*, ask: bool = True) -> str:
    """Run this file as a program; return what went wrong, empty for nothing.

    Args:
        ask: Whether it asks for the registers first; without them, the CPU refuses.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", __file__, *([] if ask else [_UNASKED])],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a test of its instructions cannot be run: {error}"
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"a test of its instructions ended with {name}"
    if done.returncode == _WRONG:
        return "a test of its instructions gave wrong sums"
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"a test of its instructions failed: {''.join(last) or done.returncode}"
    return ""


def _main() -> int:
    """Ask, and compare one product of tiles with its definition."""
    if _UNASKED not in sys.argv and ask_for_tiles():
        return _REFUSED
    found, expected = sums_of_a_test()
    return 0 if found == expected else _WRONG


if __name__ == "__main__":
    sys.exit(_main())
