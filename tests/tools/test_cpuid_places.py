"""Finding cpuid in code that a compiler made."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.errors import BenchError
from tools.hide_wide_vectors.cpuid_places import cpuid_places, write_places

_SOURCE = """
int asked(int leaf) {
  int a = leaf, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return a + b + c + d;
}
/* Constants with the two bytes of cpuid inside. */
int constant(int x) { return x * 0x11a20f11 + 0x00a20f00; }
long other(long x) { return (x ^ 0x11a20f1111a20f11) + (x >> 3) * 0x0ba20f; }
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    if sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which("cc") is None:
        pytest.skip("cpuid is x86's, and the library needs a C compiler")
    source, made = tmp_path / "one.c", tmp_path / "one.so"
    source.write_text(_SOURCE)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", str(source), "-o", str(made)], check=True)
    assert made.read_bytes().count(b"\x0f\xa2") > 1
    return made


def test_only_instructions_are_found_and_not_the_bytes_of_constants(library: Path) -> None:
    (place,) = cpuid_places(library)
    listing = subprocess.run(
        ["objdump", "-d", str(library)], capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line for line in listing.splitlines() if line.rstrip().endswith("cpuid")]
    assert int(line.split(":")[0], 16) == place


def test_the_list_names_each_library_once_and_passes_over_other_files(
    library: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.so.1").symlink_to(library)
    (tmp_path / "text.so").write_text("INPUT(one.so)")
    file = tmp_path / "places.inc"
    assert write_places([tmp_path], file) == 1
    assert file.read_text() == f'{{"{library}", {cpuid_places(library)[0]:#x}}},\n'


def test_a_missing_package_is_named(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(BenchError, match="expected the package capstone"):
        cpuid_places(library)
