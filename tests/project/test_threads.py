"""A thread that cannot start is no error; a Ctrl-C while one starts is never mistaken for that."""

import threading
from collections.abc import Callable, Iterator

import pytest

from tiercel.cache import Cache, Memory, Store
from tiercel.cache.pool import Pool


def interrupted(_: threading.Thread) -> None:
    """The error that CPython raises for a Ctrl-C at the wrong moment of `Thread.start`."""
    try:
        raise KeyboardInterrupt
    finally:
        raise RuntimeError("release unlocked lock")


def none_left(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.fixture(params=["pool", "cache", "prefetch"])
def begin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], object]]:
    """Something that starts a thread."""
    if request.param == "pool":
        yield lambda: Pool(1, "test").submit(int)
    elif request.param == "cache":
        with Cache([Memory(1 << 20), Store(tmp_path_factory.mktemp("store"), 1 << 20)]) as cache:
            yield lambda: cache.put("key", "value")
    else:
        with Cache([Memory(1 << 20)]) as cache:
            cache.prefetch(lambda key: key)

            def ask() -> None:
                for _ in range(40):
                    cache.get_many(["a", "b", "c"])

            yield ask


def test_ctrl_c_while_a_thread_starts_comes_through(
    begin: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            begin()
    begin()


def test_a_lack_of_threads_raises_nothing_even_while_another_ctrl_c_is_handled(
    begin: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", none_left)
        try:
            raise KeyboardInterrupt  # noqa: TRY301
        except KeyboardInterrupt:
            begin()
