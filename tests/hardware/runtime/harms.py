"""What may happen to a bundle's files, for the fuzz: by accident, or by somebody's hand."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from hardware.worker.write_bundle import write_sums
from tests.fuzz.harms import MARK, Described, content, flip, link, read

INPUTS = "x.npy"
"""What the bundle is asked, in the same parent."""
FILES = (
    *("SHA256SUMS", "bundle.json", "program.so", "weights.bin", "run.py", "hardware/__init__.py"),
    *(f"hardware/runtime/{name}.py" for name in ("__init__", "amx", "answer", "constants")),
    *(f"hardware/runtime/{name}.py" for name in ("document", "linked", "loader", "returned")),
    "hardware/runtime/run.py",
)
STRAY = (
    *("numpy.py", "numpy/__init__.py", "hashlib.py", "argparse.py", "os.py", "tvm/__init__.py"),
    *("json.pyc", "sitecustomize.py", "hardware.py", "hardware/runtime/evil.py", "subprocess.py"),
    *("hardware/numpy.py", "tvm_ffi.so", "a/b/c.PY", "importlib/abc.py", "pathlib.py"),
)
DATA = ("x.npy", "OUTPUTS.npy", "notes.txt", "SHA256SUMS.sig", "data/images.npz", "README.txt")
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 9, 255, 2**31 - 1, 2**31, 2**63, -(2**63), 10**400, 1.5),
    *(
        1e308,
        float("inf"),
        float("nan"),
        "",
        "int8",
        "raw",
        "bits",
        "winograd",
        "float32",
        "é" * 70,
    ),
    *("x" * 1000, "\0", [], [[]], [1], [2**31], [-1], {}, {"a": 1}, [0] * 1000, ["a"] * 3),
)


def _evil(bundle: Path) -> str:
    return f"open({str(bundle.parent / MARK)!r}, 'w').close()\n"


def _stray(name: str) -> Described:
    def work(bundle: Path) -> None:
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_text(_evil(bundle))

    return Described("stray", name, work=work)


def _data(name: str, content: bytes) -> Described:
    def work(bundle: Path) -> None:
        (bundle / name).parent.mkdir(exist_ok=True)
        (bundle / name).write_bytes(content)

    return Described("data", name, work=work)


def _stale(name: str) -> Described:
    """Bytecode that Python takes for that of a file, by its size and time."""

    def work(bundle: Path) -> None:
        source = bundle / name
        cache = Path(importlib.util.cache_from_source(str(source)))
        cache.parent.mkdir(exist_ok=True)
        code = compile(_evil(bundle), str(source), "exec")
        stat = source.stat()
        from importlib._bootstrap_external import _code_to_timestamp_pyc  # type: ignore

        cache.write_bytes(_code_to_timestamp_pyc(code, int(stat.st_mtime), stat.st_size))

    return Described("stale", name, work=work)


def _linked_folder(name: str) -> Described:
    def work(bundle: Path) -> None:
        shutil.move(bundle / name, bundle.parent / "moved")
        (bundle / name).symlink_to(bundle.parent / "moved")

    return Described("linked folder", name, work=work)


def _sums(edit: str, place: int) -> Described:
    def work(bundle: Path) -> None:
        file = bundle / "SHA256SUMS"
        lines = read(file).decode("utf-8").splitlines() or [""]  # another harm has emptied it
        at = place % len(lines)
        digest, _, name = lines[at].partition("  ")
        edited = {
            "drop": [],
            "twice": [lines[at], lines[at]],
            "another": [f"{digest[::-1]}  {name}"],
            "outside": [lines[at], f"{digest}  ../{name}"],
            "absolute": [lines[at], f"{digest}  /etc/hostname"],
            "unknown": [lines[at], f"{digest}  new/{name}"],
            "empty": [lines[at], ""],
            "long": [lines[at], f"{digest}  {'n' * 5000}"],
        }[edit]
        file.write_text("\n".join([*lines[:at], *edited, *lines[at + 1 :]]) + "\n")

    return Described("sums", edit, place, work=work)


def _json(place: int, value: Any, *, remove: bool) -> Described:
    """Replace or remove one value of bundle.json, and write the sums anew."""

    def work(bundle: Path) -> None:
        file = bundle / "bundle.json"
        document = json.loads(read(file))
        places = list(_places(document))
        if places:
            holder, key = places[place % len(places)]
            if remove:
                del holder[key]
            else:
                holder[key] = value
        file.write_text(json.dumps(document))
        write_sums(bundle)

    shown = "removed" if remove else repr(value)[:40]
    return Described("json", place, shown, work=work)


def _places(value: Any) -> Any:
    entries: list[Any] = []
    if isinstance(value, dict):
        entries = list(value.items())
    elif isinstance(value, list):
        entries = list(enumerate(value))
    for key, inside in entries:
        yield value, key
        yield from _places(inside)


def _summed(name: str, change: Callable[[bytes], bytes], *facts: object) -> Described:
    """Change a file that holds data, and write the sums anew."""

    def work(bundle: Path) -> None:
        file = bundle / name
        file.write_bytes(change(read(file)))
        write_sums(bundle)

    return Described("summed", name, *facts, work=work)


def _inputs(change: Callable[[bytes], bytes], *facts: object) -> Described:
    def work(bundle: Path) -> None:
        file = bundle.parent / INPUTS
        file.write_bytes(change(file.read_bytes()))

    return Described("inputs", *facts, work=work)


_SHARES, _BITS = st.floats(0, 1), st.integers(0, 7)
_DATA_FILES = st.sampled_from(("bundle.json", "weights.bin"))
HARMS: st.SearchStrategy[Described] = st.one_of(
    st.builds(
        lambda name, share, bit: content(name, lambda d: flip(d, share, bit), "flip", share, bit),
        *(st.sampled_from(FILES), _SHARES, _BITS),
    ),
    st.builds(
        lambda name, share: content(name, lambda d: d[: int(share * len(d))], "cut", share),
        *(st.sampled_from(FILES), st.floats(0, 0.999)),
    ),
    st.builds(
        lambda name, more: content(name, lambda d: d + more, "longer", more),
        *(st.sampled_from(FILES), st.binary(min_size=1, max_size=9)),
    ),
    st.builds(
        lambda name: Described("gone", name, work=lambda b: (b / name).unlink()),
        st.sampled_from(FILES),
    ),
    st.builds(_stray, st.sampled_from(STRAY)),
    st.builds(_data, st.sampled_from(DATA), st.binary(max_size=50)),
    st.builds(_stale, st.sampled_from([name for name in FILES if name.startswith("hardware")])),
    st.builds(
        link,
        st.sampled_from(FILES),
        st.sampled_from(("same", "another", "nowhere", "itself", "device", "pipe", "folder")),
    ),
    st.builds(_linked_folder, st.sampled_from(("hardware", "hardware/runtime"))),
    st.builds(
        _sums,
        st.sampled_from(
            ("drop", "twice", "another", "outside", "absolute", "unknown", "empty", "long")
        ),
        st.integers(0, 99),
    ),
    st.builds(_json, st.integers(0, 999), st.sampled_from(VALUES), remove=st.just(False)),
    st.builds(_json, st.integers(0, 999), st.sampled_from(VALUES), remove=st.just(False)),
    st.builds(_json, st.integers(0, 999), st.none(), remove=st.just(True)),
    st.builds(
        lambda name, share, bit: _summed(name, lambda d: flip(d, share, bit), "flip", share, bit),
        *(_DATA_FILES, _SHARES, _BITS),
    ),
    st.builds(
        lambda name, share: _summed(name, lambda d: d[: int(share * len(d))], "cut", share),
        *(_DATA_FILES, _SHARES),
    ),
    st.builds(
        lambda share, bit: _inputs(lambda data: flip(data, share, bit), "flip", share, bit),
        *(st.floats(0, 0.2), _BITS),  # the header is the first fifth
    ),
    st.builds(lambda share: _inputs(lambda d: d[: int(share * len(d))], "cut", share), _SHARES),
)
