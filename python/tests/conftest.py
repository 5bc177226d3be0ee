"""What the tests share."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What nobody gets near unless something hangs, in seconds.
LONG = 60.0


def run(*args, code=None, input=None, check=True, env=None, timeout=LONG):
    """Runs this interpreter; returns what it was, with its output as text."""
    command = [sys.executable, *args]
    if code is not None:
        command += ["-c", code]
    done = subprocess.run(
        command, input=input, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})}
    )
    if check:
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def until(condition, limit=LONG):
    """Waits until a condition holds, which it has to."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


class Program:
    """One that runs until the end of the `with`. It has said that it is ready."""

    def __init__(self, *args, env=None):
        self.process = subprocess.Popen(
            [sys.executable, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )

    def __enter__(self):
        assert self.process.stdout.readline() == "ready\n", self.process.communicate(timeout=LONG)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    @property
    def pid(self):
        return self.process.pid

    def kill(self, number):
        self.process.send_signal(number)

    def dump(self):
        """What it prints after SIGQUIT."""
        self.kill(signal.SIGQUIT)
        return self.read_until("Found ")

    def dump_with_frames(self):
        while "\nno frames: " in (text := self.dump()):
            pass  # the machine is busy
        return text

    def read_until(self, word):
        text = ""
        for line in self.process.stderr:
            text += line
            if line.startswith(word):
                return text
        raise AssertionError(f"it has ended, with this:\n{text}")


def command(*args, check=True, env=None):
    """The program `lisle`."""
    return run("-m", "lisle._command", *map(str, args), check=check, env=env)


def dump_of(program):
    """What `lisle dump` says, with frames."""
    while "\nno frames: " in (text := command("dump", program.pid).stdout):
        pass
    return text


class Waiter(threading.Thread):
    """A thread that makes one call, and keeps what came of it."""

    def __init__(self, call, *args, **kwargs):
        super().__init__(daemon=True)
        self.call, self.args, self.kwargs = call, args, kwargs
        self.result = self.error = None
        self.begun = threading.Event()

    def run(self):
        self.begun.set()
        try:
            self.result = self.call(*self.args, **self.kwargs)
        except BaseException as error:
            self.error = error

    def outcome(self):
        self.join(LONG)
        assert not self.is_alive(), "it waits for ever"
        if self.error is not None:
            raise self.error
        return self.result


def asleep(thread):
    """Whether the thread sleeps in the kernel, or has ended."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"
    except (FileNotFoundError, ProcessLookupError):  # the second if it ended since it was opened
        return True


@pytest.fixture
def in_thread():
    """Starts a call on a thread of its own, and waits until it sleeps."""

    def start(call, *args, **kwargs):
        waiter = Waiter(call, *args, **kwargs)
        waiter.start()
        assert waiter.begun.wait(LONG)
        # Twice in a row: once could be a moment without the GIL.
        until(lambda: asleep(waiter) and (time.sleep(0.01), asleep(waiter))[1])
        return waiter

    return start


class Held:
    """Calls of it wait until it is let go of."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def __call__(self, result=None):
        self.begun.release()
        assert self.go.wait(LONG)
        return result

    def occupy(self, pool, workers=1):
        held = [pool.submit(self, n) for n in range(workers)]
        for _ in held:
            assert self.begun.acquire(timeout=LONG)
        return held


@pytest.fixture
def held():
    held = Held()
    yield held
    held.go.set()
