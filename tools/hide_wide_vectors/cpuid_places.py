"""Places of the cpuid instruction in shared libraries, for processors that cannot make it fault.

The two bytes of cpuid also occur inside other instructions. Disassembling from many starts before
such a place tells which it is: x86 code that is read from a wrong start falls into step after a few
instructions, so nearly all starts arrive at a real instruction and step over the others.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.errors import BenchError

_CPUID = b"\x0f\xa2"
_LEAST, _MOST = 16, 64
"""Bytes between a start and the place."""
_EXECUTABLE = 4
"""SHF_EXECINSTR, the flag of sections that hold code."""


def write_places(folders: Iterable[Path], file: Path) -> int:
    """Write the places of all libraries below folders as the list that replaced_cpuid.c includes.

    Args:
        folders: Where packages are installed.
        file: To be written: a line `{"library", address},` for each place.

    Returns:
        How many places there are.

    Raises:
        BenchError: capstone or pyelftools is not installed.
    """
    lines = []
    found = (path for folder in folders for path in folder.rglob("*.so*") if path.is_file())
    for library in sorted({path.resolve() for path in found}):
        quoted = str(library).replace("\\", "\\\\").replace('"', '\\"')
        lines += [f'{{"{quoted}", {address:#x}}},\n' for address in cpuid_places(library)]
    file.write_text("".join(lines), encoding="utf-8")
    return len(lines)


def cpuid_places(library: Path) -> list[int]:
    """Return the address of each cpuid instruction of an ELF file; none where it is another file.

    Raises:
        BenchError: capstone or pyelftools is not installed.
    """
    disassembler = _disassembler()
    return [
        address + place
        for address, code in _code_of(library)
        for place in _occurrences(code)
        if _is_instruction(disassembler, code, place)
    ]


def _is_instruction(disassembler: Any, code: bytes, place: int) -> bool:
    """Return whether most starts before a place arrive at it."""
    starts = range(max(0, place - _MOST), max(1, place - _LEAST))
    end = place + len(_CPUID)
    arrived = sum(
        any(at == place for at, *_ in disassembler.disasm_lite(code[start:end], start))
        for start in starts
    )
    return 2 * arrived > len(starts)


def _occurrences(code: bytes) -> Iterator[int]:
    place = code.find(_CPUID)
    while place >= 0:
        yield place
        place = code.find(_CPUID, place + 1)


def _code_of(library: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the address and the bytes of each section of code."""
    elf_file, error = _elf_reader()
    with library.open("rb") as file, suppress(error):
        elf = elf_file(file)
        if elf["e_machine"] != "EM_X86_64":
            return
        for section in elf.iter_sections():
            if section["sh_flags"] & _EXECUTABLE and section["sh_type"] == "SHT_PROGBITS":
                yield section["sh_addr"], section.data()


def _disassembler() -> Any:
    try:
        import capstone
    except ImportError as error:
        raise _missing("capstone", error) from None
    return capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)


def _elf_reader() -> tuple[Any, type[Exception]]:
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError as error:
        raise _missing("pyelftools", error) from None
    return ELFFile, ELFError


def _missing(package: str, error: ImportError) -> BenchError:
    return BenchError(
        "hiding wide vectors: this processor has no CPUID faulting, and to do without it, expected "
        f"the package {package}, found none ({error})",
        f"pip install {package}",
    )
