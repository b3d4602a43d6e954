"""Changes of training images: words of ours, and the user's own function."""

from typing import Any

import pytest
import torch

from env.errors import TaskError
from env.tasks import TaskConfig, load_task
from env.tasks.augment import CHANGES
from env.tasks.own_function import source_of

HERE = "tests.env.tasks.test_augment"


def darker(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return images * torch.rand((len(images), 1, 1, 1), generator=generator)


def smaller(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return images[:, :, 1:]


def fails(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    raise KeyError("no such thing")


@pytest.mark.parametrize("word", list(CHANGES))
def test_each_change_draws_from_its_generator_and_keeps_shapes(word: str) -> None:
    images = torch.randn(40, 3, 16, 12, generator=torch.Generator().manual_seed(1))
    found = CHANGES[word](images, torch.Generator().manual_seed(0))
    assert found.shape == images.shape
    assert torch.equal(found, CHANGES[word](images, torch.Generator().manual_seed(0)))
    assert not torch.equal(found, CHANGES[word](images, torch.Generator().manual_seed(2)))
    changed = (found != images).flatten(1).any(1)
    assert int(changed.sum()) > 10, "most are moved, some are mirrored"
    assert found.isfinite().all()


def test_flips_leave_about_half_as_they_are() -> None:
    images = torch.randn(200, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    found = CHANGES["flip"](images, torch.Generator().manual_seed(0))
    same = (found == images).flatten(1).all(1)
    assert 60 < int(same.sum()) < 140
    assert torch.equal(found[~same], images.flip(3)[~same])


def test_greys_stay_grey() -> None:
    grey = torch.randn(5, 1, 4, 4).expand(5, 3, 4, 4)
    found = CHANGES["colour"](grey, torch.Generator().manual_seed(0))
    assert torch.allclose(found[:, 0], found[:, 2], atol=1e-5)


def test_words_and_functions_reach_the_task() -> None:
    assert load_task(TaskConfig()).augment is None
    chosen = load_task(TaskConfig(augment="crop,colour")).augment
    assert chosen is not None
    assert source_of(chosen) == "Augmentation(words=('crop', 'colour'))"
    assert getattr(chosen, "__name__") == "crop,colour"  # noqa: B009
    own = load_task(TaskConfig(augment=f"{HERE}:darker")).augment
    assert own is not None
    assert source_of(own).startswith(f"OwnAugmentation(name='{HERE}:darker', digest='")
    assert load_task(TaskConfig(augment="none")).augment is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"augment": "rotate"}, "expected words of crop, flip, colour, none or package"),
        ({"augment": "crop,none"}, "found 'crop,none'"),
        ({"augment": f"{HERE}:nothing"}, "has no function 'nothing'"),
        ({"augment": f"{HERE}:smaller"}, r"return images \[1, 1, 8, 8\], found \[1, 1, 7, 8\]"),
        ({"augment": f"{HERE}:fails"}, "raised KeyError, 'no such thing'"),
        ({"name": "mnist1d", "augment": "flip"}, r"flip changes images \[N, C, H, W\], found"),
    ],
)
def test_changes_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(TaskConfig(**values))
