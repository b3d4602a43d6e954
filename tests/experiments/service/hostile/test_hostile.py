"""Requests that nobody sends by mistake."""

import io
import json
import socket
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.service.errors import NoTokenError, QuotaError
from experiments.service.store.database import ServiceStoreError
from experiments.service.store.tokens import Role, Tokens
from experiments.service.web.caller import Gate
from tests.experiments.service.here import FOR_A_BOARD, Here

_ARRAYS: dict[str, Any] = {
    "train_inputs": np.zeros((4, 1, 8, 8), np.float32),
    "train_labels": np.arange(4),
    "test_inputs": np.zeros((2, 1, 8, 8), np.float32),
    "test_labels": np.arange(2),
}


def _npz(**arrays: Any) -> bytes:
    made = io.BytesIO()
    np.savez_compressed(made, **arrays)
    return made.getvalue()


def _raw(here: Here, request: bytes, wait_s: float = 30.0) -> bytes:
    """Send bytes as they are, and return what comes back until the connection ends."""
    port = int(here.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), wait_s) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
            if b"\r\n\r\n" in received and b"content-length" not in received.lower():
                break
    return received


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs",
        "/v1/jobs/x",
        "/v1/jobs/x/events",
        "/v1/jobs/x/artifacts/../../service.sqlite",
        "/v1/boards",
        "/v1/version",
        "/v1/openapi.json",
        "/metrics",
        "/readyz",
    ],
)
@pytest.mark.parametrize("token", ["", "bitalloc_guess", "x" * 4000, "\x80"])
def test_nothing_but_healthz_opens_without_a_token(here: Here, path: str, token: str) -> None:
    headers = {"Authorization": b"Bearer " + token.encode("latin-1")} if token else {}
    answer = here.ask("GET", path, "", headers=headers)
    assert answer.status_code in (401, 429)
    assert "sqlite" not in answer.text


def test_guessing_is_answered_a_few_times_and_then_no_more(here: Here) -> None:
    gate = Gate(here.service.tokens)
    refusals = []
    for number in range(30):
        with pytest.raises((NoTokenError, QuotaError)) as refusal:
            gate.check(f"bitalloc_{number}", "10.0.0.1")
        refusals.append(refusal.type)
    assert refusals == [NoTokenError] * 20 + [QuotaError] * 10
    assert gate.check(here.operator, "10.0.0.1").name == "olga"
    with pytest.raises(NoTokenError):
        gate.check("bitalloc_other", "10.0.0.2")


def test_a_token_ends_by_its_time_and_by_being_revoked(here: Here) -> None:
    tokens: Tokens = here.service.tokens
    short = tokens.create("short", Role.USER, days=1e-6)
    time.sleep(0.2)
    assert tokens.check(short) is None
    gone = tokens.create("gone", Role.USER)
    assert here.ask("GET", "/v1/jobs", gone).status_code == 200
    tokens.revoke("gone")
    assert here.ask("GET", "/v1/jobs", gone).status_code in (401, 429)
    stored = b"".join(file.read_bytes() for file in here.service.folder.path.glob("*.sqlite*"))
    for token in (gone, here.user, here.operator):
        assert token.encode() not in stored


@pytest.mark.parametrize(
    "name",
    [
        "../../service.sqlite",
        "..%2f..%2fservice.sqlite",
        "%2e%2e/%2e%2e/service.sqlite",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "keeper.lock",
        "order.json",
        "x%00y",
    ],
)
def test_no_name_leads_out_of_a_jobs_files(here: Here, name: str) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="kept-in")
    folder = here.service.folder.job("kept-in")
    folder.path.mkdir(exist_ok=True)
    (folder.path / "order.json").write_text("{}")
    (folder.path / "out.txt").symlink_to("/etc/passwd") if not (
        folder.path / "out.txt"
    ).is_symlink() else None
    request = f"GET /v1/jobs/kept-in/artifacts/{name} HTTP/1.1\r\nHost: x\r\n"
    request += f"Authorization: Bearer {here.user}\r\nConnection: close\r\n\r\n"
    answer = _raw(here, request.encode())
    assert b"404 Not Found" in answer.splitlines()[0]
    assert b"root:" not in answer
    assert here.ask("GET", "/v1/jobs/kept-in/artifacts").json() == {"artifacts": []}
    here.ask("POST", "/v1/jobs/kept-in/cancel")


@pytest.mark.parametrize("id", ["../x", "a/b", "A", "", "x" * 65, "a\n", ".", "-a", "é"])
def test_an_id_is_the_name_of_a_folder_and_nothing_else(here: Here, id: str) -> None:
    request = {"kind": "search", "id": id, "settings": dict(FOR_A_BOARD)}
    assert here.ask("POST", "/v1/jobs", json=request).status_code == 422


def test_a_body_has_its_limit_announced_or_not(here: Here) -> None:
    large = b"[" + b" " * (2 << 20)
    assert here.ask("POST", "/v1/jobs", content=large).status_code == 413
    pieces = (b" " * 65536 for _ in range(64))
    assert here.ask("POST", "/v1/jobs", content=pieces).status_code == 413
    assert here.ask("POST", "/v1/data", content=bytes(2 << 20)).status_code == 413
    assert not list(here.service.folder.uploads("data").iterdir())


def test_a_huge_header_is_refused(here: Here) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"
    assert b" 400 " in _raw(here, request).splitlines()[0]


def test_headers_and_bodies_that_do_not_come_end_the_connection(here: Here) -> None:
    assert _raw(here, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: a") == b""
    after_one = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nX"
    port = int(here.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(after_one)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
    assert received.count(b"200 OK") == 1
    head = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {here.user}\r\nContent-Length: 100\r\n\r\n{{"
    assert b" 408 " in _raw(here, head.encode()).splitlines()[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{" * 5000,
        b"[" * 100_000,
        b'{"kind": "search", "settings": {"evaluations": NaN}}',
        b'{"kind": "search", "settings": {"evaluations": 1e999}}',
        b'{"kind": "search", "settings": {"\\ud800": 1}}',
        b'{"kind": "search", "settings": {"task.data": "\\ud800"}}',
        b'{"kind": "search", "settings": {"task.network": "\\u0000"}}',
        b'{"kind": "search", "settings": {"seed": 100000000000000000000000000000}}',
        b'{"kind": "search", "priority": true}',
        b'{"kind": "search", "wall_s": 1e400}',
        b'{"kind": "measure", "allocation": {"schema": 1, "layers": []}}',
        b'{"kind": "measure", "allocation": {"x": NaN}}',
        json.dumps({"kind": "search", "settings": {"a": {"b": {}}}}).encode(),
    ],
)
def test_a_body_of_any_kind_is_refused_in_a_sentence(here: Here, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = here.ask("POST", "/v1/jobs", content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["detail"]


def test_deep_settings_are_refused(here: Here) -> None:
    body = b'{"kind": "search", "settings": {"task": ' + b'{"a":' * 700 + b"1" + b"}" * 702
    headers = {"Content-Type": "application/json"}
    answer = here.ask("POST", "/v1/jobs", content=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


def test_data_are_taken_once_and_named_by_their_digest(here: Here) -> None:
    content = _npz(**_ARRAYS)
    first = here.ask("POST", "/v1/data", content=content)
    again = here.ask("POST", "/v1/data", content=content)
    assert first.status_code == again.status_code == 201
    assert first.json()["name"] == again.json()["name"]
    files = list(here.service.folder.uploads("data").iterdir())
    assert [f"sha256:{file.stem}" for file in files] == [first.json()["name"]]
    assert files[0].read_bytes() == content


def _bomb() -> bytes:
    """Return a file of kilobytes whose one array has gigabytes."""
    made = io.BytesIO()
    header = io.BytesIO()
    form = {"descr": "<f4", "fortran_order": False, "shape": (1 << 28, 8)}
    np.lib.format.write_array_header_1_0(header, form)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in _ARRAYS:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(header.getvalue())
                for _ in range(64):
                    file.write(bytes(1 << 20))
    return made.getvalue()


def _with_member(name: str, content: bytes) -> bytes:
    made = io.BytesIO(_npz(**_ARRAYS))
    with warnings.catch_warnings(), zipfile.ZipFile(made, "a") as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        archive.writestr(name, content)
    return made.getvalue()


def _large() -> bytes:
    """Return arrays that are zeros and nothing else, 64 times as large as their file may be."""
    return _npz(**{**_ARRAYS, "train_inputs": np.zeros((1 << 16, 256), np.float32)})


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"PK\x03\x04" + bytes(100),
        _npz(**{**_ARRAYS, "test_labels": np.array([object()])}),
        _npz(a=np.zeros(3)),
        _npz(train_inputs=np.zeros(3)),
        _with_member("../../evil.npy", b""),
        _with_member("evil.py", b"import os"),
        _with_member("train_inputs.npy", b"\x93NUMPY\x01\x00\xff\xff{}"),
        _bomb(),
        _large(),
    ],
    ids=["text", "torn", "objects", "names", "half", "path", "program", "twice", "bomb", "large"],
)
def test_files_that_are_no_data_are_refused(here: Here, content: bytes) -> None:
    before = sorted(here.service.folder.uploads("data").iterdir())
    answer = here.ask("POST", "/v1/data", content=content)
    assert answer.status_code == 422, answer.text
    assert str(here.service.folder.path) not in answer.text
    assert sorted(here.service.folder.uploads("data").iterdir()) == before


@pytest.mark.parametrize(
    "content", [b"x", bytes(8), b"\xff" * 8 + b"{}", b"\x02" + bytes(7) + b"{}"]
)
def test_files_that_are_no_safetensors_are_refused(here: Here, content: bytes) -> None:
    answer = here.ask("POST", "/v1/data?format=safetensors", content=content)
    assert answer.status_code == 422, answer.text


def test_a_disk_that_takes_no_more_is_the_services_fault(here: Here) -> None:
    place = here.service.folder.uploads("networks")
    kept = place.rename(place.with_name("kept"))
    place.write_text("no folder")
    try:
        answer = here.ask("POST", "/v1/networks", content=b"any bytes")
    finally:
        place.unlink()
        kept.rename(place)
    assert (answer.status_code, answer.json()["fault"]) == (507, "service")
    assert str(place) not in answer.text


def test_a_store_that_cannot_be_written_is_the_services_fault(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise ServiceStoreError("cannot write the store: database or disk is full")

    monkeypatch.setattr(here.service.database, "writing", full)
    request = {"kind": "search", "settings": dict(FOR_A_BOARD)}
    answer = here.ask("POST", "/v1/jobs", json=request)
    assert (answer.status_code, answer.json()["fault"]) == (503, "service")
    assert "disk is full" in answer.json()["detail"]


def test_an_upload_that_nobody_names_goes(here: Here, tmp_path: Path) -> None:
    name = here.ask("POST", "/v1/networks", content=b"any bytes").json()["name"]
    file = here.service.folder.uploads("networks") / f"{name.removeprefix('sha256:')}.onnx"
    here.service.sweep()
    assert file.exists()
    with here.service.database.writing() as connection:
        connection.execute("UPDATE uploads SET used_s = 0 WHERE kind = 'networks'")
    here.service.sweep()
    assert not file.exists()
    settings = {"task.model": name}
    answer = here.ask("POST", "/v1/jobs", json={"kind": "search", "settings": settings})
    assert answer.status_code == 422
    assert "no upload" in answer.json()["detail"]
