"""The decision problem: tasks, observation, actions and masks, budget, evaluator, reward."""

from env.registration import register_environments

register_environments()
