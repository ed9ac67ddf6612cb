"""How fast the fake serves gzip on loopback: `python benchmarks/fake.py [CLIENTS ...]`.

The fake runs in its own process. Clients are threads that only read the bytes. The first round generates the bodies,
the other rounds take them from the cache.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from mixpanel_async.testing import ServiceAccount

DAYS, PER_DAY = 20, 10_000
TODAY, FROM, TO = "2026-02-10", "2026-01-20", "2026-02-08"
ROUNDS = 5
SERVER = [sys.executable, "-m", "mixpanel_async.testing", "--cache", "--no-limits", "--today", TODAY]
ACCOUNT = ServiceAccount("svc.ab12cd.mp-service-account", "s3cret")


def received(port: int, buffer: bytearray) -> int:
    """Read one export; return its size in bytes."""
    question = (
        f"GET /api/2.0/export?project_id=12345&from_date={FROM}&to_date={TO}&time_in_ms=true HTTP/1.1\r\nHost: fake\r\n"
        f"Authorization: {ACCOUNT.authorization()}\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )
    size = 0
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(question.encode())
        while count := connection.recv_into(buffer):
            size += count
    return size


def measure(port: int, clients: int) -> tuple[float, float]:
    """Run one round with this number of clients at once; return its MB and seconds."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        sizes = threads.map(lambda _: received(port, bytearray(1 << 20)), range(clients))
        return sum(sizes) / 1e6, time.perf_counter() - began


def main() -> None:
    """Print the first round, then the speeds of the others."""
    options = ["--days", str(DAYS + 2), "--events", str(PER_DAY)]
    with subprocess.Popen([*SERVER, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline().rpartition(":")[2])
            size, seconds = measure(port, 1)
            events = DAYS * PER_DAY
            print(f"made: {size:.1f} MB of gzip in {seconds:.2f} s, {events / seconds:,.0f} events/s", flush=True)
            for clients in map(int, sys.argv[1:] or ["1", "4"]):
                speeds = [size / seconds for size, seconds in (measure(port, clients) for _ in range(ROUNDS))]
                print(f"{clients} clients, from the cache: {', '.join(f'{speed:.0f}' for speed in speeds)} MB/s")
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
