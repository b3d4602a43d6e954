"""EpisodeLog: ended episodes in TensorBoard, real and practice ones told apart."""

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from env.evaluating.reward import REWARD_TERMS
from hardware.energy.energy import NO_METER, energy_label

_FIGURES = ("latency_ms", "energy_mj", "model_bytes")


class EpisodeLog(BaseCallback):
    """Records means over each rollout under `real/` and `practice/`, beside SB3's own tags."""

    def __init__(self, energy_source: str = NO_METER) -> None:
        """Start counting at zero.

        Args:
            energy_source: Of the layer table; tags of a modelled energy say so.
        """
        super().__init__()
        self._energy_source = energy_source
        self._episodes = {"real": 0, "practice": 0}

    def _on_step(self) -> bool:
        for done, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            if done:
                self._record(info)
        return True

    def _on_training_end(self) -> None:
        # Stable-Baselines3 drops what a rollout recorded that a callback cut short.
        self.logger.dump(self.num_timesteps)

    def _record(self, info: dict[str, Any]) -> None:
        kind = "practice" if info["practice"] else "real"
        self._episodes[kind] += 1
        evaluation = info["evaluation"]
        weight_bits, activation_bits = evaluation.allocation.mean_bits()
        means = {
            evaluation.metric.name: evaluation.score,
            **{name: info[name] for name in _FIGURES},
            **{f"reward_{name}": info[f"reward_{name}"] for name in REWARD_TERMS},
            "mean_weight_bits": weight_bits,
            "mean_activation_bits": activation_bits,
        }
        for name, value in means.items():
            if value is not None:
                # Standard output cuts tags at 36 characters and refuses two that then look alike.
                tag = energy_label(f"{kind}/{name}", self._energy_source)
                self.logger.record_mean(tag, value, exclude=("stdout", "log"))
        self.logger.record(f"{kind}/episodes", self._episodes[kind])
