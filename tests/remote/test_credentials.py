"""Who asks: credentials by keyword and by environment, anonymous access, and none of it in messages."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import numpy as np
import pytest

from tests.azurite import ACCOUNT, KEY, AzureServer
from tests.servers import S3Server
from zarr_vectors.exceptions import ArgumentError, ReadOnlyStoreError, StoreError
from zarr_vectors.storage import get_one, put_one, resolve_storage
from zarr_vectors.types.points import read_points, write_points


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415 - what is there is what is removed

    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)


def works(place: str, **options: Any) -> bool:
    storage = resolve_storage(place, mode="w", **options)
    put_one(storage, "a", b"1")
    return get_one(storage, "a") == b"1" and storage.list_all() == ["a"]


def fresh(scheme: str) -> str:
    return f"{scheme}://bucket/{uuid.uuid4().hex}"


def test_s3_by_keyword(s3: S3Server) -> None:
    assert works(fresh("s3"), **s3.options, session_token="token")
    assert works(fresh("s3"), key="k", secret="s", token="t", endpoint_url=s3.endpoint, region_name="us-east-1")
    assert works(fresh("s3"), client_kwargs={"endpoint_url": s3.endpoint}, key="k", secret="s")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
def test_s3_by_environment(s3: S3Server, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name, value in {"ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "SESSION_TOKEN": "t", "REGION": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv(variable, s3.endpoint)
    place = fresh("s3")
    positions = np.random.default_rng(0).uniform(0, 9, (50, 3)).astype(np.float32)
    write_points(place, positions)
    assert len(read_points(place)) == 50


@pytest.mark.parametrize("name", ["anon", "skip_signature", "AWS_SKIP_SIGNATURE"])
def test_s3_without_credentials(s3: S3Server, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client(
        "s3", endpoint_url=s3.endpoint, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    client.put_object(Bucket="bucket", Key="open/a", Body=b"1", ACL="public-read")
    client.put_object(Bucket="bucket", Key="closed/a", Body=b"1")
    client.close()
    options: dict[str, Any] = {"endpoint": s3.endpoint, "region": "us-east-1"}
    if name.isupper():
        monkeypatch.setenv(name, "true")
    else:
        options[name] = True
    assert get_one(resolve_storage("s3://bucket/open", **options), "a") == b"1"
    with pytest.raises(StoreError, match="cannot read 'a' in s3://bucket/closed: permission denied"):
        get_one(resolve_storage("s3://bucket/closed", **options), "a")


def test_azure_by_keyword(azure: AzureServer) -> None:
    signature = azure.shared_access_signature("bucket", "rcwdl")
    account = {"account_name": ACCOUNT, "endpoint": azure.endpoint}
    assert works(fresh("az"), **account, account_key=KEY)
    assert works(fresh("abfs"), **account, account_key=KEY)
    assert works(fresh("az"), **account, sas_token=signature)
    assert works(fresh("az"), **account, sas_key="?" + signature)
    assert works(fresh("az"), connection_string=azure.connection_string)
    shared = f"BlobEndpoint={azure.endpoint};AccountName={ACCOUNT};SharedAccessSignature={signature}"
    assert works(fresh("az"), connection_string=shared)


@pytest.mark.parametrize("how", ["key", "signature", "connection"])
def test_azure_by_environment(azure: AzureServer, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "connection":
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure.connection_string)
    else:
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure.endpoint)
    if how == "key":
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    if how == "signature":
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", azure.shared_access_signature("bucket", "rcwdl"))
    assert works(fresh("az"))


def test_azure_without_the_rights(azure: AzureServer) -> None:
    put_one(resolve_storage("az://bucket/rights", mode="w", **azure.options), "a", b"1")
    signature = azure.shared_access_signature("bucket", "r")
    account = {"account_name": ACCOUNT, "endpoint": azure.endpoint}
    reader = resolve_storage("az://bucket/rights", mode="r+", **account, sas_token=signature)
    assert get_one(reader, "a") == b"1"
    with pytest.raises(ReadOnlyStoreError, match="cannot write 'b' in az://bucket/rights: permission denied") as caught:
        put_one(reader, "b", b"1")
    assert signature[-20:] not in repr(caught.value)
    stranger = resolve_storage("az://bucket/rights", **account, anon=True)
    with pytest.raises(StoreError, match="cannot read 'a' in az://bucket/rights: permission denied"):
        get_one(stranger, "a")


def test_public_containers_are_read_without_credentials(azure: AzureServer) -> None:
    name = f"public{uuid.uuid4().hex}"
    azure.make_container(name, public=True)
    put_one(resolve_storage(f"az://{name}", mode="w", **azure.options), "a", b"1")
    stranger = resolve_storage(f"az://{name}", account_name=ACCOUNT, endpoint=azure.endpoint, anon=True)
    assert get_one(stranger, "a") == b"1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AccountKey=SECRET", "names no AccountName; it has accountkey"),
        ("AccountName=a;SECRET", "expected Name=value pairs"),
        (";", "names no AccountName; it has nothing"),
    ],
)
def test_connection_strings_that_say_nothing(text: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        resolve_storage("az://bucket/x", connection_string=text)
    assert "SECRET" not in repr(caught.value)
