"""Azurite, the emulator of Azure's blob storage, on the loopback interface."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Account and key that Azurite is published with; they open nothing else."""

VERSION = "2021-12-02"
PROGRAM = Path("node_modules") / "azurite" / "dist" / "src" / "blob" / "main.js"
_STARTED = re.compile(r"successfully listens on (http://127\.0\.0\.1:\d+)")
_SECONDS_TO_START = 60


@dataclass(frozen=True, slots=True)
class AzureServer:
    """A running emulator.

    Attributes
    ----------
    endpoint : str
        URL of the account.
    options : dict
        What `resolve_storage` and everything that opens a store needs as keyword arguments.
    """

    endpoint: str

    @property
    def options(self) -> dict[str, Any]:
        return {"account_name": ACCOUNT, "account_key": KEY, "endpoint": self.endpoint}

    @property
    def connection_string(self) -> str:
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    def make_container(self, name: str, *, public: bool = False) -> None:
        """Make an empty container."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION}
        if public:
            headers["x-ms-blob-public-access"] = "container"
        signed = "".join(f"{key}:{headers[key]}\n" for key in sorted(headers))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        signature = _sign("PUT" + "\n" * 12 + signed + resource)
        request = urllib.request.Request(
            f"{self.endpoint}/{name}?restype=container",
            method="PUT",
            headers={**headers, "Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass

    def shared_access_signature(self, container: str, permissions: str) -> str:
        """Return a signature of an hour for a container: ``r`` read, ``c`` create, ``w`` write, ``d`` delete, ``l``."""
        expiry = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        resource = f"/blob/{ACCOUNT}/{container}"
        text = [permissions, "", expiry, resource, "", "", "https,http", VERSION, "c", *[""] * 7]
        fields = {"sp": permissions, "se": expiry, "spr": "https,http", "sv": VERSION, "sr": "c"}
        return urlencode({**fields, "sig": _sign("\n".join(text))})


def _sign(text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def missing(folder: Path) -> str | None:
    """Return what Azurite lacks to be run from a folder that npm installed it into, or None."""
    if shutil.which("node") is None:
        return "there is no node, which runs Azurite"
    if not (folder / PROGRAM).exists():
        return f"there is no Azurite in {folder}"
    return None


@contextmanager
def azurite(folder: Path, log: Path) -> Iterator[AzureServer]:
    """Run the emulator on a free port, in memory.

    Parameters
    ----------
    folder : path
        Where npm installed it.
    log : path
        What it says goes there.
    """
    command = ["node", str(folder / PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", "0"]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent) as process:
        try:
            yield AzureServer(f"{_address(process, log)}/{ACCOUNT}")
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < give_up and process.poll() is None:
        if found := _STARTED.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"Azurite did not start: {log.read_text(errors='replace')}")
