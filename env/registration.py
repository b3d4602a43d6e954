"""Registration: the ids under which `gymnasium.make` finds the environments."""

import gymnasium as gym


def register_environments() -> None:
    """Register the environments; asking twice changes nothing."""
    entry_points = {
        "BitAlloc-v0": "env.bit_allocation:BitAllocationEnv",
        "BitAllocLegal-v0": "env.legal_actions:LegalActionsEnv",
    }
    for name, entry_point in entry_points.items():
        if name not in gym.registry:
            gym.register(id=name, entry_point=entry_point)
