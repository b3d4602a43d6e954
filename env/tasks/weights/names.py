"""Which entry of a file is which of the network's, where names differ by a wrapper or a word."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WRAPPERS = frozenset({"module", "_orig_mod"})
"""What DataParallel and torch.compile put into names, wherever they wrap a part."""
_SAME = {
    **dict.fromkeys(("classifier", "fc", "head", "linear", "logits", "output"), "head"),
    **dict.fromkeys(("downsample", "shortcut"), "downsample"),
}
"""Words by which networks call the same part."""
_COUNTERS = ("num_batches_tracked", "total_ops", "total_params", "n_averaged")
"""Last words of entries that no output depends on: of batch norms, thop and averaged models."""
_BESIDE = ("aux", "criterion", "loss")
"""Beginnings of names of what is there for training alone."""

_DEEPEST = 4
"""Words of the longest prefix that is taken off."""

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class NameMatch:
    """How a file's names were matched with a network's."""

    source: dict[str, str]
    """For each entry of the network that was found, the file's name of it."""
    missing: tuple[str, ...]
    """The network's names that the file has under no name."""
    unknown: tuple[str, ...]
    """The file's names that the network has no place for."""
    unused: tuple[str, ...]
    """The file's names that belong to something beside the network."""
    ways: tuple[str, ...]
    """Prefixes under each of which the whole network lies, where there are several."""


def match_names(own: Mapping[str, Shape], stored: Mapping[str, Shape]) -> NameMatch:
    """Match a network's names with a file's.

    Both may have a prefix that the other lacks. Where names under it differ by a known word, as
    `fc` and `linear`, shapes decide between several of them.

    Args:
        own: Shapes of the network's entries, by name.
        stored: Shapes of the file's.
    """
    needed = {name for name in own if not _counts(name)}
    prefixes = [("", ""), *_prefix_pairs(own, stored, len(needed))]
    found = {pair: _under(own, stored, *pair) for pair in dict.fromkeys(prefixes)}
    complete = {pair: source for pair, source in found.items() if needed <= source.keys()}
    if ("", "") in complete:
        complete = {("", ""): complete["", ""]}
    # The same names may be found with a word in front taken off on both sides.
    ways = {tuple(source.values()): f"{theirs}*" for (theirs, _), source in complete.items()}
    pair = max(complete or found, key=lambda pair: len(found[pair]))
    source = found[pair]
    left = [name for name in stored if name not in set(source.values()) and not _counts(name)]
    unused = [name for name in left if _is_beside(name) or not _plain(name).startswith(pair[0])]
    return NameMatch(
        source=source,
        missing=tuple(name for name in own if name in needed - source.keys()),
        unknown=tuple(name for name in left if name not in unused),
        unused=tuple(unused),
        ways=tuple(ways.values()),
    )


def _prefix_pairs(
    own: Mapping[str, Shape], stored: Mapping[str, Shape], needed: int
) -> list[tuple[str, str]]:
    """Return what the file's names may have in front, and what the network's have."""
    theirs = [p for p, count in _prefixes(stored).items() if count >= needed]
    ours = [p for p, count in _prefixes(own).items() if count == len(own)]
    return [(their, our) for their in ("", *theirs) for our in ("", *ours)]


def _prefixes(names: Iterable[str]) -> dict[str, int]:
    """Return the words that names begin with, each with how many begin so."""
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        words = _plain(name).split(".")[:-1]
        for length in range(1, min(len(words), _DEEPEST) + 1):
            counts[".".join(words[:length]) + "."] += 1
    return counts


def _under(
    own: Mapping[str, Shape], stored: Mapping[str, Shape], theirs: str, ours: str
) -> dict[str, str]:
    """Return the file's name of each of the network's, if these are the prefixes."""
    plain = {
        _plain(name).removeprefix(theirs): name
        for name in stored
        if _plain(name).startswith(theirs)
    }
    source = {name: plain[key] for name in own if (key := _plain(name).removeprefix(ours)) in plain}
    used = set(source.values())
    alike: dict[str, list[str]] = defaultdict(list)
    for key, name in plain.items():
        if name not in used:
            alike[_general(key)].append(name)
    claims: dict[str, list[str]] = defaultdict(list)
    for name in own:
        if name not in source:
            candidates = alike[_general(_plain(name).removeprefix(ours))]
            fitting = [other for other in candidates if stored[other] == own[name]]
            if len(fitting or candidates) == 1:
                claims[(fitting or candidates)[0]].append(name)
    return source | {names[0]: other for other, names in claims.items() if len(names) == 1}


def _plain(name: str) -> str:
    """Return a name without the words of wrappers."""
    return ".".join(word for word in name.split(".") if word not in _WRAPPERS)


def _general(name: str) -> str:
    """Return what a name has in common with those that differ from it by a known word."""
    words: list[str] = []
    for word in name.split("."):
        if not (word.isdigit() and words[-1:] == ["head"]):  # a dropout stood before the layer
            words.append(_SAME.get(word, word))
    return ".".join(words)


def _counts(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS


def _is_beside(name: str) -> bool:
    return name.lower().startswith(_BESIDE)
