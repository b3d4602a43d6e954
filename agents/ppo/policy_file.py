"""PolicyFile: the policy on the disk after each real episode, for a run that is resumed."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from agents.training.training_file import TrainingFile
from env.evaluating.search_evaluator import SearchEvaluator

_POLICY = "policy."
"""Begins the names of the policy's weights; those of the optimizer's state have `optimizer.`, the
number of the weight and a dot before them."""


class PolicyFile:
    """`policy.safetensors` in a run's own folder: weights, optimizer, and the reward's scale."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """Name the folder; `say` tells the user where what was learnt is lost."""
        self._file = TrainingFile(folder, "policy", say)
        self._before, self._say = folder / "policy.zip", say

    def save(self, model: Any) -> None:
        """Write the file in one step."""
        tensors = _weights(model)
        for index, values in model.policy.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        scale = model.get_vec_normalize_env().ret_rms
        notes = {
            "timesteps": model.num_timesteps,
            "updates": model._n_updates,
            "returns": [float(value) for value in (scale.mean, scale.var, scale.count)],
        }
        self._file.save(tensors, notes)

    def load(self, fresh: Any) -> None:
        """Bring a fresh model to where the saved one was, if there is one."""
        found = self._file.load(_weights(fresh))
        if found is None:
            if self._before.exists():
                self._say(
                    f"{self._before} is of an earlier version and not read, since that could run "
                    "code in it; a new policy is trained"
                )
            return
        tensors, notes = found
        state: dict[int, dict[str, torch.Tensor]] = defaultdict(dict)
        for name, tensor in tensors.items():
            if not name.startswith(_POLICY):
                _, index, value = name.split(".")
                state[int(index)][value] = tensor
        policy = fresh.policy
        policy.load_state_dict({name: tensors[_POLICY + name] for name in policy.state_dict()})
        policy.optimizer.load_state_dict({**policy.optimizer.state_dict(), "state": state})
        fresh.num_timesteps, fresh._n_updates = notes["timesteps"], notes["updates"]
        scale = fresh.get_vec_normalize_env().ret_rms
        scale.mean, scale.var = (np.array(value) for value in notes["returns"][:2])
        scale.count = notes["returns"][2]


class SavePolicy(BaseCallback):
    """Saves the policy at the first update after each real episode."""

    def __init__(self, file: PolicyFile, evaluator: SearchEvaluator) -> None:
        """Keep where to save and what counts real episodes."""
        super().__init__()
        self._file, self._evaluator = file, evaluator
        self._saved = -1

    def _on_rollout_start(self) -> None:
        if len(self._evaluator.evaluations) > self._saved and self.model.num_timesteps > 0:
            self._saved = len(self._evaluator.evaluations)
            self._file.save(self.model)

    def _on_step(self) -> bool:
        return True


def _weights(model: Any) -> dict[str, torch.Tensor]:
    return {_POLICY + name: value for name, value in model.policy.state_dict().items()}
