"""EpisodeLog: ended episodes in TensorBoard, real and practice ones told apart."""

from stable_baselines3.common.callbacks import BaseCallback

__all__ = ["EpisodeLog"]

FIGURES = ("accuracy", "latency_ms", "model_bytes", "reward_accuracy", "reward_latency")


class EpisodeLog(BaseCallback):
    """Records means over each rollout under `real/` and `practice/`, beside SB3's own tags."""

    def __init__(self) -> None:
        """Start counting at zero."""
        super().__init__()
        self._episodes = {"real": 0, "practice": 0}

    def _on_step(self) -> bool:
        for done, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            if not done:
                continue
            kind = "practice" if info["practice"] else "real"
            self._episodes[kind] += 1
            for name in FIGURES:
                if info[name] is not None:
                    self.logger.record_mean(f"{kind}/{name}", info[name])
            self.logger.record(f"{kind}/episodes", self._episodes[kind])
        return True
