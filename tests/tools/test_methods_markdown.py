"""Tables of the documents from what a claim came to."""

from typing import Any

from tools.methods_markdown import bar_lines, regret_lines


def cell(value: float) -> dict[str, float]:
    return {"iqm": value, "low": value - 0.1, "high": value + 0.1, "seeds": 3}


def document() -> dict[str, Any]:
    bar = {"better": "ppo", "than": "mckp", "at": [8], "than_at": 24, "margin": 0.1}
    return {
        "claim": {"methods": ["mckp", "ppo"]},
        "regret": {"t": {"0.15": {"ppo": {"8": cell(0.25)}, "mckp": {"8": cell(1)}}}},
        "verdicts": [
            {
                "bar": {**bar, "measure": "accuracy"},
                "cells": [{"held": True}, {"held": False}],
                "held": False,
            }
        ],
    }


def test_regrets_in_the_order_of_the_claim() -> None:
    assert list(regret_lines(document(), "accuracy")) == [
        "**t, 15 % of the way**",
        "",
        "| method | seeds | 8 |",
        "|---|---|---|",
        "| `mckp` | 3 | 1.00 [0.90, 1.10] |",
        "| `ppo` | 3 | 0.25 [0.15, 0.35] |",
        "",
    ]


def test_bars_say_where_they_held() -> None:
    assert list(bar_lines(document()))[2:] == [
        "| `ppo` | `mckp` at 24 | 8 | 0.1 | accuracy | 1 of 2 | missed |"
    ]
