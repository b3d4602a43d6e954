"""The command on the digits: retrainings as evaluations have them, kept line by line."""

import json
from pathlib import Path

import pytest

from env.evaluating.evaluator import Evaluator
from experiments.bench import command as bench
from experiments.bench.noise.retraining import Retraining
from experiments.record.environment_facts import git_state
from experiments.settings.configured import load_config
from experiments.stages.network_setup import set_up_network
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.terminal.progress import LiveProgress
from hardware.simulated import SimulatedDevice
from quant.records.json_form import from_plain

FLAGS = [
    *("--env.finetune.steps", "2", "--env.finetune.compensation-images", "0"),
    *("--env.bit-choices", "2", "4", "8", "--quiet"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pairs of the digits, in noise.json and noise.jsonl."""
    folder = tmp_path_factory.mktemp("noise")
    file = folder / "noise.json"
    assert bench.main(["noise", "--pairs", "2", "--json", str(file), *FLAGS]) == DONE
    return folder


def test_pairs_differ_by_the_order_alone_and_order_0_is_an_evaluation(folder: Path) -> None:
    document = json.loads((folder / "noise.json").read_text())
    pairs = [[from_plain(Retraining, row) for row in pair] for pair in document["random"]]
    assert [[row.order for row in pair] for pair in pairs] == [[0, 1]] * 2
    for first, second in pairs:
        assert first.allocation == second.allocation
        assert first.score.loss != second.score.loss
    config = load_config(FLAGS)
    with LiveProgress(quiet=True) as progress:
        setup = set_up_network(config, progress)
    evaluator = Evaluator(
        setup.network.clone(),
        SimulatedDevice(config.protocol),
        setup.task.train,
        setup.task.search,
        config.env,
        seed=config.seed,
        limit=2,
        augment=setup.task.augment,
    )
    evaluations = evaluator.evaluate([first.allocation for first, _ in pairs])
    for evaluation, (first, _) in zip(evaluations, pairs, strict=True):
        assert (evaluation.score, evaluation.loss) == (first.score.value, first.score.loss)


def test_the_document_has_what_is_printed(folder: Path) -> None:
    document = json.loads((folder / "noise.json").read_text())
    assert document["commit"] == git_state()
    assert (document["decisions"], len(document["random"])) == (9, 2)
    eight, _, two = document["uniform"]
    assert eight[0]["beside_all_8"]["score_se"] == 0
    for row in two:
        paired, drawn = row["beside_all_8"], row["beside_all_8_bootstrap"]
        assert 0 < paired["score_se"] <= paired["score_unpaired_se"]
        assert drawn["score"] == pytest.approx(paired["score_se"], rel=0.1)
        assert drawn["loss"] == pytest.approx(paired["loss_se"], rel=0.1)
    assert document["seed_spreads"]["loss"]["deviation"] > 0
    assert document["additive_log_loss"]["noise_power"]["r2"] is not None


def test_what_was_retrained_is_not_retrained_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "noise.jsonl").read_text()
    file = tmp_path / "noise.json"
    (tmp_path / "noise.jsonl").write_text(before + '{"torn')
    assert bench.main(["noise", "--pairs", "3", "--json", str(file), *FLAGS]) == DONE
    after = (tmp_path / "noise.jsonl").read_text()
    assert after.startswith(before)
    assert (before.count("\n"), after.count("\n")) == (10, 12)
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 random and 3 uniform ones" in shown
    assert "of their 6 retrainings" in shown


@pytest.mark.parametrize(
    ("flags", "line", "told"),
    [
        (["--env.finetune.scale-images", "0"], "", "all-8 comes out otherwise"),
        ([], "{}\n", "expected a retraining in line 11"),
    ],
)
def test_a_file_of_something_else_is_refused(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    line: str,
    told: str,
) -> None:
    (tmp_path / "noise.jsonl").write_text((folder / "noise.jsonl").read_text() + line)
    arguments = ["noise", "--json", str(tmp_path / "noise.json"), *FLAGS, *flags]
    assert bench.main(arguments) == USER_MISTAKE
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ("1", "--pairs: expected at least 2, found 1"),
        ("19684", "at most 19683 different allocations"),
    ],
)
def test_as_many_pairs_as_there_are(
    pairs: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["noise", "--pairs", pairs, *FLAGS]) == USER_MISTAKE
    assert told in " ".join(capsys.readouterr().err.split())
