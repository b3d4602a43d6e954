"""An address where no Ray cluster answers is one sentence, and soon."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import run as run_module
from experiments.cluster import reach
from experiments.cluster.ray_extra import AUTO, check_named, connect, import_ray, on_loopback
from experiments.cluster.reach import is_address, why_closed
from experiments.errors import ConfigError
from experiments.terminal.exit_codes import USER_MISTAKE

_HERE = "127.0.0.1"


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have Ray take 127.0.0.1 for that, and not for what others reach this machine by."""
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with on_loopback(import_ray()):
        yield


@pytest.fixture
def listener() -> Iterator[str]:
    """Return the address of somebody who takes connections, and says nothing."""
    with socket.create_server((_HERE, 0)) as server:
        yield f"{_HERE}:{server.getsockname()[1]}"


@pytest.fixture
def free() -> str:
    """Return an address where nobody listens."""
    with socket.create_server((_HERE, 0)) as server:
        return f"{_HERE}:{server.getsockname()[1]}"


def test_a_run_ends_before_it_begins_where_nobody_listens(
    loopback: None, free: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "runs"
    assert run_module.main(["--train.ray", free, "--output", str(output)]) == USER_MISTAKE
    said = capsys.readouterr().err
    assert f"expected a Ray cluster at {free}; none answers there: nobody listens there" in said
    assert "--train.ray auto" in said
    assert not output.exists(), "nothing was trained or written for it"


def test_somebody_who_is_not_ray_is_given_up(
    loopback: None, listener: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_JOIN_S", 2.0)
    check_named(listener)
    with pytest.raises(ConfigError, match="did not answer as Ray does within 2 s") as raised:
        connect(listener, 1)
    assert listener in raised.value.message
    assert not import_ray().is_initialized()


def test_a_name_that_nobody_has_is_said() -> None:
    assert "no machine of the name nobody.invalid is known" in why_closed("nobody.invalid:6379")


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_what_can_be_no_name_is_said(host: str) -> None:
    assert why_closed(f"{host}:6379") == f"{host} is no name of a machine"


def test_a_cluster_that_the_variable_names_is_not_replaced_by_another(
    loopback: None, free: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", free)
    with pytest.raises(ConfigError, match="nobody listens"):
        check_named(AUTO)
    with pytest.raises(ConfigError, match="nobody listens"):
        connect(AUTO, 1)
    monkeypatch.setenv("RAY_ADDRESS", "ray://there:10001")
    with pytest.raises(ConfigError, match=r"RAY_ADDRESS: expected auto, or HOST:PORT .*'ray://"):
        check_named(AUTO)
    monkeypatch.setenv("RAY_ADDRESS", "local")
    check_named(AUTO)


@pytest.mark.parametrize(
    "address", ["somewhere", "here:0", "here:70000", "ray://here:10001", "::1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    pytest.importorskip("ray")
    assert not is_address(address)
    with pytest.raises(ConfigError, match=r"expected auto, or HOST:PORT .* found"):
        check_named(address)


def test_addresses_are_of_names_and_of_numbers() -> None:
    assert all(map(is_address, ("head:6379", "10.0.0.7:6379", "head.example.org:1", "[::1]:6379")))
