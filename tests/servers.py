"""Servers on the loopback interface, for tests of remote storages."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server.

    Attributes
    ----------
    endpoint : str
        Its URL.
    options : dict
        What `resolve_storage` and everything that opens a store needs as keyword arguments.
    """

    endpoint: str
    options: dict[str, Any]

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.options["region"],
            aws_access_key_id=self.options["access_key_id"],
            aws_secret_access_key=self.options["secret_access_key"],
        )
        client.create_bucket(Bucket=name)
        client.close()


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run an S3 server on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    options = {
        "endpoint": endpoint,
        "region": "us-east-1",
        "access_key_id": "testing",
        "secret_access_key": "verysecret",
    }
    try:
        yield S3Server(endpoint, options)
    finally:
        server.stop()


STATED = 10**13
"""Bytes that a server that lies says are there."""


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, with byte ranges, and no listings of folders."""

    lies_about = ""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        size = STATED if self.lies_about and path.as_posix().endswith(self.lies_about) else len(data)
        asked = self.headers.get("Range", "")
        if asked.startswith("bytes="):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, size - int(last))
            stop = min(int(last) + 1, size) if first and last else size
            if start >= size:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            data, size = data[start:stop], stop - start
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        with suppress(ConnectionError):  # a client that does not believe us hangs up
            for _ in range(100 if size > len(data) else 1):
                self.wfile.write(data)


@contextmanager
def http_server(folder: Path, *, lies_about: str = "") -> Iterator[str]:
    """Serve a folder by HTTP with byte ranges, and say that files of one name have `STATED` bytes; gives its URL."""
    handler = type("Handler", (_Handler,), {"lies_about": lies_about})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
