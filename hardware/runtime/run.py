"""Checks a bundle and runs it: python run.py INPUTS.npy [OUTPUTS.npy]; --help says the rest.

Every file is compared with SHA256SUMS before anything of the folder is imported, by Python's own
library alone. Nothing is ever looked for in the folder: what runs of it is the bytes that were
compared, so that neither files beside them nor `__pycache__` can take their place.
"""

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]  # this folder: a hashlib.py in it would be imported for Python's own

import os

HERE = os.path.dirname(os.path.realpath(__file__))
if __name__ == "__main__":  # PYTHONPATH may name it, too
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != HERE]

import argparse
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
NAMESPACE = "bitalloc-bundle"
"""What a signature is for; `ssh-keygen` refuses one that the same key made for something else."""
NEEDED = ("bundle.json", "program.so", "weights.bin")
CODE = (".py", ".pyc", ".pyd", ".pyw", ".so", ".dll", ".dylib", ".pth")
"""Files that Python or a linker would execute. Others may lie in the folder: nothing reads them."""
PACKAGES = "pip install apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.14.post0 numpy"
USER_MISTAKE, INTERRUPTED = 2, 130
_DIGITS = 64
_LONGEST_NAME = 255
_SIGN_TIMEOUT_S = 60.0


class BundleError(ValueError):
    """Raised for a folder that is no bundle or not the one that was written, and for wrong inputs.

    The message is one sentence with what helps.
    """


def check_files(folder: Path, verify_key: Path | None = None) -> dict[str, bytes]:
    """Compare every file of a bundle with its sum, and return the Python files by name.

    Args:
        folder: The bundle.
        verify_key: Public keys, as in `id_ed25519.pub`; one of them must have signed the sums.

    Raises:
        BundleError: there are no sums; a file is missing, is another one, or has none and could be
            executed; or the signature is missing or is not of these keys and sums.
    """
    try:
        if not (folder / SUMS).is_file():
            raise FileNotFoundError
        sums = (folder / SUMS).read_bytes()
        lines = sums.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BundleError(
            f"{folder} is no bundle: it has no readable {SUMS}; give the folder that "
            "python -m experiments.export wrote"
        ) from None
    if verify_key is not None:
        _check_signature(folder, sums, verify_key)
    expected = dict(_sum_and_name(line, folder / SUMS) for line in lines)
    sources = {}
    for name, digest in expected.items():
        source = _compare(folder / name, digest)
        if name.endswith(".py"):
            sources[name] = source
    if missing := sorted(set(NEEDED) - set(expected)):
        raise BundleError(
            f"{folder / SUMS} is cut off: expected {missing[0]}, found no sum of it; export the "
            "bundle again"
        )
    _refuse_code_without_sums(folder, expected)
    return sources


def _sum_and_name(line: str, file: Path) -> tuple[str, str]:
    digest, separator, name = line.partition("  ")
    inside = not name.startswith("/") and ".." not in name.split("/") and "\0" not in name
    if not separator or len(digest) != _DIGITS or not inside or not 0 < len(name) <= _LONGEST_NAME:
        raise BundleError(
            f"{file} is damaged: expected a sum and a name, found {line[:100]!r}; export the "
            "bundle again"
        )
    return name, digest


def _compare(path: Path, expected: str) -> bytes:
    """Compare a file with its sum; return what is in it where that is Python."""
    digest, kept = hashlib.sha256(), b""
    try:
        if not path.is_file():  # a pipe or a device could be read without end
            raise BundleError(f"{path} is missing; export the bundle again")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                kept += block if path.suffix == ".py" else b""
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}; copy it again") from None
    if digest.hexdigest() != expected:
        raise BundleError(f"{path} is damaged or was changed; export the bundle again")
    return kept


def _refuse_code_without_sums(folder: Path, expected: dict[str, str]) -> None:
    for place, folders, files in os.walk(folder):
        # Python makes these when another program imports from here; this one never reads them.
        folders[:] = [name for name in folders if name != "__pycache__"]
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        code = [name for name in files if name.lower().endswith(CODE)]
        for path in (Path(place) / name for name in (*links, *code)):
            if path.is_dir() or path.relative_to(folder).as_posix() not in expected:
                kind = "leads to a folder" if path.is_dir() else "could be executed"
                raise BundleError(
                    f"{path} {kind} and has no sum in {SUMS}; move it out of the bundle"
                )


def _check_signature(folder: Path, sums: bytes, verify_key: Path) -> None:
    if not (folder / SIGNATURE).is_file():
        raise BundleError(
            f"expected the signature {folder / SIGNATURE}, found none; export with --sign-with, or "
            "leave --verify-key out"
        )
    keys = _public_keys(verify_key, folder)
    with tempfile.TemporaryDirectory() as made:
        allowed = Path(made) / "allowed_signers"
        allowed.write_text("".join(f"signer {key}\n" for key in keys), encoding="utf-8")
        given = ("-n", NAMESPACE, "-s", str(folder / SIGNATURE))
        verify = ("-Y", "verify", "-f", str(allowed), "-I", "signer", *given)
        if not (why := _failed(verify, sums, folder)):
            return
        somebody_signed = not _failed(("-Y", "check-novalidate", *given), sums, folder)
    if somebody_signed:
        raise BundleError(
            f"{folder / SIGNATURE} is of another key than {verify_key}; ask who exported the "
            "bundle for theirs"
        )
    raise BundleError(
        f"{folder / SIGNATURE} does not sign this {SUMS}, but another or nothing ({why}); get the "
        "bundle again"
    )


def _public_keys(file: Path, folder: Path) -> list[str]:
    if _is_inside(file, folder):
        raise BundleError(
            f"the key {file} lies in the bundle, where it proves nothing; get it from who exported "
            "the bundle, another way"
        )
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BundleError(
            f"the key {file} cannot be read: {reason}; give a public key, such as id_ed25519.pub"
        ) from None
    kinds = ("ssh-", "ecdsa-", "sk-")
    keys = [" ".join(line[:2]) for line in lines if len(line) > 1 and line[0].startswith(kinds)]
    if not keys:
        raise BundleError(f"{file} has no public key; give one, such as id_ed25519.pub")
    return keys


def _is_inside(file: Path | str, folder: Path) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))


def _failed(arguments: Sequence[str], data: bytes, folder: Path) -> str:
    """Give data to ssh-keygen; return what it says where it refuses them, or nothing."""
    program = shutil.which("ssh-keygen")
    if program is None or _is_inside(program, folder):
        raise BundleError(
            "expected ssh-keygen to verify the signature with, found none; install OpenSSH "
            "(Debian's openssh-client)"
        )
    try:
        done = subprocess.run(
            [program, *arguments], input=data, capture_output=True, timeout=_SIGN_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BundleError(f"ssh-keygen cannot be run: {error}; try it by hand") from None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (said[0] if said else "it says nothing") if done.returncode else ""


class _Checked(importlib.abc.SourceLoader):
    """Imports the bundle's own package out of the bytes that were compared, and nothing else."""

    def __init__(self, sources: dict[str, bytes], folder: Path) -> None:
        self._sources = {str(folder / name): text for name, text in sources.items()}
        self._folder = folder

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.partition(".")[0] != "hardware" or not self._file(fullname):
            return None
        spec = importlib.util.spec_from_loader(fullname, self)
        if spec is not None and spec.submodule_search_locations is not None:
            spec.submodule_search_locations = []  # nobody else looks into the folder
        return spec

    def get_filename(self, fullname: str) -> str:
        return self._file(fullname)

    def get_data(self, path: str | bytes) -> bytes:
        return self._sources[str(path)]

    def _file(self, fullname: str) -> str:
        stem = str(self._folder / fullname.replace(".", "/"))
        files = (f"{stem}/__init__.py", f"{stem}.py")
        return next((file for file in files if file in self._sources), "")


def refuse(error: BundleError) -> int:
    """Tell a mistake of the user, and return the exit code for it."""
    print(f"error: {error}", file=sys.stderr)
    return USER_MISTAKE


def main(arguments: Sequence[str]) -> int:
    """Check a bundle, run it on inputs, and return the exit code."""
    parser = argparse.ArgumentParser(prog="run.py", description="Check a bundle and run it.")
    add = parser.add_argument
    add("inputs", nargs="?", type=Path, help="an .npy file, as README.md says; else zeros")
    add("outputs", nargs="?", type=Path, help="gets an .npy, or an .npz of several, by name")
    add("--verify-key", type=Path, metavar="PUBLIC_KEY", help="whose signature is asked for")
    add("--bundle", type=Path, default=Path(HERE), help="another than the one this file is in")
    options = parser.parse_args(arguments)
    try:
        sources = check_files(options.bundle, options.verify_key)
    except BundleError as error:
        return refuse(error)
    sys.meta_path.insert(0, _Checked(sources, options.bundle))
    try:
        from hardware.runtime.answer import answer
    except ImportError as error:
        return refuse(BundleError(f"expected numpy and tvm, found: {error}; {PACKAGES}"))
    return answer(options.bundle, options.inputs, options.outputs)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
