"""The executor over a dask cluster, against real schedulers and workers."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import uuid
from concurrent import futures
from pathlib import Path

import cluster_processes
import pytest
from cluster_processes import LIMIT, Cluster, Gate, through
from lisle import futures as drop_in
from lisle.futures import BrokenCluster, connect


@pytest.fixture(scope="module")
def dask():
    pytest.importorskip("distributed", reason="dask is not installed (requirements-dask.txt)")
    import cloudpickle

    # The workers cannot import the tests; so what is defined here crosses by value.
    modules = [sys.modules[__name__], cluster_processes]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in modules:
        cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture(scope="module")
def cluster(dask, tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@contextlib.contextmanager
def connected(cluster, **options):
    """An executor whose end is not waited for without a limit, should a call never end."""
    executor = connect(cluster.url, **{"timeout": LIMIT, **options})
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        executor._delivery.join(LIMIT)
    assert not executor._delivery.is_alive()


@pytest.fixture
def executor(cluster):
    with connected(cluster) as executor:
        yield executor


@pytest.fixture
def gate():
    with Gate() as gate:
        yield gate


@pytest.fixture(params=[futures, drop_in], ids=["standard", "lisle"])
def module(request):
    """Where the program has its futures from."""
    return request.param


@pytest.fixture
def local(module):
    with module.ThreadPoolExecutor(2) as pool:
        yield pool


def observer(executor):
    """A client of dask's own, to look at what the executor does."""
    import distributed

    return distributed.Client(executor._url.replace("dask", "tcp"), set_as_default=False)


def until_the_scheduler_knows(executor, count):
    """Waits until that is the number of its calls."""
    deadline = time.monotonic() + LIMIT
    with observer(executor) as client:
        while client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) != count:
            assert time.monotonic() < deadline


# Connecting.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:8786",
        "tcp://host:8786",
        "dask://",
        "dask://:8786",
        "dask://host:0",
        "dask://host:99999",
        "dask://host:port",
        "dask://host:8786/status",
        "dask://user@host:8786",
        "dask://[::1:8786",
    ],
)
def test_wrong_urls_are_refused(url):
    with pytest.raises(ValueError, match="dask://host:8786"):
        connect(url)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_the_time_limit_is_a_positive_number(timeout):
    with pytest.raises(ValueError, match="timeout"):
        connect("dask://127.0.0.1", timeout=timeout)


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lisle\[dask\]'"):
        connect("dask://127.0.0.1")


@pytest.mark.parametrize(
    ("options", "error"), [({"security": "tls"}, TypeError), ({"allow_other_workers": True}, ValueError)]
)
def test_options_are_checked_before_connecting(dask, options, error):
    with pytest.raises(error, match=next(iter(options))):
        connect("dask://127.0.0.1", **options)


@pytest.mark.parametrize("answer", [None, b"", b"SSH-2.0-OpenSSH"], ids=["deaf", "mute", "stranger"])
def test_no_scheduler_is_an_error_within_the_limit(dask, answer):
    with futures.ThreadPoolExecutor() as pool, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answer is not None:
            server.listen()
        url = "dask://127.0.0.1:%d" % server.getsockname()[1]
        start = time.monotonic()
        outcome = pool.submit(connect, url, timeout=1)
        if answer:
            server.settimeout(LIMIT)
            with server.accept()[0] as connection:
                connection.sendall(answer)
                outcome.exception(LIMIT)
        with pytest.raises(ConnectionError, match=url):
            outcome.result(LIMIT)
        assert time.monotonic() - start < 5


def test_connecting_leaves_the_default_of_dask_alone(executor):
    import distributed

    with pytest.raises(ValueError):
        distributed.get_client()


# Calls.


def test_futures_are_those_of_the_standard_library(executor):
    assert isinstance(executor, futures.Executor)
    future = executor.submit(pow, 2, 10)
    assert isinstance(future, futures.Future)
    assert future.result(LIMIT) == 1024
    assert future.done() and not future.cancelled() and not future.cancel()


def test_arguments_cross_as_they_are(executor):
    # `key`, `pure` and the like are also names of options of dask's own submit.
    kwargs = {"key": 1, "pure": True, "workers": ["w"], "self": 0, "fn": len}
    assert executor.submit(dict, **kwargs).result(LIMIT) == kwargs
    nested = [(len, "abc"), {"a": (sum, [1])}]
    assert executor.submit(list, nested).result(LIMIT) == nested


def test_equal_calls_run_each(executor):
    first, second = executor.submit(uuid.uuid4), executor.submit(uuid.uuid4)
    assert first.result(LIMIT) != second.result(LIMIT)


def test_many_threads_submit(executor, local):
    batches = local.map(lambda n: [executor.submit(divmod, n, k) for k in range(1, 51)], range(4))
    for n, batch in enumerate(batches):
        assert [f.result(LIMIT) for f in batch] == [divmod(n, k) for k in range(1, 51)]


def test_mixed_with_local_futures(executor, module, local, gate):
    held = executor.submit(through, gate.address, 1)
    gate.arrival()
    done, waiting = module.wait([held, local.submit(abs, -1)], LIMIT, module.FIRST_COMPLETED)
    assert {f.result() for f in done} == {1} and waiting == {held}

    everything = [held, *(pool.submit(abs, -n) for pool in (executor, local) for n in (2, 3))]
    completed = module.as_completed(everything, LIMIT)
    assert sorted(next(completed).result() for _ in range(4)) == [2, 2, 3, 3]
    gate.open()
    assert next(completed) is held

    done, waiting = module.wait(everything, LIMIT)
    assert done == set(everything) and not waiting


def test_callbacks_may_submit_and_are_not_on_the_event_loop(executor):
    answers = []
    again = threading.Event()

    def second(future):
        answers.append((future.result(), threading.current_thread()))
        again.set()

    def first(future):
        executor.submit(abs, -future.result()).add_done_callback(second)

    executor.submit(int, "-7").add_done_callback(first)
    assert again.wait(LIMIT)
    assert answers == [(7, executor._delivery)]


def test_the_cluster_forgets_results(executor):
    assert executor.submit(abs, -1).result(LIMIT) == 1
    until_the_scheduler_knows(executor, 0)


# Errors.


class Awkward(Exception):
    """Pickles, but cannot be unpickled: a common slip."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")


class Poison:
    """A reply that cannot be unpickled."""

    def __reduce__(self):
        return int, ("not a number",)


def raiser(error):
    raise error


def innermost_frame_of_the_call():
    try:
        {}["missing"]
    except KeyError as cause:
        raise LookupError("no such thing", 7) from cause


def test_exceptions_come_with_their_traceback_and_cause(executor):
    future = executor.submit(innermost_frame_of_the_call)
    with pytest.raises(LookupError) as caught:
        future.result(LIMIT)
    assert caught.value.args == ("no such thing", 7)
    assert isinstance(caught.value.__cause__, KeyError)
    assert "innermost_frame_of_the_call" in "".join(traceback.format_tb(caught.value.__traceback__))


def test_exceptions_that_do_not_cross_say_what_they_were(executor):
    future = executor.submit(lambda: raiser(Awkward(5, "spoilt")))
    with pytest.raises(Exception, match="5: spoilt"):
        future.result(LIMIT)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_exits_end_the_call_and_no_worker(executor, error):
    pid = executor.submit(os.getpid)
    with pytest.raises(type(error)):
        executor.submit(raiser, error).result(LIMIT)
    with observer(executor) as client:
        workers = client.run(os.getpid).values()
    assert pid.result(LIMIT) in workers and len(workers) == 2


def test_what_does_not_pickle_fails_its_own_future(executor):
    fine = [executor.submit(abs, n) for n in range(3)]
    for future in (
        executor.submit(len, threading.Lock()),
        executor.submit(lambda: threading.Lock()),
    ):
        with pytest.raises(TypeError, match="pickle"):
            future.result(LIMIT)
    with pytest.raises(ValueError, match="not a number"):
        executor.submit(Poison).result(LIMIT)
    assert [f.result(LIMIT) for f in fine] == [0, 1, 2]


def test_calls_that_raise_are_run_again_if_asked_for(cluster, tmp_path):
    marks = tmp_path / "marks"

    def fails_twice():
        with marks.open("a") as file:
            file.write("x")
        if marks.stat().st_size < 3:
            raise OSError("not yet")
        return "done"

    with connected(cluster, retries=2) as executor:
        assert executor.submit(fails_twice).result(LIMIT) == "done"
    assert marks.read_text() == "xxx"


# Cancelling.


def test_a_cancelled_call_does_not_start(executor, gate):
    held = [executor.submit(through, gate.address, n) for n in (1, 2)]
    assert {gate.arrival()[0], gate.arrival()[0]} == {1, 2}
    unstarted = executor.submit(through, gate.address, 3)
    after = executor.submit(through, gate.address, 4)
    until_the_scheduler_knows(executor, 4)
    assert unstarted.cancel() and unstarted.cancelled()
    until_the_scheduler_knows(executor, 3)
    assert futures.wait([unstarted], LIMIT).done == {unstarted}
    gate.open()
    assert [f.result(LIMIT) for f in (*held, after)] == [1, 2, 4]
    assert [n for n, _ in gate.rest()] == [4]


def test_a_call_cancelled_while_it_runs_gives_nothing(executor, gate):
    held = executor.submit(through, gate.address, 1)
    gate.arrival()
    assert held.cancel()
    with pytest.raises(futures.CancelledError):
        held.result(LIMIT)
    gate.open()
    assert executor.submit(abs, -1).result(LIMIT) == 1


# Map.


@pytest.mark.parametrize("chunksize", [1, 7, 100])
@pytest.mark.parametrize("buffersize", [None, 2])
def test_map_keeps_the_order(executor, chunksize, buffersize):
    options = {"chunksize": chunksize, "buffersize": buffersize, "timeout": LIMIT}
    assert list(executor.map(divmod, range(50), range(1, 60), **options)) == [
        divmod(n, n + 1) for n in range(50)
    ]
    assert list(executor.map(abs, [], **options)) == []


def test_map_checks_its_arguments(executor):
    for options, error in [
        ({"chunksize": 0}, ValueError),
        ({"buffersize": 0}, ValueError),
        ({"buffersize": 1.5}, TypeError),
    ]:
        with pytest.raises(error):
            executor.map(abs, [1], **options)


def test_map_submits_at_once_or_as_far_as_asked(executor):
    taken = []

    def numbers():
        for n in range(6):
            taken.append(n)
            yield n

    executor.map(abs, numbers())
    assert taken == [0, 1, 2, 3, 4, 5]

    del taken[:]
    results = executor.map(abs, numbers(), buffersize=2)
    assert taken == [0, 1]
    assert next(results) == 0 and taken == [0, 1, 2]
    assert list(results) == [1, 2, 3, 4, 5]


def test_map_ends_at_its_time_limit_and_cancels_the_rest(executor, gate):
    results = executor.map(functools.partial(through, gate.address), range(4), timeout=0.05)
    with pytest.raises(futures.TimeoutError):
        next(results)
    # Would wait for the gate if they were not cancelled.
    executor.shutdown(wait=False)
    executor._delivery.join(LIMIT)
    assert not executor._delivery.is_alive()


def test_map_raises_where_the_call_raised(executor):
    results = executor.map(lambda n: 6 // n, [3, 2, 0, 1], timeout=LIMIT)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


# The end of an executor.


def test_shutdown_waits_and_leaves_the_cluster(cluster):
    with connect(cluster.url) as executor:
        pending = [executor.submit(abs, -n) for n in range(20)]
    assert [f.result(0) for f in pending] == list(range(20))
    executor.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, 1)
    with connected(cluster) as executor:
        assert executor.submit(abs, -1).result(LIMIT) == 1


def test_shutdown_without_waiting(cluster, gate):
    executor = connect(cluster.url)
    pending = [executor.submit(through, gate.address, n) for n in range(3)]
    executor.shutdown(wait=False)
    assert not any(f.done() for f in pending)
    gate.open()
    assert [f.result(LIMIT) for f in pending] == [0, 1, 2]
    executor.shutdown()
    assert not executor._delivery.is_alive() and executor._client.status == "closed"


def test_shutdown_cancels(cluster, gate):
    executor = connect(cluster.url)
    pending = [executor.submit(through, gate.address, n) for n in range(5)]
    gate.arrival()
    executor.shutdown(wait=False, cancel_futures=True)
    executor._delivery.join(LIMIT)
    assert all(f.cancelled() for f in pending)
    assert futures.wait(pending, 0).done == set(pending)


def test_a_dropped_executor_ends(cluster):
    executor = connect(cluster.url)
    future = executor.submit(abs, -1)
    delivery, client = executor._delivery, executor._client
    del executor
    gc.collect()
    assert future.result(LIMIT) == 1  # not before its calls
    del future
    gc.collect()
    delivery.join(LIMIT)
    assert not delivery.is_alive() and client.status == "closed"


@pytest.mark.parametrize("way", [[], ["-m", "lisle"]], ids=["python", "python -m lisle"])
def test_calls_are_completed_at_exit(cluster, tmp_path, way):
    mark = tmp_path / "mark"
    program = (
        "import sys; from pathlib import Path; from lisle.futures import connect\n"
        "connect(sys.argv[1]).submit(Path(sys.argv[2]).write_text, 'done').add_done_callback(print)"
    )
    run = subprocess.run(
        [sys.executable, *way, "-c", program, cluster.url, str(mark)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=LIMIT,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "state=finished" in run.stdout and mark.read_text() == "done"


# What dies.


def test_every_result_arrives_though_a_worker_is_killed(dask, tmp_path, gate):
    with Cluster(tmp_path) as cluster, connected(cluster) as executor:
        pending = [executor.submit(through, gate.address, n) for n in range(30)]
        mapped = executor.map(abs, range(-30, 0), chunksize=4)
        (lost, victim), (_, survivor) = gate.arrival(), gate.arrival()
        assert victim != survivor
        cluster.worker(victim).kill(signal.SIGKILL)
        gate.open()
        assert [f.result(LIMIT) for f in pending] == list(range(30))
        assert list(mapped) == list(range(30, 0, -1))
        # The call that was killed ran again, and where it could.
        assert (lost, survivor) in gate.rest()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_scheduler_fails_the_calls(dask, tmp_path, gate, number):
    with Cluster(tmp_path) as cluster, connected(cluster, timeout=1) as executor:
        pending = [executor.submit(through, gate.address, n) for n in range(10)]
        gate.arrival()
        cluster.scheduler.kill(number)
        done, waiting = futures.wait(pending, LIMIT)
        assert not waiting
        for future in done:
            with pytest.raises(BrokenCluster, match=cluster.url):
                future.result()
        with pytest.raises(futures.BrokenExecutor, match=cluster.url):
            # Until dask gives up to reconnect, it is the future that fails.
            while True:
                executor.submit(abs, -1).result(LIMIT)


def test_the_processes_of_a_cluster_end_with_it(dask, tmp_path):
    with Cluster(tmp_path) as cluster:
        pids = [process.popen.pid for process in cluster.processes]
    assert len(pids) == 3
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
