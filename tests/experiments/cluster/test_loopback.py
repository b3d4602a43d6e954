"""A cluster that a run starts for itself: who can reach it."""

import psutil
import pytest

from experiments.cluster.ray_extra import AUTO, connect


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_that_is_started_here_listens_on_this_machine_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = connect(AUTO, 1)
    try:
        assert ray.cluster_resources()["CPU"] == 1
        listening = [
            (process.name(), place.laddr.ip)
            for process in psutil.Process().children(recursive=True)
            for place in process.net_connections("inet")
            if place.status == psutil.CONN_LISTEN
        ]
        assert listening, "a cluster has ports"
        assert {ip for _, ip in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening
    finally:
        ray.shutdown()
