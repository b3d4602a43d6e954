"""The client's commands, as one types them."""

from pathlib import Path

import pytest

from bitalloc.command import main
from experiments.service.client.place import Place, client_file, find_place
from experiments.service.store.tokens import Role
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.experiments.service.here import Here

BOARD = ("--target.board", "rpi4", "--target.key", "pi")


def test_a_search_is_handed_in_seen_cancelled_and_deleted(
    known: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "--id", "typed", *BOARD, "--evaluations", "7"]) == DONE
    shown = capsys.readouterr().out
    assert "handed in: typed\nhanded in: typed-bundle\n" in shown
    with known.client() as client:
        request = client.job("typed")["request"]
        assert request["settings"] == {
            "evaluations": 7,
            "target.board": "rpi4",
            "target.key": "pi",
        }
        assert client.job("typed-bundle")["of"] == "typed"
    assert main(["jobs"]) == DONE
    assert "typed-bundle" in capsys.readouterr().out
    assert main(["jobs", "--boards"]) == DONE
    assert "this machine" in capsys.readouterr().out
    assert main(["cancel", "typed", "--delete"]) == USER_MISTAKE
    assert "cancel it first" in capsys.readouterr().err
    assert main(["cancel", "typed"]) == DONE
    assert main(["watch", "typed"]) == USER_MISTAKE
    assert "typed is cancelled: cancelled by ulf" in capsys.readouterr().out
    assert main(["watch", "typed-bundle"]) == USER_MISTAKE  # what it works on never comes
    for name in ("typed-bundle", "typed"):
        assert main(["cancel", name, "--delete"]) == DONE
    assert main(["fetch", "typed"]) == USER_MISTAKE
    assert "no job typed" in capsys.readouterr().err


def test_a_mistake_is_found_before_anything_is_sent(
    known: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "--evaluatoins", "3"]) == USER_MISTAKE
    assert "did you mean evaluations?" in capsys.readouterr().err
    own = ("--task.name", "own", "--task.network", "digits-even", "--task.data", "none.npz")
    assert main(["submit", *own]) == USER_MISTAKE
    assert "found no none.npz" in capsys.readouterr().err
    (tmp_path / "all.csv").write_text("1,2,3")
    wrong = (*own[:-1], str(tmp_path / "all.csv"))
    assert main(["submit", *wrong]) == USER_MISTAKE
    assert "or a file (.npz, .safetensors)" in capsys.readouterr().err
    assert main(["submit", "--output", "elsewhere"]) == USER_MISTAKE
    assert "output is the operator's to set" in capsys.readouterr().err


def test_a_search_whose_bundle_is_refused_is_told_before(
    known: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "--id", "mine-bundle", "--no-bundle", *BOARD]) == DONE
    assert main(["submit", "--id", "mine", *BOARD, "--evaluations", "7"]) == USER_MISTAKE
    shown = capsys.readouterr()
    assert shown.out.endswith("handed in: mine\n")
    assert "mine-bundle is the id of another job" in shown.err
    for name in ("mine", "mine-bundle"):
        assert main(["cancel", name]) == DONE
    long = "a" * 58
    assert main(["submit", "--id", long, *BOARD]) == USER_MISTAKE
    assert "--id: expected at most 57 characters, found 58" in capsys.readouterr().err
    assert main(["submit", "--id", long, "--no-bundle", *BOARD]) == DONE
    assert main(["cancel", long]) == DONE


def test_no_server_and_no_token_are_one_sentence(
    known: Here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["jobs", "--server", "http://127.0.0.1:9"]) == USER_MISTAKE
    assert "expected a token for http://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setattr("experiments.service.client.client._FIRST_WAIT_S", 0.0)
    monkeypatch.setenv("BITALLOC_TOKEN", "any")
    assert main(["jobs", "--server", "http://127.0.0.1:9"]) == USER_MISTAKE
    assert "no service answers at http://127.0.0.1:9" in capsys.readouterr().err
    assert main(["jobs"]) == USER_MISTAKE
    assert "unknown, has expired or was revoked" in capsys.readouterr().err


def test_a_token_is_kept_where_its_user_alone_can_read_it(known: Here) -> None:
    assert client_file().stat().st_mode & 0o777 == 0o600
    assert main(["token", "use", "other", "--server", "https://shelf:8437/"]) == DONE
    assert find_place() == Place(server="https://shelf:8437", token="other")
    assert find_place(known.url).token == known.user


def test_tokens_are_made_listed_and_ended(known: Here, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ("--folder", str(known.service.folder.path))
    assert main(["token", "create", "grace", "--role", "operator", *folder]) == DONE
    token = capsys.readouterr().out.strip()
    who = known.service.tokens.check(token)
    assert who is not None
    assert (who.name, who.role) == ("grace", Role.OPERATOR)
    assert main(["token", "create", "grace", *folder]) == USER_MISTAKE
    assert "has a token already" in capsys.readouterr().err
    assert main(["token", "revoke", "grace", *folder]) == DONE
    assert known.service.tokens.check(token) is None
    assert main(["token", "list", *folder]) == DONE
    assert "revoked" in capsys.readouterr().out
    assert main(["token", "create", "a/b", *folder]) == USER_MISTAKE
    assert main(["token", "list", "--folder", "/nowhere"]) == USER_MISTAKE


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--host", "0.0.0.0"], "in the clear on 0.0.0.0"),
        (["--host", "example.org"], "in the clear on example.org"),
        (["--tls-key", "x.pem"], "found one of them"),
        (["--host", "0.0.0.0", "--tls-key", "x", "--tls-certificate", "y"], "found no file"),
        (["--tracker", "nowhere"], "expected HOST:PORT"),
        (["--functions", "os"], "expected MODULE:FUNCTION"),
        (["--folders", "shelf"], "expected NAME=FOLDER"),
        (["--running", "0"], "expected at least 1"),
    ],
)
def test_a_server_in_the_open_is_refused(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--folder", str(tmp_path / "service"), "--port", "0", *flags]
    assert main(["serve", *flags]) == USER_MISTAKE
    assert said in capsys.readouterr().err


def test_one_server_for_a_folder_and_one_for_a_port(
    known: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(known.service.folder.path)
    assert main(["serve", "--folder", folder, "--port", "0"]) == USER_MISTAKE
    assert "another server uses the folder" in capsys.readouterr().err
    port = known.url.rpartition(":")[2]
    assert main(["serve", "--folder", str(tmp_path), "--port", port]) == USER_MISTAKE
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
