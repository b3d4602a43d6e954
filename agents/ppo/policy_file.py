"""PolicyFile: the policy on the disk after each real episode, for a run that is resumed."""

import logging
from pathlib import Path
from typing import Any

from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from env.evaluating.evaluator import Evaluator
from quant.atomic_file import atomic_file

__all__ = ["PolicyFile", "SavePolicy"]

_logger = logging.getLogger(__name__)


class PolicyFile:
    """`policy.zip` with the reward's scale beside it, in a run's own folder.

    Stable-Baselines3's files hold pickles: only files of one's own runs may be loaded.
    """

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is written yet."""
        self._policy = folder / "policy.zip"
        self._scale = folder / "reward_scale.pkl"

    def save(self, model: Any) -> None:
        """Write both files, each in one step."""
        self._policy.parent.mkdir(parents=True, exist_ok=True)
        for path, save in (
            (self._scale, model.get_vec_normalize_env().save),
            (self._policy, model.save),
        ):
            with atomic_file(path) as made:
                save(made)

    def load(self, fresh: Any) -> Any:
        """Return the saved model on the fresh one's environments, or the fresh one.

        A missing or damaged file costs what the policy had learnt and nothing else: the real
        evaluations are kept elsewhere.
        """
        if not (self._policy.exists() and self._scale.exists()):
            return fresh
        try:
            envs = VecNormalize.load(str(self._scale), fresh.get_env().venv)
            model = MaskablePPO.load(self._policy, env=envs, device="cpu")
        except Exception as error:
            _logger.warning("the saved policy cannot be read, a new one is trained: %r", error)
            return fresh
        model.tensorboard_log = fresh.tensorboard_log
        return model


class SavePolicy(BaseCallback):
    """Saves the policy at the first update after each real episode."""

    def __init__(self, file: PolicyFile, evaluator: Evaluator) -> None:
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
