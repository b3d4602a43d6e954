"""One turn at a time, and few who wait for theirs."""

import threading
import time

import pytest

from experiments.service.errors import BusyError
from experiments.service.web.turns import Turns


def test_few_wait_and_the_others_are_told_at_once() -> None:
    turns, inside, order = Turns(3), threading.Event(), list[str]()
    ending = threading.Event()

    def first() -> None:
        with turns.take():
            inside.set()
            assert ending.wait(30)
            order.append("first")

    def second() -> None:
        with turns.take():
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second, second)]
    threads[0].start()
    assert inside.wait(30)
    for thread in threads[1:]:
        thread.start()
    while turns.inside < 3:
        time.sleep(0.01)
    with pytest.raises(BusyError, match="fewer than 3"), turns.take():
        pass
    ending.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "second", "second"]
    with turns.take():
        pass
    with pytest.raises(RuntimeError), turns.take():
        raise RuntimeError
    with turns.take():
        pass
