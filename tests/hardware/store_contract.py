"""What everything promises that keeps results on the disk for later runs; their tests inherit it.

A test file has a fixture `reopen`, which opens what it tests at one place, again at each call, and
names two keys and two results of its own.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol


class ResultStore(Protocol):
    """A store as the contract sees it."""

    def get(self, key: Any) -> Any:
        """Return the result of a key; None where there is none."""

    def put(self, key: Any, result: Any) -> None:
        """Keep a result."""


Reopen = Callable[[], AbstractContextManager[ResultStore]]


class StoreContract:
    """Promises of every store."""

    keys: tuple[Any, ...]
    results: tuple[Any, ...]

    def test_what_nobody_kept_is_none(self, reopen: Reopen) -> None:
        with reopen() as store:
            assert [store.get(key) for key in self.keys] == [None, None]

    def test_a_result_comes_back_for_exactly_its_key(self, reopen: Reopen) -> None:
        with reopen() as store:
            store.put(self.keys[0], self.results[0])
            assert store.get(self.keys[0]) == self.results[0]
            assert store.get(self.keys[1]) is None
            store.put(self.keys[1], self.results[1])
            assert [store.get(key) for key in self.keys] == list(self.results)

    def test_results_outlive_who_kept_them(self, reopen: Reopen) -> None:
        with reopen() as store:
            for key, result in zip(self.keys, self.results, strict=True):
                store.put(key, result)
        with reopen() as again:
            assert [again.get(key) for key in self.keys] == list(self.results)

    def test_two_may_be_open_at_once(self, reopen: Reopen) -> None:
        with reopen() as one, reopen() as other:
            one.put(self.keys[0], self.results[0])
            assert other.get(self.keys[0]) == self.results[0]
            other.put(self.keys[1], self.results[1])
            assert one.get(self.keys[1]) == self.results[1]
