"""The policy's file: what was learnt comes back exactly, and nothing in a file is executed."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.ppo.config import PPOConfig
from agents.ppo.policy import make_model, train
from agents.ppo.policy_file import PolicyFile
from agents.training.training_file import TrainingFile
from tests.agents.test_searches import make_problem

CONFIG = PPOConfig(rollout_episodes=8, environments=2)


def model(seed: int) -> Any:
    return make_model(make_problem(limit=99).make_env, CONFIG, seed=seed)


def flat(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {
        f"{index}.{name}": value
        for index, values in state["state"].items()
        for name, value in values.items()
    }


def test_a_policy_comes_back_with_its_optimizer_and_scale(tmp_path: Path) -> None:
    said: list[str] = []
    trained, fresh = model(0), model(1)
    train(trained, 16, CONFIG)
    file = PolicyFile(tmp_path, said.append)
    file.load(fresh)
    assert fresh.num_timesteps == 0, "there is nothing yet"
    file.save(trained)
    file.load(fresh)
    assert not said
    assert fresh.num_timesteps == trained.num_timesteps > 0
    assert fresh._n_updates == trained._n_updates > 0
    for name, value in trained.policy.state_dict().items():
        assert (fresh.policy.state_dict()[name] == value).all()
    before = flat(trained.policy.optimizer.state_dict())
    after = flat(fresh.policy.optimizer.state_dict())
    assert before.keys() == after.keys()
    assert before
    assert all((after[name] == value).all() for name, value in before.items())
    scales = [one.get_vec_normalize_env().ret_rms for one in (trained, fresh)]
    assert (scales[0].mean, scales[0].var, scales[0].count) == (
        scales[1].mean,
        scales[1].var,
        scales[1].count,
    )
    train(fresh, 16, CONFIG)
    assert fresh.num_timesteps > trained.num_timesteps


class Trap:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (self._path,)  # type: ignore[return-value]


def test_a_policy_of_before_is_refused_in_a_sentence_and_not_opened(tmp_path: Path) -> None:
    said: list[str] = []
    fresh = model(1)
    for name in ("policy.zip", "reward_scale.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    PolicyFile(tmp_path, said.append).load(fresh)
    assert said == [
        f"{tmp_path / 'policy.zip'} is of an earlier version and not read, since that could run "
        "code in it; a new policy is trained"
    ]
    assert fresh.num_timesteps == 0
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_damaged_or_foreign_file_is_named_and_training_begins_again(
    tmp_path: Path, content: bytes | None
) -> None:
    said: list[str] = []
    fresh, path = model(1), tmp_path / "policy.safetensors"
    if content is None:
        TrainingFile(tmp_path, "policy", said.append).save({"other": torch.zeros(2)}, {})
    else:
        path.write_bytes(content)
    before = {name: value.clone() for name, value in fresh.policy.state_dict().items()}
    PolicyFile(tmp_path, said.append).load(fresh)
    (sentence,) = said
    assert sentence.startswith(f"{path} cannot be read and its training begins again: ")
    assert all((fresh.policy.state_dict()[name] == value).all() for name, value in before.items())


def test_what_earlier_versions_kept_of_a_network_is_still_read(tmp_path: Path) -> None:
    said: list[str] = []
    torch.save({"network": {"weight": torch.ones(3)}, "notes": '{"a": 1}'}, tmp_path / "amed.pt")
    found = TrainingFile(tmp_path, "amed", said.append).load({"weight": torch.zeros(3)})
    assert found is not None
    assert found[0]["weight"].tolist() == [1, 1, 1]
    assert found[1] == {"a": 1}
    assert not said
