"""The nine programs of examples/knots.py: what a dump says of each, in words and as JSON."""

import json

import pytest
from conftest import ROOT, Program, command, dump_of, run

PROGRAM = ROOT / "examples" / "knots.py"
SOURCE = PROGRAM.read_text().splitlines()


def look(scene):
    text = run("-m", "lisle", str(PROGRAM), scene, "--dump").stdout
    return text, Snapshot(json.loads(run("-m", "lisle", str(PROGRAM), scene, "--json").stdout))


def at(function, code, nth=1):
    """The place of a line of the program: of the nth with this code within a function."""
    first = next(n for n, line in enumerate(SOURCE) if line.strip().startswith(f"def {function}("))
    found = [n for n, line in enumerate(SOURCE[first:], first + 1) if line.strip() == code]
    return f"{PROGRAM}:{found[nth - 1]} in "


class Snapshot:
    def __init__(self, json):
        self.json = json
        self.threads = {thread["name"]: thread for thread in json["threads"]}
        assert json["frames_missing"] is None
        assert json["process"]["interpreter"].startswith("CPython 3.")

    def wait(self, thread, kind, object=None):
        """What the thread waits for."""
        wait = self.threads[thread]["wait"]
        assert wait["kind"] == kind
        if object is not None:
            assert wait["object"] == f'"{object}"'
        assert self.threads[thread]["state"] == "waiting"
        # The frame that waits is the one that has called.
        frame = self.threads[thread]["frames"][0]
        assert wait["called_at"] == f"{frame['file']}:{frame['line']} in {frame['function']}"
        return wait

    def edge(self, thread, kind, object, owner, bond, taken_at=None):
        (found,) = self.wait(thread, kind, object)["owners"]
        assert (found["name"], found["bond"]) == (owner, bond)
        if taken_at is not None:
            assert found["taken_at"].startswith(taken_at), found
        return found

    def reports(self, *confidences, past=0):
        assert [report["confidence"] for report in self.json["reports"]] == list(confidences)
        assert len(self.json["past_reports"]) == past

    def failed(self):
        """The thread whose wait was failed, and the report."""
        (report,) = self.json["past_reports"]
        assert report["confidence"] == "proven"
        (name,) = [thread["name"] for thread in self.json["threads"] if thread["ident"] == report["failed"]]
        return name, report["text"]


def assert_told(text, *words):
    for word in words:
        assert word in text, f"{word!r} is not in\n{text}"


def test_two_locks():
    text, now = look("two-locks")
    by_transfer, by_audit = at("transfer", "with a:"), at("audit", "b.acquire()")
    now.edge("transfer", "lock", "account b", "audit", "last taken by", by_audit)
    now.edge("audit", "lock", "account a", "transfer", "last taken by", by_transfer)
    now.reports("suspected")
    (report,) = now.json["reports"]
    assert report["cycle"] == 2
    assert sorted(report["threads"]) == sorted(now.threads[name]["ident"] for name in ("transfer", "audit"))
    # Both threads, both locks, both lines that took them, both that wait.
    words = ['thread "transfer"', 'thread "audit"', '"account a"', '"account b"', f"taken at {by_transfer}", f"taken at {by_audit}"]
    words += [f"in a call at {at('transfer', 'with b:')}", f"in a call at {at('audit', 'a.acquire()')}"]
    assert_told(text, "Found 1 suspected deadlock", *words)
    assert_told(report["text"], *words)


def test_two_locks_from_outside():
    """What `python -m lisle` says of itself when it is sent SIGQUIT, and the program `lisle` of it."""
    lines = [at("transfer", "with a:"), at("audit", "b.acquire()")]
    words = ['thread "transfer"', 'thread "audit"', '"account a"', '"account b"', *(f"taken at {line}" for line in lines)]
    with Program("-m", "lisle", "--watch", str(PROGRAM), "two-locks") as program:
        for text in (program.dump_with_frames(), dump_of(program)):
            assert_told(text, "Found 1 suspected deadlock", *words)
        now = json.loads(command("dump", "--json", program.pid).stdout)
        owners = [owner for thread in now["threads"] if thread["wait"] for owner in thread["wait"]["owners"]]
        assert sorted(owner["taken_at"].split(" in ")[0] + " in " for owner in owners) == sorted(lines)


def test_three_locks():
    text, now = look("three-locks")
    now.reports(past=1)
    failed, report = now.failed()
    words = [f'"lock {n}"' for n in (1, 2, 3)] + [f'thread "{name}"' for name in ("red", "green", "blue")]
    assert_told(report, *words, f"taken at {at('three_locks', 'with locks[number]:')}")
    assert_told(text, "Found no deadlock", "ended by failing the wait of the thread")
    order = ["red", "green", "blue"]
    now.wait(failed, "event")
    # The two others still wait, each for the next one's.
    for name in order:
        if name != failed:
            number = order.index(name)
            lock, owner = f"lock {(number + 1) % 3 + 1}", order[(number + 1) % 3]
            now.edge(name, "reentrant mutex", lock, owner, "held by", at("three_locks", "with locks[number]:"))


def test_timed_two_locks():
    text, now = look("timed-two-locks")
    now.edge("patient", "reentrant mutex", "second", "hasty", "held by", at("hasty", "with second:"))
    now.edge("hasty", "reentrant mutex", "first", "patient", "held by", at("patient", "with first:"))
    assert now.threads["hasty"]["wait"]["ends_in_us"] > 0
    assert now.threads["patient"]["wait"]["ends_in_us"] is None
    now.reports("timed")
    assert_told(text, "Found 1 deadlock", "deadlock that ends by itself", " to go")


def test_orphan():
    text, now = look("orphan")
    assert now.edge("heir", "reentrant mutex", "left behind", "gone", "held by")["ended"]
    now.reports("orphaned")
    assert "gone" not in now.threads
    assert_told(text, "Found 1 orphaned lock", '"left behind"', "has ended")


def test_join_while_holding():
    text, now = look("join-while-holding")
    now.reports(past=1)
    failed, report = now.failed()
    assert_told(report, 'join of thread "clerk"', '"ledger"', f"taken at {at('boss', 'with ledger:')}")
    now.wait(failed, "event")
    match failed:
        case "clerk":
            now.edge("boss", "join", None, "clerk", "which is")
        case _:
            now.edge("clerk", "reentrant mutex", "ledger", "boss", "held by", at("boss", "with ledger:"))
    assert_told(text, "Found no deadlock", "ended by failing the wait of the thread")


def test_no_producer():
    text, now = look("no-producer")
    assert now.wait("consumer", "queue empty")["owners"] == []
    # Anybody could still put something in.
    now.reports()
    assert_told(text, "for queue empty", "Found no deadlock")


def test_starved_pool():
    text, now = look("starved-pool")
    now.reports(past=1)
    failed, report = now.failed()
    assert failed == "pool_0"
    assert_told(report, 'thread "pool_0"', "to be run by")
    now.wait("pool_0", "event")
    now.edge("client", "future", None, "pool_0", "run by")


def test_contention():
    text, now = look("contention")
    now.reports()
    assert "Found no deadlock" in text
    for name in (f"busy-{n}" for n in range(4)):
        wait = now.threads[name]["wait"]
        if wait:
            assert (wait["kind"], wait["object"]) == ("lock", '"hot"')
            assert all(owner["name"].startswith("busy-") for owner in wait["owners"])


def test_reader_reader_writer():
    text, now = look("reader-reader-writer")
    now.reports(past=1)
    failed, report = now.failed()
    assert failed == "reader"
    assert_told(report, '"table"', "behind the waiting writer", f"taken at {at('reader', 'with table.read():')}")
    now.edge("writer", "write lock", "table", "reader", "held by", at("reader", "with table.read():"))


def test_a_scene_that_there_is_not():
    done = run("-m", "lisle", str(PROGRAM), "none", check=False)
    assert done.returncode == 1
    assert all(name in done.stderr for name in ("two-locks", "reader-reader-writer"))


@pytest.mark.parametrize("how", ["daemon", "not"])
def test_threads_are_told_as_python_knows_them(how):
    code = f"""
import threading, json
from lisle import watch
done = threading.Event()
thread = threading.Thread(target=done.wait, name="it", daemon={how == "daemon"})
thread.start()
while not any(one["name"] == "it" and one["wait"] for one in watch.snapshot(frames=False)["threads"]): pass
(it,) = [one for one in watch.snapshot()["threads"] if one["name"] == "it"]
assert it["native_id"] == thread.native_id and it["daemon"] == thread.daemon and it["origin"] == "made", it
(me,) = [one for one in watch.snapshot()["threads"] if one["native_id"] == threading.get_native_id()]
assert me["name"] == "MainThread" and me["origin"] == "main" and me["state"] == "running", me
done.set()
"""
    run("-m", "lisle", "-c", code)
