"""A server between a program and another server that fails requests in ways that networks and stores do."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_OWN_HEADERS = frozenset(("connection", "transfer-encoding", "content-length", "date", "server", "keep-alive"))


@dataclass(slots=True)
class Flaky:
    """How the server between fails.

    Attributes
    ----------
    url : str
        Its address.
    faults : list of str
        What becomes of the next requests: a status such as ``"503"`` or ``"403"``, ``"reset"`` (the connection is
        closed without an answer), ``"lost"`` (the same, but the request was passed on), ``"truncate"`` (the answer
        breaks off in its middle), ``"hang"`` (no answer for `hang` seconds), ``"slow"`` (half of the answer's body, and
        nothing more for `hang` seconds), ``""`` (the request is passed on). Requests beyond the list are
        passed on.
    always : str
        What becomes of the requests beyond the list.
    delay : float
        Seconds that every answer is held back.
    hang : float
        Seconds that ``"hang"`` and ``"slow"`` take.
    denies_listing : bool
        Whether listings are refused, and with them, as S3 does, what is not there.
    log : list of (str, str, str)
        Method, path and fault of every request.
    """

    url: str
    faults: list[str] = field(default_factory=list)
    always: str = ""
    delay: float = 0.0
    hang: float = 2.0
    denies_listing: bool = False
    log: list[tuple[str, str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, method: str, path: str) -> str:
        with self.lock:
            fault = self.faults.pop(0) if self.faults else self.always
            self.log.append((method, path, fault))
        return fault


class _Between(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    flaky: Flaky
    target: str

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self._body()
        fault = self.flaky.next_fault(self.command, self.path)
        time.sleep(self.flaky.delay)
        if fault == "hang":
            time.sleep(self.flaky.hang)
        if fault in ("reset", "hang"):
            self.close_connection = True
            return
        if fault.isdecimal():
            self._answer(int(fault), {"Content-Type": "application/xml"}, DENIED if fault == "403" else b"")
            return
        answer = self._forwarded(body)
        if self.flaky.denies_listing and (answer[0] == 404 or "list-type=" in self.path):
            answer = 403, {"Content-Type": "application/xml"}, DENIED
        if fault == "lost":
            self.close_connection = True
            return
        self._answer(*answer, cut=fault in ("truncate", "slow"), pause=self.flaky.hang if fault == "slow" else 0.0)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.target, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, dict(answer.getheaders()), data
        finally:
            connection.close()

    def _answer(
        self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False, pause: float = 0.0
    ) -> None:
        self.send_response_only(status)
        length = str(len(data))
        for name, value in headers.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            if name.lower() not in _OWN_HEADERS:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
            time.sleep(pause)
        self.close_connection = self.close_connection or cut


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


@contextmanager
def flaky(target: str) -> Iterator[Flaky]:
    """Run a server that passes requests on to another one, save those that it is told to fail.

    Parameters
    ----------
    target : str
        URL of the other server; its path is not used.
    """
    handler = type("Between", (_Between,), {"target": urlsplit(target).netloc})
    server = _Server(("127.0.0.1", 0), handler)
    state = Flaky(f"http://127.0.0.1:{server.server_address[1]}")
    handler.flaky = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
