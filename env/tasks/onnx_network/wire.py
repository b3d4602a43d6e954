"""What a protobuf file would take in memory, told from its bytes before anything is parsed.

protobuf makes an object of a hundred bytes of each empty message, which is two bytes in the file.
"""

from typing import Any

from env.tasks.onnx_network.limits import OnnxLimits

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_PACKED_BYTES = 1 << 26
"""Of numbers that take one byte in the file and eight in memory."""
_LONGEST_VARINT = 10
_FIXED_TYPES = frozenset({1, 2, 6, 7, 15, 16})
"""protobuf's numbers of double, float and the types of fixed size."""


class WireError(ValueError):
    """Raised with the reason why bytes are no such file, or too many things in one."""


def check_wire(data: bytes, message: Any, limits: OnnxLimits) -> None:
    """Refuse bytes that are no message, or of which a parser would make more than the limits.

    Args:
        data: The file.
        message: Descriptor of what the file is, as protobuf has it.
        limits: On entries and on messages in messages.

    Raises:
        WireError: saying why.
    """
    _Reader(data, limits).message(message, 0, len(data), 1)


class _Reader:
    def __init__(self, data: bytes, limits: OnnxLimits) -> None:
        self._data, self._limits = data, limits
        self._fields, self._packed = 0, 0

    def message(self, kind: Any, place: int, end: int, depth: int) -> None:
        """Walk through the fields of one message, and of those inside it."""
        if depth > self._limits.depth:
            raise WireError(
                f"it has graphs in graphs: messages are nested more than {self._limits.depth} deep"
            )
        while place < end:
            self._fields += 1
            if self._fields > self._limits.fields:
                raise WireError(f"it has more than {self._limits.fields:,} entries")
            tag, place = self._varint(place, end)
            wire = tag & 7
            if wire == _LENGTH:
                length, place = self._varint(place, end)
                if length > end - place:
                    raise WireError("its end is missing")
                self._inside(kind.fields_by_number.get(tag >> 3), place, place + length, depth)
                place += length
            elif wire == _VARINT:
                _, place = self._varint(place, end)
            elif wire in (_FIXED32, _FIXED64):
                place += 4 if wire == _FIXED32 else 8
                if place > end:
                    raise WireError("its end is missing")
            else:
                raise WireError("it is no protobuf")

    def _inside(self, field: Any, place: int, end: int, depth: int) -> None:
        if field is None:
            return
        if field.message_type is not None:
            self.message(field.message_type, place, end, depth + 1)
        elif field.type == field.TYPE_STRING:
            try:
                self._data[place:end].decode()
            except UnicodeDecodeError:
                raise WireError("a name in it is no text") from None
        elif field.type != field.TYPE_BYTES and field.type not in _FIXED_TYPES:
            self._packed += end - place
            if self._packed > _PACKED_BYTES:
                raise WireError(
                    f"its numbers of variable length are more than {_PACKED_BYTES:,} bytes; "
                    "exporters write weights as raw data"
                )

    def _varint(self, place: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(_LONGEST_VARINT):
            if place >= end:
                raise WireError("its end is missing")
            byte = self._data[place]
            place += 1
            value |= (byte & 0x7F) << (7 * shift)
            if byte < 0x80:
                return value, place
        raise WireError("it is no protobuf")
