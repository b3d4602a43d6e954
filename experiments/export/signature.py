"""A bundle's signature: SHA256SUMS, signed with an SSH key by `ssh-keygen`.

`hardware.runtime.run` verifies it. The signature holds the public key, as all of OpenSSH's do, but
who verifies names the key that it must be; the private key is read by `ssh-keygen` alone.
Source: PROTOCOL.sshsig of OpenSSH 8.1.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from hardware.runtime.run import NAMESPACE, SIGNATURE, SUMS
from quant.errors import BitAllocError

_TIMEOUT_S = 120.0
"""A key in hardware waits for a touch."""


class SignatureError(BitAllocError):
    """Raised where nothing can be signed, or not with this key."""


def try_key(key: Path) -> None:
    """Sign something, so that a key that cannot is told before an hour of retraining.

    Raises:
        SignatureError: there is no ssh-keygen, or the key cannot sign.
    """
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / SUMS).touch()
        sign(Path(name), key)


def sign(folder: Path, key: Path) -> None:
    """Write SHA256SUMS.sig beside SHA256SUMS.

    Args:
        folder: The bundle, with its sums.
        key: A private key without a passphrase, or the public or private one of a key that
            ssh-agent holds.

    Raises:
        SignatureError: there is no ssh-keygen, or the key cannot sign.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SignatureError(
            "expected ssh-keygen for --sign-with, found none",
            "install OpenSSH (Debian's openssh-client), or export without a signature",
        )
    if not key.is_file():
        raise SignatureError(
            f"expected a key in --sign-with, found no file {key}",
            "ssh-keygen -t ed25519 -f KEY makes one",
        )
    command = [program, "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(folder / SUMS)]
    try:
        # Of a session of its own, it has no terminal to wait at for a passphrase.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            start_new_session=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SignatureError(f"ssh-keygen cannot sign with {key}: {error}") from None
    if done.returncode or not (folder / SIGNATURE).is_file():
        raise _refused(key, done.stderr.decode("utf-8", "replace"))


def _refused(key: Path, said: str) -> SignatureError:
    private = key.with_suffix("") if key.suffix == ".pub" else key
    if "passphrase" in said:
        return SignatureError(
            f"the key {key} of --sign-with is protected by a passphrase, which nobody is asked for",
            f"ssh-add {private} lets ssh-agent sign with it",
        )
    if "UNPROTECTED" in said:
        return SignatureError(f"others may read the key {key}", f"chmod 600 {private}")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return SignatureError(
        f"ssh-keygen cannot sign with {key}, and says: {lines[-1] if lines else 'nothing'}",
        "give a private key that ssh-keygen made, or the public one of a key in ssh-agent "
        "(ssh-add -L lists them)",
    )
