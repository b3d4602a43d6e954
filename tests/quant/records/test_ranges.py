import math
from dataclasses import dataclass
from typing import Annotated

import pytest

from quant.errors import TrainingError
from quant.records.ranges import Count, Positive, PositiveShare, check_ranges, within


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    samples: Count = 1
    rate: Positive = 0.1
    averaging: PositiveShare = 1.0
    seed: Annotated[int | None, within(0, 9)] = None
    name: str = ""

    def __post_init__(self) -> None:
        check_ranges(self, "settings.", TrainingError)


def test_values_in_their_ranges_are_taken() -> None:
    assert Settings(samples=3, rate=math.inf, averaging=0.5, seed=9).seed == 9


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"samples": 0}, "settings.samples: expected at least 1, found 0"),
        ({"rate": 0.0}, "settings.rate: expected more than 0, found 0.0"),
        ({"rate": math.nan}, "settings.rate: expected more than 0, found nan"),
        ({"averaging": 1.5}, "settings.averaging: expected more than 0, up to 1, found 1.5"),
        ({"seed": 10}, "settings.seed: expected 0 to 9, found 10"),
    ],
)
def test_others_are_refused_by_name(changed: dict[str, float], sentence: str) -> None:
    with pytest.raises(TrainingError) as caught:
        Settings(**changed)  # type: ignore[arg-type]
    assert str(caught.value) == sentence
