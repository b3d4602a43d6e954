"""PPO: a policy that walks the layers."""
