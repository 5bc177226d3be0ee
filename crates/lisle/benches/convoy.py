"""The server of the example lua_threads, in Python: a thread that answers datagrams, beside threads that compute.

    python3 convoy.py THREADS

prints its port. It answers each datagram with itself, until one says "!"; "?" asks how far the threads that
compute have come. `cargo run --release --example lua_threads` is the client.
"""

import socket
import sys
import threading

over = False
steps = [0] * int(sys.argv[1])


def compute(number):
    x = 1
    while not over:
        for _ in range(1000):
            x = x * 16807 % 2147483647
        steps[number] += 1


def answer(endpoint):
    global over
    while True:
        text, client = endpoint.recvfrom(64)
        if text == b"!":
            over = True
            return
        if text == b"?":
            text = b"%d" % sum(steps)
        endpoint.sendto(text, client)


endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
endpoint.bind(("127.0.0.1", 0))
print(endpoint.getsockname()[1], flush=True)
for number in range(len(steps)):
    threading.Thread(target=compute, args=(number,)).start()
answer(endpoint)
