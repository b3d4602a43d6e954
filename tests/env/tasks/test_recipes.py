"""Recipes: which networks are trained in float by one of their own, and how it is kept."""

from env.tasks import TaskConfig, load_task
from env.tasks.checkpoint import recipe_key
from quant.retraining.float_training import TrainConfig


def test_networks_of_tokens_have_a_recipe_of_their_own() -> None:
    task = load_task(TaskConfig(network="vit-micro", epochs=3))
    assert (task.recipe.optimizer, task.recipe.epochs, task.recipe.warm_up) == ("adamw", 3, 0.1)
    assert task.recipe.learning_rate == 1e-3
    assert load_task(TaskConfig(network="vit-micro", learning_rate=0.5)).recipe.learning_rate == 0.5
    assert load_task(TaskConfig(network="resnet8")).recipe == load_task(TaskConfig()).recipe


def test_checkpoints_of_before_are_found_again() -> None:
    """What was written before there were optimizers to choose has no word of them in its key."""
    assert recipe_key(TrainConfig()) == {
        "epochs": 20,
        "batch_size": 64,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    }
    assert recipe_key(TrainConfig(optimizer="adamw"))["optimizer"] == "adamw"
