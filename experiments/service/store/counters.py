"""Counters: sums that only rise, kept with what they count, for Prometheus."""

import json
import sqlite3
from collections.abc import Mapping

from experiments.service.store.database import Database

SECONDS_BOUNDS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
"""Upper bounds of the histogram of an evaluation's seconds."""


def count(
    connection: sqlite3.Connection, name: str, labels: Mapping[str, str], value: float = 1.0
) -> None:
    """Add to a counter, within the transaction of what is counted."""
    connection.execute(
        "INSERT INTO counters VALUES (?, ?, ?) "
        "ON CONFLICT (name, labels) DO UPDATE SET value = value + excluded.value",
        (name, json.dumps(labels, sort_keys=True), value),
    )


def read_counters(database: Database) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return every counter by its name: labels and value."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for row in database.rows("SELECT name, labels, value FROM counters ORDER BY name, labels"):
        found.setdefault(row["name"], []).append((json.loads(row["labels"]), row["value"]))
    return found
