"""Long calls can be stopped, let Python run meanwhile, and work in a forked process."""

import contextlib
import dis
import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import NoReturn

import numpy as np
import pytest

import tiercel

DIM = 32


def random_rows(count: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, DIM), dtype=np.float32)


# Far more than is linked before the first progress report, so that no machine finishes first.
MANY = random_rows(300_000)
FEW = random_rows(2_000)


@pytest.fixture
def index() -> tiercel.Index:
    index = tiercel.Index(DIM, "l2")
    index.add(FEW)
    return index


def assert_unharmed(index: tiercel.Index) -> None:
    assert index.ids.tolist() == list(range(len(FEW)))
    assert index.search(FEW[:50], 1, recall=1).ids[:, 0].tolist() == list(range(50))
    assert index.add(MANY[:10] + 1).shape == (10,)
    assert len(index) == len(FEW) + 10


@pytest.mark.usefixtures("simd")
def test_ctrl_c_stops_an_add_and_adds_nothing(index: tiercel.Index) -> None:
    started = threading.Event()

    def interrupt() -> None:
        assert started.wait(60)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        index.add(MANY, threads=1, progress=lambda _done, _total: started.set())
    thread.join()
    assert_unharmed(index)


@pytest.mark.parametrize("name", ["add", "upsert", "optimize"])
def test_ctrl_c_stops_a_call_that_waits_for_another_build(index: tiercel.Index, name: str) -> None:
    building, interrupted, enough = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        match name:
            case "add":
                index.add(MANY[:1], ids=[10**9])
            case "upsert":
                index.upsert([10**9], MANY[:1])
            case _:
                index.optimize()

    def is_called() -> bool:
        """Whether the main thread is within the call, where it has let go of the GIL."""
        frame = sys._current_frames()[threading.main_thread().ident or 0]
        within = frame.f_code is call.__code__
        return within and dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("CALL")

    def report(_done: int, _total: int) -> None:
        building.set()
        if not interrupted.is_set() and is_called():
            interrupted.set()
            signal.raise_signal(signal.SIGINT)
        if enough.is_set():
            raise InterruptedError

    def build() -> None:
        with contextlib.suppress(InterruptedError):
            index.add(MANY, threads=1, progress=report)

    thread = threading.Thread(target=build)
    thread.start()
    assert building.wait(60)
    with pytest.raises(KeyboardInterrupt):
        call()
    assert thread.is_alive(), "the call waited for the build"
    enough.set()
    thread.join()
    assert 10**9 not in index


@contextlib.contextmanager
def interrupted_at_work() -> Iterator[None]:
    """Ctrl-C after some processor time: within the call, however busy or fast the machine is."""
    if sys.platform == "win32":
        pytest.skip("this system has no timer of processor time")
    before = signal.signal(signal.SIGPROF, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_PROF, 0.02)
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.mark.usefixtures("simd")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_batch_of_queries(index: tiercel.Index, threads: int) -> None:
    finished = False
    with interrupted_at_work():
        index.search(MANY, 10, recall=1, threads=threads)
        finished = True
    assert not finished
    assert_unharmed(index)


def test_ctrl_c_stops_a_range_search(index: tiercel.Index) -> None:
    finished = False
    with interrupted_at_work():
        index.range_search(MANY, 0.0, threads=1)
        finished = True
    assert not finished
    assert_unharmed(index)


def test_another_handler_may_raise_what_it_likes(index: tiercel.Index) -> None:
    class Stop(Exception):
        pass

    def stop(_signal: int, _frame: object) -> NoReturn:
        raise Stop

    def interrupt() -> None:
        assert started.wait(60)
        signal.raise_signal(signal.SIGTERM)

    started = threading.Event()
    before = signal.signal(signal.SIGTERM, stop)
    try:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(Stop):
            index.add(MANY, threads=1, progress=lambda _done, _total: started.set())
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert_unharmed(index)


def test_python_runs_while_vectors_are_added(index: tiercel.Index) -> None:
    class Enough(Exception):
        pass

    steps = 0
    done = threading.Event()

    def count() -> None:
        nonlocal steps
        while not done.is_set():
            steps += 1

    def look(_done: int, _total: int) -> None:
        if steps > 100_000:
            raise Enough

    thread = threading.Thread(target=count)
    thread.start()
    # If the GIL were held, nobody would count and the call would run to its end.
    with pytest.raises(Enough):
        index.add(MANY, threads=1, progress=look)
    done.set()
    thread.join()
    assert_unharmed(index)


def test_searches_go_on_while_vectors_are_added(index: tiercel.Index) -> None:
    class Enough(Exception):
        pass

    done = threading.Event()
    answers: list[int] = []

    def search() -> None:
        while not done.is_set():
            answers.append(int(index.search(FEW[7], 1).ids[0]))

    def look(_done: int, _total: int) -> None:
        if len(answers) > 10:
            raise Enough

    thread = threading.Thread(target=search)
    thread.start()
    with pytest.raises(Enough):
        index.add(MANY, threads=1, progress=look)
    done.set()
    thread.join()
    assert set(answers) == {7}
    assert_unharmed(index)


def test_progress_only_grows_and_ends_at_the_total(index: tiercel.Index) -> None:
    seen: list[tuple[int, int]] = []
    thread = threading.get_ident()

    def progress(done: int, total: int) -> None:
        assert threading.get_ident() == thread
        seen.append((done, total))

    index.add(MANY[:10_000], progress=progress)
    index_calls = len(seen)
    assert index_calls >= 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert all(0 <= done <= total for done, total in seen)
    assert seen[-1][0] == seen[-1][1]


def in_child(index: tiercel.Index, answers: Connection) -> None:
    added = index.add(MANY[:3000], threads=2)
    index.optimize(threads=2)
    found = index.search(FEW, 1, recall=1, threads=2).ids[:, 0]
    answers.send((added.tolist(), found.tolist(), index.stats()["len"]))


@pytest.mark.usefixtures("simd")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_an_index_works_in_a_forked_process(index: tiercel.Index) -> None:
    context = multiprocessing.get_context("fork")
    # Threads of the parent have worked before the fork.
    index.search(FEW, 5, recall=1, threads=2)
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=in_child, args=(index, sending))
    with warnings.catch_warnings():
        # Python warns about threads that other libraries keep.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    assert receiving.poll(60)
    added, found, count = receiving.recv()
    child.join()
    assert child.exitcode == 0
    assert added == list(range(len(FEW), len(FEW) + 3000))
    assert found == list(range(len(FEW)))
    assert count == len(FEW) + 3000
    assert_unharmed(index)


def test_an_index_crosses_to_a_spawned_process(index: tiercel.Index) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        matches = pool.apply(nearest, (index, FEW[:5]))
    assert matches == [0, 1, 2, 3, 4]


def nearest(index: tiercel.Index, queries: np.ndarray) -> list[int]:
    return index.search(queries, 1, recall=1).ids[:, 0].tolist()
