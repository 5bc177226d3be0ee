"""A dask cluster for tests: one scheduler and its workers as processes on loopback."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

# How long anything may take before a test fails; the machine may be busy.
LIMIT = 60.0


class Process:
    """A process whose output is read all the time, so that one can wait for a line of it."""

    def __init__(self, directory: Path, module: str, *arguments: str) -> None:
        # Not what the tests import from: the workers shall do without lisle and without the tests.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.popen.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        seen = []
        deadline = time.monotonic() + LIMIT
        while (line := self.lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if found := re.search(pattern, line):
                return found
            seen.append(line)
        raise AssertionError(f"no {pattern!r} before the process ended, but: {''.join(seen)}")

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.popen.send_signal(number)
        self.popen.wait(LIMIT)

    def close(self) -> None:
        self.popen.kill()
        self.popen.wait(LIMIT)
        self.reader.join(LIMIT)
        self.popen.stdout.close()


class Cluster:
    """A scheduler and two workers of one thread each. The ports are those that the system gives."""

    def __init__(self, directory: Path) -> None:
        self.processes: list[Process] = []
        try:
            self._start(directory)
        except BaseException:
            self.close()
            raise

    def _start(self, directory: Path) -> None:
        # Should the tests be killed, the scheduler ends by itself, and the workers with it.
        common = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        self.scheduler = Process(
            directory, "distributed.cli.dask_scheduler", *common, "--port", "0", "--idle-timeout", "5 minutes"
        )
        self.processes.append(self.scheduler)
        address = self.scheduler.wait_for(r"Scheduler at: +tcp://(\S+)")[1]
        self.url = f"dask://{address}"
        workers = [
            Process(
                directory,
                "distributed.cli.dask_worker",
                f"tcp://{address}",
                *common,
                *("--nthreads", "1", "--no-nanny", "--local-directory", str(directory)),
            )
            for _ in range(2)
        ]
        self.processes += workers
        for worker in workers:
            worker.wait_for("Registered to:")

    def worker(self, pid: int) -> Process:
        return next(process for process in self.processes if process.popen.pid == pid)

    def close(self) -> None:
        for process in self.processes:
            process.close()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Gate:
    """Where calls on the cluster report that they run, and wait until the test lets them go on."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = self.server.getsockname()
        self.arrivals: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.waiting: list[socket.socket] | None = []  # None: open
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.server.accept()
            number, pid = connection.makefile().readline().split()
            if number == "close":
                connection.close()
                return
            self.arrivals.put((int(number), int(pid)))
            with self.lock:
                if self.waiting is not None:
                    self.waiting.append(connection)
                    continue
            connection.close()

    def arrival(self) -> tuple[int, int]:
        """The number of the next call that has begun, and the process it runs in."""
        return self.arrivals.get(timeout=LIMIT)

    def rest(self) -> list[tuple[int, int]]:
        """The arrivals not asked for yet."""
        return [self.arrivals.get() for _ in range(self.arrivals.qsize())]

    def open(self) -> None:
        with self.lock:
            waiting, self.waiting = self.waiting, None
        for connection in waiting or ():
            connection.close()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *exc: object) -> None:
        self.open()
        with socket.create_connection(self.address, timeout=LIMIT) as connection:
            connection.sendall(b"close 0\n")
        self.thread.join(LIMIT)
        self.server.close()


def through(address: tuple[str, int], number: int) -> int:
    """The call: returns its number once the gate is open."""
    with socket.create_connection(address, timeout=LIMIT) as connection:
        connection.sendall(f"{number} {os.getpid()}\n".encode())
        connection.recv(1)
    return number
