"""`Future`: what it does, and what programs do with its insides."""

import asyncio
import concurrent.futures as stock
import copy
import gc
import logging
import threading
import traceback
import weakref

import pytest
from conftest import LONG, Waiter

import lisle
from lisle import futures


def finished(result=None):
    future = futures.Future()
    future.set_result(result)
    return future


def failed(exception):
    future = futures.Future()
    future.set_exception(exception)
    return future


def test_it_is_a_future_of_the_standard_library():
    future = futures.Future()
    assert isinstance(future, stock.Future)
    assert (type(future).__name__, type(future).__module__) == ("Future", "concurrent.futures._base")
    assert futures.Future[int].__origin__ is futures.Future
    assert weakref.ref(future)() is future
    future.mine = 1
    assert future.__dict__ == {"mine": 1}
    for name in ("CancelledError", "InvalidStateError", "TimeoutError", "BrokenExecutor", "Executor", "ALL_COMPLETED"):
        assert getattr(futures, name) is getattr(stock, name)


def test_its_states():
    future = futures.Future()
    assert (future.running(), future.done(), future.cancelled(), future._state) == (False, False, False, "PENDING")
    assert future.set_running_or_notify_cancel() is True
    assert (future.running(), future.done(), future.cancelled(), future._state) == (True, False, False, "RUNNING")
    assert not future.cancel()
    future.set_result(7)
    assert (future.running(), future.done(), future.cancelled(), future._state) == (False, True, False, "FINISHED")
    assert future.result() == future.result(timeout=0) == 7 and future.exception() is None
    assert not future.cancel()
    future = futures.Future()
    assert future.cancel() and future.cancel() and future.done() and future._state == "CANCELLED"
    assert future.set_running_or_notify_cancel() is False and future._state == "CANCELLED_AND_NOTIFIED"
    for call in (future.result, future.exception):
        with pytest.raises(stock.CancelledError):
            call()


@pytest.mark.parametrize("make", [futures.Future, stock.Future])
def test_its_words_are_those_of_the_standard_library(make, caplog):
    future = make()
    at = f"<Future at {id(future):#x} state="
    assert repr(future) == at + "pending>"
    future.set_running_or_notify_cancel()
    assert repr(future) == at + "running>"
    with pytest.raises(RuntimeError, match="^Future in unexpected state$"):
        future.set_running_or_notify_cancel()
    assert caplog.messages == [f"Future {id(future)} in unexpected state: RUNNING"]
    future.set_result("x")
    assert repr(future) == at + "finished returned str>"
    for call in (future.set_result, future.set_exception):
        with pytest.raises(stock.InvalidStateError) as error:
            call(None)
        assert str(error.value) == f"FINISHED: {future!r}"
    future = make()
    future.set_exception(KeyError())
    assert repr(future) == f"<Future at {id(future):#x} state=finished raised KeyError>"
    future = make()
    future.cancel()
    assert repr(future) == f"<Future at {id(future):#x} state=cancelled>"
    with pytest.raises(stock.InvalidStateError) as error:
        future.set_result(1)
    assert str(error.value) == f"CANCELLED: {future!r}"


def test_wrong_arguments():
    future = futures.Future()
    for call in (
        lambda: futures.Future(1),
        lambda: future.set_result(),
        lambda: future.set_result(1, 2),
        lambda: future.result(limit=1),
        lambda: future.result("1"),
        lambda: future.add_done_callback(),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(OverflowError):
        future.result(1e300)
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimeoutError):
            future.result(timeout=timeout)
        with pytest.raises(TimeoutError):
            future.exception(timeout)


def test_a_thread_waits_for_the_result(in_thread):
    future = futures.Future()
    waiters = [in_thread(future.result), in_thread(future.result, LONG), in_thread(future.exception)]
    future.set_result("x")
    assert [waiter.outcome() for waiter in waiters] == ["x", "x", None]
    future = futures.Future()
    waiters = [in_thread(future.result), in_thread(future.exception)]
    future.set_exception(error := ValueError("no"))
    with pytest.raises(ValueError) as raised:
        waiters[0].outcome()
    assert raised.value is error is waiters[1].outcome()
    future = futures.Future()
    waiter = in_thread(future.result)
    assert future.cancel()
    with pytest.raises(stock.CancelledError):
        waiter.outcome()


def test_a_wait_is_interrupted(in_thread):
    future = futures.Future()
    waiter = in_thread(future.result)
    assert lisle.threading.Thread.interrupt(waiter)
    with pytest.raises(lisle.ThreadInterrupted):
        waiter.outcome()
    future.set_result(1)
    assert future.result() == 1


def test_callbacks_are_called_in_their_order_with_exceptions_logged(caplog):
    seen = []
    future = futures.Future()
    future.add_done_callback(lambda future: seen.append(("first", future.result())))
    future.add_done_callback(fn=lambda future: 1 / 0)
    future.add_done_callback(lambda future: seen.append(("third", future.done())))
    future.set_result(5)
    assert seen == [("first", 5), ("third", True)]
    future.add_done_callback(lambda future: seen.append("late"))
    future.add_done_callback(lambda future: [][1])
    assert seen[2:] == ["late"]
    assert caplog.messages == [f"exception calling callback for {future!r}"] * 2
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError, IndexError]
    assert {(record.name, record.levelno) for record in caplog.records} == {("concurrent.futures", logging.ERROR)}


def test_what_is_no_exception_comes_out_of_set_result():
    future = futures.Future()

    def leave(_):
        raise SystemExit(3)

    future.add_done_callback(leave)
    with pytest.raises(SystemExit):
        future.set_result(1)
    assert future.result() == 1


def test_a_callback_is_called_when_it_is_cancelled():
    future, seen = futures.Future(), []
    future.add_done_callback(seen.append)
    future.cancel()
    future.set_running_or_notify_cancel()
    assert seen == [future]


def test_what_is_raised_is_the_exception_itself_with_its_traceback():
    def deep():
        raise LookupError("deep")

    try:
        deep()
    except LookupError as error:
        future = failed(error)
    for _ in range(3):
        with pytest.raises(LookupError) as raised:
            future.result()
        assert raised.value is future.exception()
        frames = [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)]
        assert frames[-1] == "deep" and frames[0] == "test_what_is_raised_is_the_exception_itself_with_its_traceback"


def test_any_object_can_be_the_exception():
    with pytest.raises(KeyError):
        failed(KeyError).result()
    with pytest.raises(TypeError, match="exceptions must derive from BaseException"):
        failed(5).result()
    assert failed(None).result() is None

    class Empty(Exception):
        def __len__(self):
            return 0

    with pytest.raises(Empty):
        failed(Empty()).result()
    with pytest.raises(KeyboardInterrupt):
        failed(KeyboardInterrupt()).result()


# The insides.


def test_a_state_that_is_set_from_outside_wakes_those_who_wait(in_thread):
    future = futures.Future()
    waiters = [in_thread(future.result), in_thread(future.result, LONG), in_thread(future.exception, LONG)]
    with future._condition:
        future._state = "FINISHED"
        future._result = 42
        future._condition.notify_all()
    assert [waiter.outcome() for waiter in waiters] == [42, 42, None]
    assert future.result() == 42 and future.done() and repr(future).endswith("state=finished returned int>")


def test_waiters_in_both_modes_are_woken(in_thread):
    future = futures.Future()
    plain = in_thread(future.result)
    assert future._waiters == [] and future._done_callbacks == []
    exposed = in_thread(future.result)
    future.set_result(1)
    assert plain.outcome() == exposed.outcome() == 1


def test_a_limit_holds_across_the_change(in_thread):
    future = futures.Future()
    waiter = in_thread(future.result, 0.2)
    future._condition  # noqa: B018
    with pytest.raises(TimeoutError):
        waiter.outcome()


def test_reading_does_not_change_the_mode():
    future = finished(3)
    assert (future._state, future._result, future._exception) == ("FINISHED", 3, None)
    error = KeyError()
    assert (failed(error)._exception, failed(error)._result) == (error, None)


def test_an_exposed_future_does_all_that_a_plain_one_does():
    seen = []
    future = futures.Future()
    future.add_done_callback(seen.append)
    assert future._done_callbacks == [seen.append]
    future._done_callbacks.append(lambda future: seen.append("mine"))
    assert isinstance(future._condition, type(threading.Condition()))
    assert not future.done() and not future.running() and not future.cancelled()
    assert future.set_running_or_notify_cancel() and future.running()
    with pytest.raises(TimeoutError):
        future.result(0)
    future.set_exception(KeyError("x"))
    assert seen == [future, "mine"] and future.done()
    with pytest.raises(KeyError):
        future.result()
    with pytest.raises(stock.InvalidStateError):
        future.set_result(1)
    future = futures.Future()
    future._waiters.append(waiter := stock._base._FirstCompletedWaiter())
    assert future.cancel() and future.cancelled() and not future.set_running_or_notify_cancel()
    assert waiter.finished_futures == [future] and waiter.event.is_set()


def test_states_from_outside():
    future = futures.Future()
    with pytest.raises(ValueError):
        future._state = "LOST"
    for state in ("RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED", "PENDING"):
        future._state = "".join(state)
        assert future._state == state
    with pytest.raises(AttributeError):
        del future._state
    with pytest.raises(AttributeError):
        del future._result
    future.__init__()
    future.set_result(1)
    assert future.result() == 1


def test_a_subclass_calls_and_overrides_invoke_callbacks():
    seen = []

    class Loud(futures.Future):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def _invoke_callbacks(self):
            seen.append(self.name)
            super()._invoke_callbacks()

    for name, end in (
        ("set", lambda future: future.set_result(1)),
        ("failed", lambda future: future.set_exception(KeyError())),
        ("cancelled", lambda future: future.cancel()),
    ):
        future = Loud(name)
        future.add_done_callback(lambda future: seen.append(future._state))
        end(future)
    assert seen == ["set", "FINISHED", "failed", "FINISHED", "cancelled", "CANCELLED"]

    class Late(futures.Future):
        """Calls its callbacks when it is told to."""

        def _invoke_callbacks(self):
            pass

        def flush(self):
            super()._invoke_callbacks()

    future = Late()
    future.add_done_callback(seen.append)
    future.set_result(1)
    assert future not in seen
    future.flush()
    assert seen[-1] is future


@pytest.mark.parametrize("module", [futures, stock], ids=["lisle", "stock"])
def test_a_copy_shares_its_parts(module):
    done, failed, pending = module.Future(), module.Future(), module.Future()
    done.set_result(1)
    failed.set_exception(KeyError())
    done.attribute = []
    twin = copy.copy(done)
    assert type(twin) is module.Future and twin.result(0) == 1 and twin.attribute is done.attribute
    assert twin._condition is done._condition
    assert copy.copy(failed).exception(0) is failed.exception(0)
    twin, told = copy.copy(pending), []
    twin.add_done_callback(told.append)
    pending.set_result(2)
    assert told == [pending] and not twin.done()
    with pytest.raises(TypeError, match="cannot pickle '_thread.RLock' object"):
        copy.deepcopy(pending)


def test_a_subclass_that_does_not_call_init():
    class Lazy(futures.Future):
        def __init__(self, *args):
            pass

    future = Lazy(1, 2, 3)
    future.set_result(1)
    assert future.result() == 1


# The collector.


def test_cycles_through_futures_are_collected():
    class Mark:
        pass

    marks = []
    for expose in (False, True):
        future, mark = futures.Future(), Mark()
        future.mine, mark.future = mark, future
        future.add_done_callback(lambda _, mark=mark: None)
        if expose:
            future._condition  # noqa: B018
        future.set_result(future)
        marks.append(weakref.ref(mark))
        future, mark = futures.Future(), Mark()
        error = KeyError()
        error.future, error.mark = future, mark
        future.set_exception(error)
        marks.append(weakref.ref(mark))
    del future, mark, error
    gc.collect()
    assert [mark() for mark in marks] == [None] * 4


def test_a_result_that_was_raised_leaves_no_cycle():
    class Error(Exception):
        pass

    def call():
        try:
            failed(Error()).result()
        except Error as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


# asyncio, with nothing installed.


def test_asyncio_takes_it():
    async def main():
        loop = asyncio.get_running_loop()
        future = futures.Future()
        threading.Timer(0.01, future.set_result, [5]).start()
        assert await asyncio.wrap_future(future) == 5
        with pytest.raises(KeyError):
            await asyncio.wrap_future(failed(KeyError()))
        future = futures.Future()
        wrapped = asyncio.wrap_future(future)
        wrapped.cancel()
        await asyncio.sleep(0)
        assert future.cancelled()
        with futures.ThreadPoolExecutor(2) as pool:
            assert await loop.run_in_executor(pool, pow, 2, 5) == 32
            loop.set_default_executor(pool)
            assert await asyncio.to_thread(sum, [1, 2]) == 3
            assert await asyncio.gather(*(loop.run_in_executor(None, pow, n, 2) for n in range(20))) == [
                n * n for n in range(20)
            ]
            await loop.shutdown_default_executor()

    asyncio.run(main())


def test_run_coroutine_threadsafe_gives_one_that_can_be_waited_for():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "x"), loop)
        assert futures.wait([future, finished()], LONG).not_done == set()
        assert future.result() == "x"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LONG)
        loop.close()


def test_each_of_many_who_race_to_set_it_knows_whether_it_did():
    for _ in range(200):
        future = futures.Future()
        barrier = threading.Barrier(4)

        def race(number, future=future, barrier=barrier):
            barrier.wait(LONG)
            try:
                if number == 3:
                    return number if future.cancel() else None
                future.set_result(number)
                return number
            except stock.InvalidStateError:
                return None

        racers = [Waiter(race, number) for number in range(4)]
        for racer in racers:
            racer.start()
        won = [number for number in (racer.outcome() for racer in racers) if number is not None]
        assert len(won) == 1
        assert future.cancelled() if won == [3] else future.result() == won[0]
