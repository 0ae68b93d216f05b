"""Where an Icechunk repository is kept, and how it is opened or made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zarr_vectors.exceptions import ArgumentError, StoreExistsError, StoreNotFoundError
from zarr_vectors.extras import require
from zarr_vectors.storage.connect import connect
from zarr_vectors.storage.failures import explain, without_secrets
from zarr_vectors.storage.port import list_folder

SCHEME = "icechunk"
"""``icechunk://PATH`` is a local repository, ``icechunk+s3://BUCKET/PREFIX`` one in S3."""

_FAMILIES = {
    **dict.fromkeys(("", "file"), "local"),
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gs"),
    **dict.fromkeys(("az", "azure", "abfs", "abfss", "adl"), "az"),
}
_S3 = {
    "region": "region",
    "region_name": "region",
    "endpoint": "endpoint_url",
    "endpoint_url": "endpoint_url",
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "anon": "anonymous",
    "access_key_id": "access_key_id",
    "secret_access_key": "secret_access_key",
    "session_token": "session_token",
    "skip_signature": "anonymous",
    "anonymous": "anonymous",
    "from_env": "from_env",
    "force_path_style": "force_path_style",
    "request_payer": "requester_pays",
    "requester_pays": "requester_pays",
    "allow_http": "allow_http",
}
_GS = {
    "service_account": "service_account_file",
    "service_account_file": "service_account_file",
    "service_account_key": "service_account_key",
    "application_credentials": "application_credentials",
    "bearer_token": "bearer_token",
    "skip_signature": "anonymous",
    "anonymous": "anonymous",
    "anon": "anonymous",
    "token": "bearer_token",
    "from_env": "from_env",
}
_AZ = {
    "account_name": "account",
    "account": "account",
    "account_key": "access_key",
    "access_key": "access_key",
    "sas_token": "sas_token",
    "bearer_token": "bearer_token",
    "from_env": "from_env",
}
_NAMES = {"s3": _S3, "gs": _GS, "az": _AZ, "local": {}}


def icechunk() -> Any:
    """Import Icechunk.

    Its warning that local repositories are not safe for concurrent commits goes to the terminal each time one is
    opened, so only errors are shown unless the environment variable ``ICECHUNK_LOG`` says otherwise.
    """
    module = require("icechunk", "icechunk", "stores with transactions")
    if not os.environ.get("ICECHUNK_LOG"):
        module.set_logs_filter("error")
    return module


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository is, or will be: `url` without credentials, `target` a folder, or a bucket with its prefix."""

    url: str
    family: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)

    @property
    def name(self) -> str:
        """Last segment of the path."""
        return self.target.rstrip("/").rpartition("/")[2]

    def open(self) -> Any | None:
        """Open the repository; None where there is none."""
        module = icechunk()
        if self.family == "local" and not is_repository(Path(self.target)):
            return None
        storage = self._storage(module)
        try:
            return module.Repository.open(storage)
        except module.IcechunkError as error:
            try:
                there = module.Repository.exists(storage)
            except module.IcechunkError:
                there = True
            if there:
                raise explain(error, "open", "", self.url) from error
            return None

    def create(self) -> Any:
        """Make a repository."""
        module = icechunk()
        found = self._listing()
        if found:
            raise StoreExistsError(
                f"{self.url}: no Icechunk repository can be made there, since something else is ({', '.join(found)}); "
                "choose another path, or open that store without backend='icechunk'"
            )
        try:
            return module.Repository.create(self._storage(module))
        except module.IcechunkError as error:
            raise explain(error, "write", "", self.url) from error

    def required(self) -> Any:
        """Open the repository."""
        repository = self.open()
        if repository is None:
            raise StoreNotFoundError(f"{self.url}: no Icechunk repository is there")
        return repository

    def _listing(self) -> list[str]:
        """Give some names of what is at the place."""
        if self.family == "local":
            try:
                return sorted(os.listdir(self.target))[:5]
            except FileNotFoundError:
                return []
        ours = ("from_env", "force_path_style")
        known = {
            ("skip_signature" if name == "anonymous" else name): value
            for name, value in self.options.items()
            if name not in ours
        }
        listing = list_folder(connect(self.target, read_only=True, options=known))
        return [*listing.folders, *listing.files][:5]

    def _storage(self, module: Any) -> Any:
        if self.family == "local":
            return module.local_filesystem_storage(str(Path(self.target).absolute()))
        parts = urlsplit(self.target)
        prefix = parts.path.strip("/")
        settings = self._settings()
        if self.family == "s3":
            return module.s3_storage(bucket=parts.netloc, prefix=prefix or None, **_with_s3_defaults(settings))
        if self.family == "gs":
            return module.gcs_storage(bucket=parts.netloc, prefix=prefix or None, **_with_environment(settings))
        settings.setdefault("account", os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", ""))
        return module.azure_storage(container=parts.netloc, prefix=prefix, **_with_environment(settings))

    def _settings(self) -> dict[str, Any]:
        """Translate the names of options."""
        given = {**(self.options.get("client_kwargs") or {}), **self.options}
        given.pop("client_kwargs", None)
        names = _NAMES[self.family]
        settings = {}
        for option, value in given.items():
            plain = option.removeprefix("aws_").removeprefix("google_").removeprefix("azure_storage_")
            if plain not in names:
                raise ArgumentError(
                    f"{self.url}: the storage option {option!r} is not known with backend='icechunk'; "
                    f"it takes {', '.join(sorted(names))}"
                )
            settings[names[plain]] = value
        return settings


def _with_s3_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    """Add what the environment says, and path-style addresses for servers that are named."""
    environment = os.environ
    endpoint = settings.get("endpoint_url") or environment.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT")
    region = settings.get("region") or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if endpoint:
        settings |= {"endpoint_url": endpoint}
        settings.setdefault("force_path_style", True)
        settings.setdefault("allow_http", endpoint.lower().startswith("http://"))
    if region:
        settings["region"] = region
    return _with_environment(settings)


def _with_environment(settings: dict[str, Any]) -> dict[str, Any]:
    """Let credentials come from the environment where none are given."""
    credentials = ("access_key_id", "anonymous", "access_key", "sas_token", "bearer_token", "service_account_file")
    more = ("service_account_key", "application_credentials", "from_env")
    if not any(settings.get(name) for name in (*credentials, *more)):
        settings["from_env"] = True
    return settings


def parse_place(text: str, options: Mapping[str, Any]) -> Place:
    """Find out where a path or URL leads."""
    plain = text.removeprefix(f"{SCHEME}://").removeprefix(f"{SCHEME}+")
    scheme, mark, _ = plain.partition("://")
    family = _FAMILIES.get(scheme.lower() if mark else "")
    if family is None:
        raise ArgumentError(
            f"backend='icechunk' keeps repositories in folders and at s3://, gs:// and az://, "
            f"not at {without_secrets(text)!r}"
        )
    if family == "local":
        target = url2pathname(urlsplit(plain).path) if mark else plain
        if not target:
            raise ArgumentError("the path is empty: give the folder of the repository")
        if options:
            raise ArgumentError(f"{text!r} is a local path and takes no storage options: {', '.join(sorted(options))}")
        return Place(target.rstrip("/") or "/", family, target)
    shown = without_secrets(plain).rstrip("/")
    if not urlsplit(plain).netloc:
        raise ArgumentError(f"{shown!r} names no bucket: write {scheme}://bucket/prefix")
    return Place(f"{SCHEME}+{shown}", family, plain.rstrip("/"), dict(options))


def is_repository(folder: Path) -> bool:
    """Say whether a folder holds an Icechunk repository, by the names that both of its formats use."""
    return os.path.isdir(folder / "snapshots") and (
        os.path.isdir(folder / "refs") or os.path.isfile(folder / "repo")
    )  # false, where pathlib raises, for names that are too long
