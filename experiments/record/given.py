"""Given: digests of the network and the images that a run searched with."""

from dataclasses import dataclass, fields

from quant.records.json_form import EXACT


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What files came to: a path in a configuration does not say whether they changed."""

    __pydantic_config__ = EXACT

    weights: str
    """Of the float network."""
    train: str
    """Of the training images and their labels."""
    search: str
    """Of those that candidates are scored on."""

    def changes(self, now: "Given") -> str:
        """Return in words what is another one now; empty where nothing is."""
        differ = [each.name for each in fields(self)]
        differ = [name for name in differ if getattr(self, name) != getattr(now, name)]
        return " and ".join(_WORDS[name] for name in differ)


_WORDS = {
    "weights": "the float network's weights",
    "train": "the training images",
    "search": "the search split",
}


def say_changes(before: Given | None, now: Given) -> None:
    """Print what is another one than the search had: what follows is then not of its answer."""
    if before is not None and (changed := before.changes(now)):
        print(f"{changed} changed since the search: its bits are tried on something else")
