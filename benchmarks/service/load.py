"""A load generator that costs little: one process, callbacks on sockets, a template for a parser.

`python -m benchmarks.service.load` reads a plan as JSON from standard input and writes what it measured.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from typing import Any

import uvloop

#: A request's bytes may hold this; each request gets a number of its own there.
NUMBER = b"NNNNNNNN"


class Asker(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it is answered."""

    def __init__(self, load: "Load") -> None:
        self.load, self.buffer, self.asked = load, b"", 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def ask(self) -> None:
        if time.perf_counter() >= self.load.deadline:
            self.load.leave()
            return
        self.asked = time.perf_counter()
        self.transport.write(self.load.request())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        status, length = self.buffer[9:12], 0
        if status not in (b"304", b"204"):
            at = self.buffer.lower().find(b"content-length: ") + 16
            length = int(self.buffer[at : self.buffer.find(b"\r", at)])
        if len(self.buffer) < head + 4 + length:
            return
        self.buffer = b""
        self.load.note(status, time.perf_counter() - self.asked)
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if error:
            raise error


class Load:
    """Some connections that ask for some seconds."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan, self.seconds = plan, plan["seconds"]
        self.content, self.number = plan["request"].encode(), 10_000_000
        self.counts: dict[str, int] = {}
        self.latencies: list[float] = []
        self.deadline, self.left = float("inf"), 0

    def request(self) -> bytes:
        if NUMBER not in self.content:
            return self.content
        self.number += 1
        return self.content.replace(NUMBER, b"%d" % self.number)

    def note(self, status: bytes, seconds: float) -> None:
        self.counts[status.decode()] = self.counts.get(status.decode(), 0) + 1
        self.latencies.append(seconds)

    def leave(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.over.set_result(None)

    async def run(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        self.over = loop.create_future()
        made = [
            (await loop.create_connection(lambda: Asker(self), self.plan["host"], self.plan["port"]))[1]
            for _ in range(self.plan["connections"])
        ]
        self.left = len(made)
        cpu, began = time.process_time(), time.perf_counter()
        self.deadline = began + self.seconds
        for each in made:
            each.ask()
        await self.over
        wall = time.perf_counter() - began
        ordered = sorted(self.latencies)
        at = lambda part: ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000  # noqa: E731
        return {
            "rate": len(ordered) / wall, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": ordered[-1] * 1000,
            "counts": self.counts, "share": (time.process_time() - cpu) / wall, "wall": wall,
        }  # fmt: skip


def ask(url: str, request: str, connections: int, seconds: float) -> dict[str, Any]:
    """Load an address in a process of its own, and say what came of it.

    Args:
        url: `http://host:port`.
        request: The whole request, head and body.
        connections: How many ask at once.
        seconds: For how long.

    Returns:
        rate (answers a second), p50_ms, p99_ms, max_ms, counts (by status), share (of one core, its own).
    """
    host, port = url.removeprefix("http://").split(":")
    plan = {"host": host, "port": int(port), "request": request, "connections": connections, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.service.load"],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def get(path: str, **headers: str) -> str:
    """Write a GET."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""])


def post(path: str, body: str, **headers: str) -> str:
    """Write a POST of JSON."""
    named = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
    return get(path, **named).replace("GET", "POST", 1) + body


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(uvloop.run(Load(json.load(sys.stdin)).run())))


if __name__ == "__main__":
    main()
