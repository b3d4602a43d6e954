"""AVX2 nibbles: weights of four bits or fewer, two in a byte, for layers that wait for memory.

A matrix product of one vector uses every weight once, so that it takes as long as reading them.
Half the bytes are read here. A byte's two weights are looked up in a table of signed numbers
(`pshufb`), which costs instructions that the processor has to spare meanwhile.

    byte of channel c    high nibble w[c][4]    low nibble w[c][0]
    table                nibble 0 .. 7 -> 0 .. 7,   nibble 8 .. 15 -> -8 .. -1
    first pmaddubsw      codes q0 .. q3 by the low nibbles of four bytes
    second pmaddubsw     codes q4 .. q7 by the high nibbles of the same bytes

    >>> family = Avx2Nibbles(name="avx2-nibbles", depth=1)
    >>> rows = np.zeros((8, 8), np.int8)  # 8 channels, 8 codes
    >>> rows[0] = (-1, 2, 3, 4, 5, -6, 7, -7)
    >>> [f"{byte:02x}" for byte in family.weight_steps(rows)[0, :4]]
    ['5f', 'a2', '73', '94']
    >>> family.lookup_table().view(np.int8)[[0x5, 0xF]].tolist()
    [5, -1]
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import load
from hardware.kernels.families.avx2 import Avx2Bytes, pmaddubsw
from hardware.kernels.families.family import WeightDtype, broadcast_word

_NIBBLES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Avx2Nibbles(Avx2Bytes):
    """`pmaddubsw` on weights unpacked from nibbles: 64 products a step."""

    products: int = 8
    weight_dtype: WeightDtype = "uint8"

    def read_code(self, codes: Any, position: Any, lookup: Any | None) -> Any:
        """Return four codes and the next four in every lane, and the table of weights."""
        table = load(lookup, 0, _NIBBLES)
        words = [broadcast_word(codes, position + at, 4, 8) for at in (0, 4)]
        return (
            *(T.reinterpret(word, dtype="uint8x32") for word in words),
            T.call_intrin("uint8x32", "tirx.vectorcombine", table, table),
        )

    def multiply_add(self, total: Any | None, code: Any, weight: Any) -> Any:
        """Return total + the sums of four products, two sums for each channel."""
        first, second, table = code
        mask = T.broadcast(T.uint8(_NIBBLES - 1), 32)
        # x86 shifts no bytes: the neighbour's bits that come along are masked away.
        words = T.reinterpret(weight, dtype="uint16x16")
        high = T.reinterpret(T.shift_right(words, T.broadcast(T.uint16(4), 16)), dtype="uint8x32")
        low = pmaddubsw(first, _look_up(table, T.bitwise_and(weight, mask)))
        term = low + pmaddubsw(second, _look_up(table, T.bitwise_and(high, mask)))
        return term if total is None else total + term

    def weight_steps(self, rows: npt.NDArray[np.int8]) -> npt.NDArray[Any]:
        """Return the low nibbles of the first four codes' weights, the high ones of the next."""
        *outer, channels, codes = rows.shape
        split = rows.reshape(*outer, channels, codes // 8, 2, 4).view(np.uint8) & (_NIBBLES - 1)
        packed = split[..., 0, :] | (split[..., 1, :] << 4)
        return np.moveaxis(packed, -2, -3).reshape(*outer, codes // 8, channels * 4)

    def lookup_table(self) -> npt.NDArray[np.uint8]:
        """Return the signed number of each nibble, as bytes."""
        nibbles = np.arange(_NIBBLES, dtype=np.int8)
        return np.where(nibbles < 8, nibbles, nibbles - _NIBBLES).astype(np.int8).view(np.uint8)


def _look_up(table: Any, nibbles: Any) -> Any:
    name = T.llvm_lookup_intrinsic_id("llvm.x86.avx2.pshuf.b")
    return T.call_llvm_pure_intrin(name, table, nibbles, dtype="uint8x32")
