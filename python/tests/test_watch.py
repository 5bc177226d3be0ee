"""Looking at a program: from inside, by signals, and by the program `lisle`."""

import ast
import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import LONG, Program, Waiter, command, dump_of, run, until

import lisle
from lisle import threading, watch

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
GATE = """
def gate():
    print("ready", flush=True)
    threading.Event().wait()
"""


def thread_of(snapshot, name):
    (thread,) = [thread for thread in snapshot["threads"] if thread["name"] == name]
    return thread


def waiting(snapshot):
    """The names of the program's threads that wait."""
    return {thread["name"] for thread in snapshot["threads"] if thread["wait"] and not thread["service"]}


def with_frames():
    """A snapshot with frames: on a busy machine the first may have none."""
    while (snapshot := watch.snapshot())["frames_missing"] is not None:
        assert "did not answer" in snapshot["frames_missing"]
    return snapshot


# From inside.


def test_frames_are_where_the_threads_are():
    done = threading.Event()

    def inner(depth):
        return inner(depth - 1) if depth else done.wait(LONG)

    def outer(depth):
        inner(depth)

    threads = [threading.Thread(target=outer, args=(depth,), name=f"deep-{depth}") for depth in (3, 600)]
    for thread in threads:
        thread.start()
    names = {thread.name for thread in threads}
    until(lambda: names <= waiting(watch.snapshot(frames=False)))
    now = with_frames()
    for depth, thread in zip((3, 600), threads):
        frames = thread_of(now, thread.name)["frames"]
        assert thread_of(now, thread.name)["native_id"] == thread.native_id
        names = [frame["function"] for frame in frames]
        innermost = inner.__code__.co_firstlineno + 1
        assert frames[0] == {"file": __file__, "line": innermost, "function": inner.__qualname__}
        if depth == 3:
            assert names[:5] == [inner.__qualname__] * 4 + [outer.__qualname__]
        else:
            # So many are enough to see what recurses.
            assert names[:256] == [inner.__qualname__] * 256 and names[256].endswith(" more frames")
    mine = next(thread for thread in now["threads"] if thread["native_id"] == threading.get_native_id())
    functions = [frame["function"] for frame in mine["frames"]]
    assert functions[0] == "snapshot" and test_frames_are_where_the_threads_are.__name__ in functions
    assert all(not thread["frames"] for thread in watch.snapshot(frames=False)["threads"])
    done.set()
    for thread in threads:
        thread.join()


def test_frames_of_generators_and_what_c_calls():
    seen = []

    def generator():
        seen.append([frame["function"] for frame in mine()])
        yield

    def mine():
        me = threading.get_native_id()
        return next(thread["frames"] for thread in with_frames()["threads"] if thread["native_id"] == me)

    sorted([1], key=lambda _: next(generator()))
    with pytest.raises(RuntimeError):  # from C, in the middle of nowhere
        exec("raise RuntimeError")
    names = seen[0]
    here = test_frames_of_generators_and_what_c_calls.__qualname__
    wanted = [f"{here}.<locals>.{name}" for name in ("mine", "generator", "<lambda>")] + [here]
    start = names.index(wanted[0])
    # The generator expression of `mine` may stand on its own.
    assert [name for name in names[start:] if not name.endswith("<genexpr>")][: len(wanted)] == wanted


def test_frames_of_threads_that_run():
    """They come, go and run all the time; whatever is read of them has to be code that there is."""
    stop = []

    def busy(depth):
        while depth == 0 and not stop:
            busy_too()
        if depth:
            busy(depth - 1)

    def busy_too():
        scope = {}
        exec(compile("def made_up(): return [n for n in range(3)]\nmade_up()", "made-up.py", "exec"), scope)

    def brief():
        while not stop:
            thread = threading.Thread(target=busy_too)
            thread.start()
            thread.join()

    waiters = [Waiter(busy, depth) for depth in range(3)] + [Waiter(brief)]
    for waiter in waiters:
        waiter.start()
    known = {__file__, "made-up.py", "<string>", "…"}
    for _ in range(30):
        snapshot = watch.snapshot()
        if snapshot["frames_missing"] is None:
            for thread in snapshot["threads"]:
                for frame in thread["frames"]:
                    assert frame["function"] and frame["file"], frame
                    file = frame["file"]
                    assert file in known or file.startswith("<frozen ") or os.path.exists(file), frame
    stop.append(True)
    for waiter in waiters:
        waiter.outcome()


def test_the_types_know_all_fields():
    """What is in the stub is what there is."""
    stub = ast.parse(Path(watch.__file__).with_suffix(".pyi").read_text())
    fields = {
        node.name: {item.target.id: ast.unparse(item.annotation) for item in node.body if isinstance(item, ast.AnnAssign)}
        for node in stub.body
        if isinstance(node, ast.ClassDef)
    }

    def check(value, name):
        assert value.keys() == fields[name].keys(), name
        for key, item in value.items():
            inner = fields[name][key].removeprefix("list[").removesuffix("]").removesuffix(" | None")
            if inner in fields:
                for one in item if isinstance(item, list) else [item] * (item is not None):
                    check(one, inner)
                    seen.add(inner)

    seen = {"Snapshot"}
    done, lock = threading.Event(), threading.RLock()
    done.wait(0.001)  # so that there is a wait that is over
    with lock:
        for call in (done.wait, lock.acquire):
            threading.Thread(target=call, daemon=True).start()
        threads = lambda: watch.snapshot(frames=False)["threads"]  # noqa: E731
        until(lambda: any(thread["wait"] and thread["wait"]["owners"] for thread in threads()))
        check(watch.snapshot(), "Snapshot")
    done.set()
    # There may be no reports and no strangers.
    assert seen | {"Report", "Stranger"} == fields.keys(), fields.keys() - seen


def test_a_dump_has_all_of_it():
    while "\nno frames: " in (text := watch.dump()):
        pass
    assert text.startswith(f"process {os.getpid()} (")
    assert f"CPython {sys.version.split()[0]}" in text
    assert "in dump" in text and test_a_dump_has_all_of_it.__name__ in text
    assert "Found no deadlock." in text


def test_our_own_threads_are_nobodys_business():
    code = """
import threading, lisle
lisle.install()
from lisle import watch
before = threading.active_count(), len(threading.enumerate())
watch.on_report(print); watch.dump(); watch.start_agent()
assert before == (threading.active_count(), len(threading.enumerate())) == (1, 1)
own = [t for t in watch.snapshot()["threads"] if t["name"].startswith("lisle ")]
assert sorted(t["name"] for t in own) == ["lisle agent", "lisle frames", "lisle reports"], own
assert all(t["service"] for t in own)
"""
    run(code=code)


SUSPICION = """
import threading, time, lisle
lisle.install()
from lisle import watch
def knot():
    a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
    def call(x, y):
        with x:
            both.wait()
            y.acquire()
    for args in ((a, b), (b, a)):
        threading.Thread(target=call, args=args, daemon=True).start()
"""


def test_a_hook_is_told_of_reports():
    done = run(
        code=SUSPICION
        + """
got, came = [], threading.Event()
def hook(report):
    got.append(report)
    came.set()
    raise ValueError("of the hook")
watch.on_report(hook)
knot()
came.wait()
(report,) = got
assert report["confidence"] == "suspected" and report["cycle"] == 2 and len(report["threads"]) == 2
assert "taken at <string>:" in report["text"]
watch.on_report(None)
knot()
while sum(r["confidence"] == "suspected" for r in watch.snapshot(frames=False)["reports"]) < 2: time.sleep(0.01)
time.sleep(0.6)
"""
    )
    # What the hook raises is told; the second report is on stderr again.
    assert "ValueError: of the hook" in done.stderr
    assert done.stderr.count("suspected deadlock") == 1


def test_a_hook_is_a_function():
    with pytest.raises(TypeError):
        watch.on_report("print")


def test_after_a_fork():
    code = (
        SUSPICION
        + """
import os, warnings
warnings.simplefilter("ignore")
got, came = [], threading.Event()
watch.on_report(lambda report: (got.append(report), came.set()))
watch.dump()
child = os.fork()
while (now := watch.snapshot())["frames_missing"]: pass
assert now["process"]["pid"] == os.getpid()
me = next(t for t in now["threads"] if t["native_id"] == threading.get_native_id())
assert me["frames"][-1]["function"] == "<module>"
if child == 0:
    knot()
    came.wait()
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    )
    assert run(code=code).stderr == ""


def test_where_frames_cannot_be_read():
    """On a version that is newer than this package."""
    code = f"""
import sys
from lisle import _lisle, threading, watch
_lisle._forget_layout()
lock = threading.RLock()
with lock: assert lock.taken_at is None
while watch.snapshot()["frames_missing"]: pass
with lock:
    assert lock.taken_at == "<string>:8 in <module>", lock.taken_at
    def call():
        with lock: pass
    thread = threading.Thread(target=call, name="it")
    thread.start()
    while not any(t["name"] == "it" and t["wait"] for t in watch.snapshot(frames=False)["threads"]): pass
    while (now := watch.snapshot())["frames_missing"]: pass
    (it,) = [t for t in now["threads"] if t["name"] == "it"]
    assert it["wait"]["called_at"] == "<string>:11 in call"
    assert it["wait"]["owners"][0]["taken_at"] == "<string>:8 in <module>"
    functions = [frame["function"] for frame in it["frames"]]
    assert functions[0] == "call", functions
    assert {FREE_THREADED} or (functions[1], functions[-1]) == ("Thread.run", "Thread._bootstrap"), functions
thread.join()
"""
    run(code=code)


# By signals.


@pytest.mark.parametrize("how", ["waits for a lock", "runs"])
def test_a_signal_prints_a_dump(how):
    last = "lock = threading.Lock(); lock.acquire(); lock.acquire()" if how != "runs" else "while True: sum(range(9))"
    with Program("-m", "lisle", "-c", f"import threading\nprint('ready', flush=True)\n{last}") as program:
        for _ in range(2):
            text = program.dump_with_frames()
            assert f"process {program.pid} (" in text and 'thread "MainThread"' in text
            assert "at <string>:3 in <module>" in text


def test_our_threads_are_no_reason_to_warn_of_a_fork():
    code = """
import os, sys, threading
def fork():
    if (child := os.fork()) == 0: os._exit(0)
    os.waitpid(child, 0)
fork()
print("between", file=sys.stderr)
threading.Thread(target=threading.Event().wait, daemon=True).start()
fork()
"""
    before, after = run("-W", "always", "-m", "lisle", "-c", code).stderr.split("between\n")
    assert before == ""
    assert ("is multi-threaded" in after) == (sys.version_info >= (3, 12))


def test_a_dump_while_the_interpreter_is_kept():
    """What a call in C that does not let go of the GIL cannot prevent."""
    code = """
import ctypes, threading
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lock.acquire, name="waiter", daemon=True).start()
from lisle import watch
while not any(t["name"] == "waiter" and t["wait"] for t in watch.snapshot(frames=False)["threads"]): pass
print("ready", flush=True)
# For ever, whatever signals come: a mutex of C that is locked twice.
libc, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(64)
libc.pthread_mutex_lock(mutex), libc.pthread_mutex_lock(mutex)
"""
    with Program("-m", "lisle", "-c", code) as program:
        text = program.dump()
        assert 'thread "waiter"' in text and "taken at <string>:4 in <module>" in text
        if not FREE_THREADED:
            assert "no frames: the interpreter did not answer within 100 ms" in text


def test_a_signal_that_the_program_wants_for_itself():
    code = """
import signal, threading
signal.signal(signal.SIGQUIT, lambda *_: (print("mine", flush=True)))
print("ready", flush=True)
threading.Event().wait()
"""
    with Program("-m", "lisle", "-c", code) as program:
        program.kill(signal.SIGQUIT)
        assert program.process.stdout.readline() == "mine\n"


def test_a_signal_starts_the_agent():
    with Program("-m", "lisle", "-c", f"import threading{GATE}gate()") as program:
        assert command("dump", program.pid, check=False).returncode == 1
        program.kill(signal.SIGUSR2)
        until(lambda: command("dump", program.pid, check=False).returncode == 0)


def test_a_program_that_allows_it_itself():
    code = f"""
import threading
from lisle import watch
watch.dump_on_signal()
watch.start_agent_on_signal(){GATE}gate()
"""
    with Program("-c", code) as program:
        assert "at <string>:8 in gate" in program.dump_with_frames()


def test_a_program_that_closes_what_it_has_not_opened(tmp_path):
    """Its own files, which get the numbers of the agent's, are left alone: by orders, by a fork, at the end."""
    code = f"""
import os, signal, warnings
from lisle import watch
warnings.simplefilter("ignore")
watch.start_agent()
watch.dump_on_signal()
taken = max(map(int, os.listdir("/proc/self/fd"))) + 1
os.closerange(3, taken)
files = [open(r"{tmp_path}/" + str(n), "w") for n in range(taken)]
assert files[0].fileno() == 3
signal.raise_signal(signal.SIGQUIT)
child = os.fork()
for n, file in enumerate(files):
    file.write(str(n))
    file.flush()
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    assert run("-c", code).stderr == ""
    assert all(file.read_text() == 2 * file.name for file in tmp_path.iterdir())


# From outside.


def test_watch_from_the_start():
    with Program("-m", "lisle", "--watch", "-c", f"import threading{GATE}gate()") as program:
        assert f"lisle top {program.pid}" in program.process.stderr.readline()
        text = dump_of(program)
        assert f"process {program.pid} (" in text and "at <string>:4 in gate" in text
        now = json.loads(command("dump", "--json", program.pid).stdout)
        me = thread_of(now, "MainThread")
        assert me["native_id"] == program.pid
        assert [frame["function"] for frame in me["frames"]][:2] == ["gate", "<module>"]
        assert str(program.pid) in command("list").stdout


def test_the_agent_by_the_environment_and_by_call():
    by_environment = f"import threading, lisle{GATE}gate()"
    by_call = f"import threading; from lisle import watch; watch.start_agent(){GATE}gate()"
    for code, env in ((by_environment, {"LISLE_AGENT": "1"}), (by_call, None)):
        with Program("-c", code, env=env) as program:
            assert "in gate" in dump_of(program)


def test_the_command():
    done = command("--help")
    assert "dump" in done.stdout and "list" in done.stdout
    assert command("dump", check=False).returncode == 2
    done = command("dump", 1, check=False)
    assert done.returncode == 1 and done.stderr.startswith("lisle: ")
    with Program("-m", "lisle._command", "run", sys.executable, "-c", f"import lisle, threading{GATE}gate()") as program:
        assert "in gate" in dump_of(program)


def test_programs_that_end_while_they_are_looked_at():
    """Whenever that is, they end well."""
    code = "import threading, time; from lisle import watch; watch.start_agent(); print('ready', flush=True); time.sleep({})"
    for number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-c", code.format(number * 0.02)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        while process.poll() is None:
            command("dump", process.pid, check=False)
        _, errors = process.communicate(timeout=LONG)
        assert (process.returncode, errors) == (0, "")


def test_what_is_looked_at_from_many_threads():
    waiters = [Waiter(lambda: [watch.snapshot() for _ in range(20)]) for _ in range(4)]
    for waiter in waiters:
        waiter.start()
    for waiter in waiters:
        for snapshot in waiter.outcome():
            assert snapshot["process"]["lisle"] and lisle.watch is watch
