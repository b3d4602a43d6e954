"""The decision problem: tasks, observation, actions and masks, budget, evaluator, reward."""
