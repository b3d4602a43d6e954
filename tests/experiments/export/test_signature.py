"""A bundle's signature: made by the export's key, verified by whoever has its public one."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.export import command
from experiments.export.card import _SIGNED
from experiments.export.signature import SignatureError, sign, try_key
from experiments.terminal.exit_codes import USER_MISTAKE
from hardware.runtime.run import NAMESPACE, BundleError, check_files
from hardware.worker.write_bundle import write_sums

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")

SECRET = "not for everybody"
AGENT = ("SSH_AUTH_SOCK", "SSH_AGENT_PID")


@pytest.fixture(autouse=True)
def _no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AGENT[0], raising=False)


def new_key(file: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "me", "-f", str(file)]
    subprocess.run(command, check=True)
    return file


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "key")


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Files that are a bundle as far as sums and signatures go."""
    folder = tmp_path / "bundle"
    (folder / "hardware").mkdir(parents=True)
    for name in ("bundle.json", "program.so", "weights.bin", "run.py", "hardware/__init__.py"):
        (folder / name).write_text(name)
    write_sums(folder)
    return folder


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An agent of the test's own, in its environment."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    for name in AGENT:
        monkeypatch.setenv(name, said.partition(f"{name}=")[2].partition(";")[0])
    yield
    subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_owner_of_a_key_is_recognized(kind: str, bundle: Path, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key", kind=kind)
    try_key(key)
    sign(bundle, key)
    assert set(check_files(bundle, public(key))) == {"run.py", "hardware/__init__.py"}
    several = tmp_path / "keys.pub"
    other = new_key(tmp_path / "other")
    several.write_text(f"# ours\n{public(other).read_text()}{public(key).read_text()}")
    check_files(bundle, several)
    check_files(bundle)  # without asking for a signature


def test_no_private_key_travels(bundle: Path, key: Path) -> None:
    sign(bundle, key)
    secret = key.read_text().splitlines()[1:-1]
    for file in bundle.rglob("*"):
        if file.is_file():
            assert not [line for line in secret if line in file.read_text()]
    added = {file.name for file in bundle.iterdir()} - {"bundle.json", "program.so", "weights.bin"}
    assert added == {"run.py", "hardware", "SHA256SUMS", "SHA256SUMS.sig"}


def test_what_is_not_signed_by_the_key_is_told_apart(
    bundle: Path, key: Path, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match=r"expected the signature .*SHA256SUMS\.sig, found none"):
        check_files(bundle, public(key))
    sign(bundle, key)
    other = new_key(tmp_path / "other")
    with pytest.raises(BundleError, match=r"is of another key than .*other\.pub"):
        check_files(bundle, public(other))
    signature = (bundle / "SHA256SUMS.sig").read_text()

    (bundle / "run.py").write_text("changed")
    with pytest.raises(BundleError, match=r"run\.py is damaged or was changed"):
        check_files(bundle, public(key))
    write_sums(bundle)  # as an attacker would
    check_files(bundle)
    with pytest.raises(BundleError, match="does not sign this SHA256SUMS, but another or nothing"):
        check_files(bundle, public(key))
    for damaged in (signature[:100], "", signature.replace("A", "B", 1), "\0" * 300):
        (bundle / "SHA256SUMS.sig").write_text(damaged)
        with pytest.raises(BundleError, match="does not sign this SHA256SUMS"):
            check_files(bundle, public(key))


def test_a_signature_for_something_else_is_none(bundle: Path, key: Path) -> None:
    made = ["ssh-keygen", "-Y", "sign", "-n", f"not-{NAMESPACE}", "-f", str(key)]
    subprocess.run([*made, str(bundle / "SHA256SUMS")], check=True, capture_output=True)
    with pytest.raises(BundleError, match="does not sign this SHA256SUMS"):
        check_files(bundle, public(key))


def test_the_cards_commands_verify_it_before_anything_is_started(bundle: Path, key: Path) -> None:
    (_, commands) = re.findall(r"```bash\n(.*?)```", _SIGNED, re.DOTALL)
    sign(bundle, key)
    typed = f"set -e\n{commands}".replace("KEY.pub", str(public(key)))

    def code() -> int:
        return subprocess.run(["bash", "-c", typed], cwd=bundle, capture_output=True).returncode

    assert code() == 0
    (bundle / "weights.bin").write_text("changed")
    assert code() != 0
    write_sums(bundle)
    assert code() != 0


def test_what_is_no_public_key_is_told(bundle: Path, key: Path, tmp_path: Path) -> None:
    sign(bundle, key)
    (tmp_path / "text").write_text('signer namespaces="x" ssh-ed25519 AAAA')
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    shutil.copy(public(key), bundle / "key.pub")
    for file, said in [
        (key, "has no public key"),
        (tmp_path / "text", "has no public key"),
        (tmp_path / "bytes", "cannot be read: it is no text"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (bundle / "key.pub", "lies in the bundle, where it proves nothing"),
    ]:
        with pytest.raises(BundleError, match=said):
            check_files(bundle, file)


def test_keys_that_cannot_sign_are_told_with_what_helps(tmp_path: Path, key: Path) -> None:
    locked = new_key(tmp_path / "locked", passphrase=SECRET)
    alone = new_key(tmp_path / "alone")
    alone.unlink()
    (tmp_path / "text").write_text("hello")
    shutil.copy(key, tmp_path / "open")
    (tmp_path / "open").chmod(0o644)
    for file, said, hint in [
        (locked, "is protected by a passphrase", f"ssh-add {locked} lets"),
        (public(alone), "No private key found", "the public one of a key in ssh-agent"),
        (tmp_path / "text", "ssh-keygen cannot sign with", "give a private key"),
        (tmp_path / "open", "others may read the key", "chmod 600"),
        (tmp_path / "none", "found no file", "ssh-keygen -t ed25519"),
    ]:
        with pytest.raises(SignatureError, match=said) as caught:
            try_key(file)
        assert "\n" not in caught.value.message
        assert hint in str(caught.value.hint)


@pytest.mark.usefixtures("agent")
def test_an_agent_signs_with_a_key_of_which_only_the_public_one_is_here(
    bundle: Path, tmp_path: Path
) -> None:
    locked = new_key(tmp_path / "locked", passphrase=SECRET)
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho '{SECRET}'\n")
    ask.chmod(0o700)
    environment = {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", str(locked)], check=True, env=environment)
    sign(bundle, locked)
    check_files(bundle, public(locked))
    (bundle / "SHA256SUMS.sig").unlink()
    locked.unlink()
    sign(bundle, public(locked))
    check_files(bundle, public(locked))


def test_without_openssh_it_is_said(
    bundle: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(bundle, key)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SignatureError, match="expected ssh-keygen for --sign-with, found none"):
        try_key(key)
    said = "expected ssh-keygen to verify the signature with, found none"
    with pytest.raises(BundleError, match=said):
        check_files(bundle, public(key))
    (bundle / "ssh-keygen").write_text("#!/bin/sh\nexit 0\n")  # one that calls everything good
    (bundle / "ssh-keygen").chmod(0o700)
    monkeypatch.setenv("PATH", str(bundle))
    with pytest.raises(BundleError, match=said):
        check_files(bundle, public(key))


def test_a_key_that_cannot_sign_is_told_before_anything_is_retrained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    locked = new_key(tmp_path / "locked", passphrase=SECRET)
    monkeypatch.setattr(command, "open_run", lambda *_, **__: (None, None))
    flags = ["--output", str(tmp_path / "b"), "--sign-with", str(locked), "--quiet"]
    assert command.main([str(tmp_path), *flags]) == USER_MISTAKE
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["error", "hint"]
    assert "protected by a passphrase" in said[0]
