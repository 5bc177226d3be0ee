#!/usr/bin/env python3
"""Mirrors a directory tree: copies what is new or changed, removes what is gone, and checks what was copied.

    python examples/mirror.py SOURCE TARGET

A thread scans the source; workers compare and copy; a pool reads the copies back; the main thread keeps the books.
It is an ordinary threaded program over the standard library, and knows nothing of lisle. To run it over lisle:

    python -m lisle examples/mirror.py SOURCE TARGET

What came out is told by one digest over all paths and contents, the same however the threads took turns.
"""

import argparse
import hashlib
import json
import os
import queue
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BOOK = ".mirror.json"
BLOCK = 1 << 16


def digest(path):
    with open(path, "rb", buffering=0) as file:
        sha = hashlib.sha256()
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()


def copy(source, target):
    """Copies a file with its times, by way of a name of its own, and returns its SHA-256."""
    part = f"{target}.part"
    sha = hashlib.sha256()
    with open(source, "rb", buffering=0) as old, open(part, "wb", buffering=0) as new:
        while block := old.read(BLOCK):
            sha.update(block)
            new.write(block)
    shutil.copystat(source, part)
    os.replace(part, target)
    return sha.hexdigest()


class Mirror:
    def __init__(self, source, target, workers):
        self.source, self.target = source, target
        self.found = queue.Queue(256)
        self.checked = queue.Queue()
        self.stop = threading.Event()
        self.finished = threading.Event()
        self.lock = threading.Lock()
        self.seen = 0
        # Path -> [size, time, digest], as the last run left it.
        self.old = self.read_book()
        self.new = {}
        self.workers = [threading.Thread(target=self.work, name=f"copy-{n}") for n in range(workers)]

    def read_book(self):
        try:
            return json.loads((self.target / BOOK).read_text())
        except FileNotFoundError:
            return {}

    def scan(self):
        """Finds every file and puts its path, relative to the source, with its size and time."""
        try:
            folders = [""]
            while folders and not self.stop.is_set():
                folder = folders.pop()
                os.makedirs(self.target / folder, exist_ok=True)
                with os.scandir(self.source / folder) as entries:
                    for entry in entries:
                        path = os.path.join(folder, entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(path)
                        elif entry.is_file(follow_symlinks=False):
                            stat = entry.stat()
                            self.found.put((path, stat.st_size, stat.st_mtime_ns))
        finally:
            for _ in self.workers:
                self.found.put(None)

    def work(self):
        """Takes files until there are no more; passes on what each has become. After a stop it only empties."""
        while (item := self.found.get()) is not None:
            if not self.stop.is_set():
                try:
                    self.checked.put(self.mirror(*item))
                except Exception as error:
                    self.checked.put(error)
        self.checked.put(None)

    def mirror(self, path, size, time):
        with self.lock:
            self.seen += 1
        old = self.old.get(path)
        target = os.path.join(self.target, path)
        if old is not None and old[:2] == [size, time]:
            try:
                stat = os.stat(target)
                if [stat.st_size, stat.st_mtime_ns] == old[:2]:
                    return path, old, False
            except FileNotFoundError:
                pass
        return path, [size, time, copy(os.path.join(self.source, path), target)], True

    def show_progress(self):
        while not self.finished.wait(0.1):
            with self.lock:
                seen = self.seen
            print(f"\r{seen:>9,} files", end="", file=sys.stderr, flush=True)
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def run(self):
        threads = [threading.Thread(target=self.scan, name="scan"), *self.workers]
        if sys.stderr.isatty():
            threads.append(threading.Thread(target=self.show_progress, name="progress"))
        for thread in threads:
            thread.start()
        try:
            copied = self.collect()
        except BaseException:
            # An error, or Ctrl-C: the others see it at their next file.
            self.stop.set()
            raise
        finally:
            self.finished.set()
            for thread in threads:
                thread.join()
        gone = self.old.keys() - self.new.keys()
        for path in gone:
            (self.target / path).unlink(missing_ok=True)
        (self.target / BOOK).write_text(json.dumps(self.new))
        return copied, len(gone)

    def collect(self):
        """Books what the workers report, and has the pool read back what they copied."""
        copied, working = [], len(self.workers)
        with ThreadPoolExecutor(len(self.workers), thread_name_prefix="check") as pool:
            while working:
                item = self.checked.get()
                if item is None:
                    working -= 1
                    continue
                if isinstance(item, Exception):
                    raise item
                path, entry, is_new = item
                self.new[path] = entry
                if is_new:
                    copied.append((path, pool.submit(digest, self.target / path)))
            for path, future in copied:
                if future.result() != self.new[path][2]:
                    raise OSError(f"{path}: the copy differs from what was read")
        return len(copied)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    if options.target.resolve().is_relative_to(options.source.resolve()):
        parser.error("TARGET lies within SOURCE")
    start = time.perf_counter()
    options.target.mkdir(parents=True, exist_ok=True)
    mirror = Mirror(options.source, options.target, options.workers)
    copied, gone = mirror.run()
    took = time.perf_counter() - start
    whole = hashlib.sha256("".join(f"{mirror.new[path][2]}  {path}\n" for path in sorted(mirror.new)).encode())
    print(f"{len(mirror.new):,} files, {copied:,} copied, {gone:,} removed: {whole.hexdigest()[:16]} in {took:.3f} s")


if __name__ == "__main__":
    main()
