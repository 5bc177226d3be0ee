import concurrent.futures as _standard
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    ALL_COMPLETED as ALL_COMPLETED,
    FIRST_COMPLETED as FIRST_COMPLETED,
    FIRST_EXCEPTION as FIRST_EXCEPTION,
    BrokenExecutor as BrokenExecutor,
    CancelledError as CancelledError,
    Executor as Executor,
    InvalidStateError as InvalidStateError,
    ProcessPoolExecutor as ProcessPoolExecutor,
    TimeoutError as TimeoutError,
)
from concurrent.futures._base import DoneAndNotDoneFutures
from typing import Any, TypeVar, overload
from typing_extensions import TypeVarTuple, Unpack

from ._cluster import BrokenCluster as BrokenCluster, ClusterExecutor as ClusterExecutor, connect as connect
from ._lisle import FutureBase, PoolBase

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenCluster",
    "BrokenExecutor",
    "CancelledError",
    "ClusterExecutor",
    "Executor",
    "Future",
    "InvalidStateError",
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "TimeoutError",
    "as_completed",
    "connect",
    "wait",
]

if sys.version_info >= (3, 14):
    from concurrent.futures import InterpreterPoolExecutor as InterpreterPoolExecutor

    __all__ += ["InterpreterPoolExecutor"]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

class Future(FutureBase[_T], _standard.Future[_T]): ...

# They take the futures of all executors.
def wait(
    fs: Iterable[_standard.Future[_T]], timeout: float | None = None, return_when: str = "ALL_COMPLETED"
) -> DoneAndNotDoneFutures[_T]: ...
def as_completed(
    fs: Iterable[_standard.Future[_T]], timeout: float | None = None
) -> Iterator[_standard.Future[_T]]: ...

class ThreadPoolExecutor(PoolBase, _standard.ThreadPoolExecutor):
    @overload
    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[[], object] | None = None,
        initargs: tuple[()] = (),
        *,
        max_pending: int | None = None,
        daemon: bool = False,
        help: bool = False,
        **ctxkwargs: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        *,
        initializer: Callable[[Unpack[_Ts]], object],
        initargs: tuple[Unpack[_Ts]],
        max_pending: int | None = None,
        daemon: bool = False,
        help: bool = False,
        **ctxkwargs: Any,
    ) -> None: ...
    @overload
    def __init__(
        self,
        max_workers: int | None,
        thread_name_prefix: str,
        initializer: Callable[[Unpack[_Ts]], object],
        initargs: tuple[Unpack[_Ts]],
        *,
        max_pending: int | None = None,
        daemon: bool = False,
        help: bool = False,
        **ctxkwargs: Any,
    ) -> None: ...
    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]: ...
    def shutdown(
        self, wait: bool = True, *, cancel_futures: bool = False, timeout: float | None = None
    ) -> None: ...
