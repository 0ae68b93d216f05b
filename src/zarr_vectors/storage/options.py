"""Options of object stores under the names that users know → those of obstore."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from zarr_vectors.exceptions import ArgumentError

_CLIENT_OPTIONS = frozenset(
    [
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "default_content_type",
        "default_headers",
        "http1_only",
        "http2_keep_alive_interval",
        "http2_keep_alive_timeout",
        "http2_keep_alive_while_idle",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_url",
        "proxy_ca_certificate",
        "proxy_excludes",
        "randomize_addresses",
        "read_timeout",
        "root_certificate",
        "timeout",
        "user_agent",
    ]
)
_FSSPEC_NAMES = {
    "endpoint_url": "endpoint",
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "anon": "skip_signature",
    "region_name": "region",
    "requester_pays": "request_payer",
}
_AZURE_SCHEMES = frozenset({"az", "adl", "azure", "abfs", "abfss"})
_CONNECTION_FIELDS = {
    "accountname": "account_name",
    "accountkey": "account_key",
    "blobendpoint": "endpoint",
    "sharedaccesssignature": "sas_token",
}
_CONNECTION_VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
_ENDPOINT_VARIABLES = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_AZURE_IDENTITY = ("account", "key", "sas", "connection", "client", "credential", "token", "skip_signature", "emulator")


def sorted_options(url: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sort options into those of the store and the keyword arguments beside them.

    Parameters
    ----------
    url : str
        Where the store is.
    options : mapping
        As users give them.

    Returns
    -------
    config, settings : dict
        Options of obstore's store; its keyword arguments ``client_options``, ``retry_config`` and
        ``credential_provider``.

    Raises
    ------
    ArgumentError
        A connection string cannot be understood.
    """
    given = {**options.get("client_kwargs", {}), **options}
    given.pop("client_kwargs", None)
    settings = {name: given.pop(name) for name in ("retry_config", "credential_provider") if name in given}
    client = dict(given.pop("client_options", None) or {})
    config: dict[str, Any] = {**(given.pop("config", None) or {})}
    for name, value in given.items():
        if name in _CLIENT_OPTIONS:
            client[name] = value
        elif value is not None:
            config[_FSSPEC_NAMES.get(name, name)] = value
    scheme = url.partition(":")[0].lower()
    if scheme in _AZURE_SCHEMES:
        config = _with_connection(config)
    endpoint = _endpoint(scheme, config) or url
    if endpoint.lower().startswith("http://"):
        client.setdefault("allow_http", True)
    if client:
        settings["client_options"] = client
    return config, settings


def _with_connection(config: dict[str, Any]) -> dict[str, Any]:
    """Put in the fields of a connection string, given or, where nothing says who asks, of the environment."""
    text = config.pop("connection_string", None)
    if text is None:
        if any(part in name for name in config for part in _AZURE_IDENTITY):
            return config
        text = os.environ.get(_CONNECTION_VARIABLE)
    if not text:
        return config
    return {**_connection_fields(str(text)), **config}


def _connection_fields(text: str) -> dict[str, str]:
    """Take a connection string apart (Azure: "Configure connection strings for Azure Storage").

    Raises
    ------
    ArgumentError
        It names no account, or a part of it is no ``Name=value``. The message shows none of its values.
    """
    fields: dict[str, str] = {}
    for part in filter(None, text.strip().split(";")):
        name, mark, value = part.partition("=")
        if not mark:
            raise ArgumentError("connection_string: expected Name=value pairs with semicolons between them")
        fields[name.strip().lower()] = value.strip()
    found = {ours: fields[theirs] for theirs, ours in _CONNECTION_FIELDS.items() if theirs in fields}
    if "account_name" not in found and "endpoint" in found:
        found["account_name"] = found["endpoint"].split("://")[-1].split(".")[0]
    if "account_name" not in found:
        raise ArgumentError(f"connection_string: names no AccountName; it has {', '.join(sorted(fields)) or 'nothing'}")
    if "endpointsuffix" in fields and "endpoint" not in found:
        protocol = fields.get("defaultendpointsprotocol", "https")
        found["endpoint"] = f"{protocol}://{found['account_name']}.blob.{fields['endpointsuffix']}"
    return found


def _endpoint(scheme: str, config: Mapping[str, Any]) -> str | None:
    """Return the endpoint that is given, or that of the environment."""
    named = next((str(value) for name, value in config.items() if "endpoint" in name), None)
    if named is not None:
        return named
    family = "az" if scheme in _AZURE_SCHEMES else scheme.removesuffix("a")
    return next((os.environ[name] for name in _ENDPOINT_VARIABLES.get(family, ()) if os.environ.get(name)), None)
