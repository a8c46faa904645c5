import threading
from collections.abc import Iterator

import pytest

from trainables.data.sampling.prefetch import prefetch


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "prefetch"]


def test_items_come_in_order_and_are_made_ahead_but_not_far():
    made: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    ahead = prefetch(items(), depth=2)
    assert next(ahead) == 0
    assert third.wait(10)  # one is used, two wait, one is in the maker's hand
    assert made == [0, 1, 2, 3]
    assert list(ahead) == list(range(1, 20))
    assert not threads()


def test_an_error_comes_where_it_would_have_come():
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("of the second")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="of the second"):
        next(ahead)
    assert not threads()


def test_the_thread_ends_when_nobody_wants_more():
    ahead = prefetch(iter(range(10**9)))
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    assert not threads()
