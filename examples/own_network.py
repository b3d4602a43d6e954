"""A network and data of your own: recognise the tune in a noisy recording.

python -m experiments.run --task.name own --task.model examples.own_network:network \
    --task.data examples.own_network:data
"""

import numpy as np
from torch import nn

TUNES, SAMPLES = 4, 256


def network() -> nn.Module:
    """Three 1-D convolutions; SiLU becomes a table of 256 entries."""
    return nn.Sequential(
        nn.Conv1d(1, 16, 9, stride=2, padding=4),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Conv1d(16, 32, 9, stride=2, padding=4),
        nn.BatchNorm1d(32),
        nn.SiLU(),
        nn.Conv1d(32, 32, 9, stride=2, padding=4),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, TUNES),
    )


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Sine waves whose pitch rises, falls, stays low or stays high, in noise; made up."""
    rng, time = np.random.default_rng(0), np.linspace(0, 1, SAMPLES)
    labels = rng.integers(TUNES, size=2000)
    pitch = np.array([(4, 16), (16, -8), (6, 0), (14, 0)])[labels]
    phase = pitch[:, :1] * time + pitch[:, 1:] * time**2 / 2 + rng.random((2000, 1))
    sound = np.sin(2 * np.pi * phase) + rng.normal(0, 0.8, phase.shape)
    inputs = sound[:, None].astype(np.float32)
    return {"train": (inputs[:1600], labels[:1600]), "test": (inputs[1600:], labels[1600:])}
