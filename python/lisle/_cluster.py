"""An executor whose workers are the machines of a dask cluster.

Three threads meet here. The caller's thread pickles a call and puts it into the outbox. The event loop
sends what the outbox holds as one message and follows each call; all use of dask's client happens on it.
The delivery thread unpickles the replies and completes the futures: their callbacks are the user's code
and may take long, which would cost the event loop its heartbeats.

Calls and replies cross as bytes that only the two ends unpickle. So a reply that cannot be unpickled
fails its own future and no other, and the scheduler needs none of the user's modules.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import itertools
import math
import pickle
import queue
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlsplit

__all__ = ["BrokenCluster", "ClusterExecutor", "connect"]

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_PORT = 8786


class BrokenCluster(BrokenExecutor):
    """The cluster gave up a call, or cannot be reached any more."""


def connect(
    url: str,
    *,
    timeout: float = 10.0,
    retries: int = 0,
    priority: int = 0,
    workers: Iterable[str] | None = None,
    allow_other_workers: bool = False,
    resources: dict[str, float] | None = None,
    security: Any = None,
) -> ClusterExecutor:
    """Returns an executor over the dask cluster whose scheduler listens at `url`, ``dask://host:port``.

    `timeout` is the number of seconds that the scheduler has to answer. The others hold for every call:
    `retries`, how often one that raised is run again; `priority`, higher goes first; `workers`, the
    addresses or host names that may run it, with `allow_other_workers` if that is only a wish;
    `resources`, what it takes of those that the workers declare. `security`, a
    ``distributed.Security``, connects by TLS.

    Raises `ValueError` for a URL of another form, `ModuleNotFoundError` if dask is not installed, and
    `ConnectionError` if no scheduler answers in time.
    """
    host, port = _address(url)
    if not (timeout > 0 and math.isfinite(timeout)):
        raise ValueError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if allow_other_workers and workers is None:
        raise ValueError("allow_other_workers only has a meaning together with workers")
    distributed = _import("distributed")
    if not isinstance(security, (type(None), distributed.Security)):
        raise TypeError(f"security must be a distributed.Security, not {type(security).__name__}")
    security_options = {} if security is None else {"security": security}
    address = f"{'tcp' if security is None else 'tls'}://{host}:{port}"
    opened: Future[_Connection] = Future()
    # A daemon, like the delivery thread: what has to be completed before the process ends is seen to at
    # exit, see below.
    thread = threading.Thread(
        target=lambda: asyncio.run(_hold(opened, distributed, address, timeout, security_options)),
        name="lisle-cluster-loop",
        daemon=True,
    )
    thread.start()
    try:
        connection = opened.result()
    except ImportError:
        raise  # the cluster's dask is of another version
    except Exception as error:
        raise ConnectionError(
            f"no dask scheduler answered at {url} within {timeout:g} s; is it running there, and is this the "
            f"address of the scheduler, not that of its dashboard?"
        ) from error
    except BaseException:  # Ctrl-C
        opened.cancel()
        raise
    options = {
        "retries": retries,
        "priority": priority,
        "workers": None if workers is None else [workers] if isinstance(workers, str) else list(workers),
        "allow_other_workers": allow_other_workers,
        "resources": resources,
    }
    return ClusterExecutor(connection, url, options)


class ClusterExecutor(Executor):
    """Runs calls on a dask cluster; made by `connect`. Leaving it never stops the cluster."""

    def __init__(self, connection: _Connection, url: str, options: dict[str, Any]) -> None:
        self._client = connection.client
        self._loop = connection.loop
        self._url = url
        self._options = options
        self._dumps: Callable[[Any], bytes] = _import("cloudpickle").dumps
        self._run = _portable_run()
        # Guards the next three.
        self._lock = threading.Lock()
        self._outbox: list[_Call] = []
        # Every call that has not ended, with dask's future once it is sent: dask forgets a result that
        # no future of its own stands for.
        self._calls: dict[Future[Any], Any] = {}
        self._closed = False
        # The event loop itself holds tasks weakly.
        self._tasks: set[asyncio.Task[None]] = set()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._delivery = threading.Thread(
            target=_deliver, args=(self._inbox, connection), name="lisle-cluster", daemon=True
        )
        self._delivery.start()
        # For an executor that is dropped; the delivery thread does not hold it.
        weakref.finalize(self, self._inbox.put, None).atexit = False
        _open.add(self)
        _shut_down_at_exit()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}{' (shut down)' if self._closed else ''}>"

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._submit(fn, args, kwargs, each=False)

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        deadline = None if timeout is None else time.monotonic() + timeout
        rows = zip(*iterables)
        chunks = iter(lambda: list(itertools.islice(rows, chunksize)), [])

        def submitted(limit: int | None) -> Iterator[Future[list[T]]]:
            for chunk in itertools.islice(chunks, limit):
                yield self._submit(fn, chunk, {}, each=True)

        # As in the standard library: the calls are on their way before the first result is asked for.
        futures = deque(submitted(buffersize))

        def results() -> Iterator[T]:
            try:
                while futures:
                    left = None if deadline is None else deadline - time.monotonic()
                    values = futures[0].result(left)
                    futures.popleft()
                    futures.extend(submitted(1))
                    # What has been yielded is not held any longer.
                    values.reverse()
                    while values:
                        yield values.pop()
            finally:
                for future in futures:
                    future.cancel()

        return results()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        if not calls:
            self._inbox.put(None)
        if cancel_futures:
            for future in calls:
                future.cancel()
        if wait:
            self._delivery.join()

    # On the caller's thread.

    def _submit(self, fn: Callable[..., Any], args: Any, kwargs: dict[str, Any], each: bool) -> Future[Any]:
        """One call; with `each`, a call of `fn` for each of `args`, whose result is a list."""
        future: Future[Any] = Future()
        try:
            payload = self._dumps((fn, args, kwargs, each))
        except Exception as error:
            future.set_running_or_notify_cancel()
            future.set_exception(error)
            return future
        # The name is what dask's own tools show.
        key = f"{getattr(fn, '__name__', None) or type(fn).__name__}-{uuid.uuid4().hex}"
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._client.status == "closed":
                raise BrokenCluster(f"the connection to {self._url} is lost")
            if not self._outbox:
                self._on_loop(self._send)
            self._outbox.append(_Call(future, key, payload))
            self._calls[future] = None
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        if future.cancelled():
            self._on_loop(functools.partial(self._cancel, future))

    def _on_loop(self, work: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(work)

    # On the event loop.

    def _send(self) -> None:
        with self._lock:
            outbox, self._outbox = self._outbox, []
        calls = []
        for call in outbox:
            if call.future.cancelled():
                self._post(call.future)
            else:
                calls.append(call)
        if not calls:
            return
        try:
            remotes = self._client.map(
                self._run,
                [call.payload for call in calls],
                key=[call.key for call in calls],
                pure=False,  # the same call twice is two calls
                **self._options,
            )
        except Exception as cause:
            for call in calls:
                self._post(call.future, error=self._broken(cause))
            return
        for call, remote in zip(calls, remotes):
            with self._lock:
                self._calls[call.future] = remote
            self._spawn(self._follow(call.future, remote))

    async def _follow(self, future: Future[Any], remote: Any) -> None:
        reply: bytes | None = None
        error: BaseException | None
        try:
            error = await remote.exception()
            if error is None:
                reply = await remote
            else:
                error = error.with_traceback(await remote.traceback())
        except Exception as cause:
            # Not the call's: the cluster dropped it, or cannot be reached.
            error = self._broken(cause)
        self._post(future, reply, error)

    def _cancel(self, future: Future[Any]) -> None:
        # Nothing to do here for a call that is still in the outbox or has a reply: whoever takes it from
        # there finds it cancelled.
        remote = self._calls.get(future)
        if remote is not None:
            self._spawn(remote.cancel())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _post(
        self, future: Future[Any], reply: bytes | None = None, error: BaseException | None = None
    ) -> None:
        self._inbox.put(functools.partial(self._end, future, reply, error))

    def _broken(self, cause: Exception) -> BrokenCluster:
        broken = BrokenCluster(f"{self._url} will not complete this call: {cause or type(cause).__name__}")
        broken.__cause__ = cause
        return broken

    # On the delivery thread.

    def _end(self, future: Future[Any], reply: bytes | None, error: BaseException | None) -> None:
        value = None
        if reply is not None:
            try:
                value, error = pickle.loads(reply)
            except Exception as cause:
                error = cause
        with self._lock:
            remote = self._calls.pop(future)
            if self._closed and not self._calls:
                self._inbox.put(None)
        del remote  # the last one: with it, the cluster forgets the result
        if not future.set_running_or_notify_cancel():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


class _Call(NamedTuple):
    future: Future[Any]
    key: str
    payload: bytes


class _Connection(NamedTuple):
    client: Any
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    ends: asyncio.Event


async def _hold(
    opened: Future[_Connection], distributed: Any, address: str, timeout: float, security: dict[str, Any]
) -> None:
    """The life of a client, and of its event loop."""
    client = None
    try:
        # Not the default client: what else the program does with dask is not ours to redirect.
        client = distributed.Client(
            address, asynchronous=True, timeout=timeout, name="lisle", set_as_default=False, **security
        )
        # Its own limit does not hold for a server that accepts and then says nothing.
        await asyncio.wait_for(client, timeout)
    except BaseException as error:
        if opened.set_running_or_notify_cancel():
            opened.set_exception(error)
    else:
        if opened.set_running_or_notify_cancel():
            loop, ends = asyncio.get_running_loop(), asyncio.Event()
            opened.set_result(_Connection(client, loop, threading.current_thread(), ends))
            await ends.wait()
    if client is not None:
        with contextlib.suppress(Exception):  # that the cluster is gone is no error any more
            await client.close()


def _deliver(inbox: queue.SimpleQueue[Callable[[], None] | None], connection: _Connection) -> None:
    while (work := inbox.get()) is not None:
        work()
        del work  # else an idle thread keeps the last future and its executor
    connection.loop.call_soon_threadsafe(connection.ends.set)
    connection.thread.join()


def _portable_run() -> Callable[[bytes], bytes]:
    """What the workers run. A local function crosses by value: the workers need not have lisle."""

    def run(payload: bytes) -> bytes:
        import cloudpickle  # type: ignore[import-not-found, import-untyped, unused-ignore]

        fn, args, kwargs, each = cloudpickle.loads(payload)
        try:
            value = [fn(*row) for row in args] if each else fn(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt) as error:
            # Dask takes these for an order to the worker, and would go on to end the next one with it.
            return cloudpickle.dumps((None, error))  # type: ignore[no-any-return, unused-ignore]
        return cloudpickle.dumps((value, None))  # type: ignore[no-any-return, unused-ignore]

    return run


def _address(url: str) -> tuple[str, int]:
    wrong = ValueError(f"a cluster's URL has the form 'dask://host:{DEFAULT_PORT}', not {url!r}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme != "dask" or not host or port == 0 or extra:
        raise wrong
    return f"[{host}]" if ":" in host else host, port or DEFAULT_PORT


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"lisle.futures.connect needs dask ({error}); install it with: pip install 'lisle[dask]'",
            name=error.name,
        ) from error


_open: weakref.WeakSet[ClusterExecutor] = weakref.WeakSet()


def _shut_down_all() -> None:
    for executor in list(_open):
        executor.shutdown()


@functools.cache
def _shut_down_at_exit() -> None:
    # As with the standard executors, calls that were submitted are completed before the process ends.
    # This is the hook that they use; atexit would be too late, dask's event loop is gone by then.
    threading._register_atexit(_shut_down_all)  # type: ignore[attr-defined]
