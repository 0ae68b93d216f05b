"""What a user names as the place of a store → a storage."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

import zarr
import zarr.abc.store
import zarr.storage

from zarr_vectors.exceptions import (
    ArgumentError,
    MissingExtraError,
    ReadOnlyStoreError,
    StoreError,
    StoreNotFoundError,
    UnsupportedFeatureError,
)
from zarr_vectors.storage.adapter import StorageStore
from zarr_vectors.storage.backend import BackendStorage, StorageBackend
from zarr_vectors.storage.bridge import run
from zarr_vectors.storage.connect import OBJECT_SCHEMES, connect
from zarr_vectors.storage.failures import without_secrets
from zarr_vectors.storage.icechunk.repository import SCHEME, icechunk, is_repository, parse_place
from zarr_vectors.storage.icechunk.sessions import IcechunkStorage
from zarr_vectors.storage.local import LocalStorage
from zarr_vectors.storage.object import ObjectStorage
from zarr_vectors.storage.port import Storage
from zarr_vectors.storage.zarr_backed import ZarrStorage

StorePath: TypeAlias = "str | os.PathLike[str] | zarr.abc.store.Store | Storage | object"
"""What can be opened: a path, a URL, a store or group of zarr-python, a storage, or what has one (a `Group`)."""

Mode: TypeAlias = Literal["r", "r+", "a", "w", "w-"]
"""As in Python's own `open` and zarr-python: only ``"r"`` refuses writes."""

Backend: TypeAlias = Literal["local", "obstore", "fsspec", "zarr", "icechunk"]
"""Which library reaches the store."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+")
_LOCAL_ZIP = re.compile(r"zip://(?P<path>.*?)::(?:file://)?(?P<file>(?!\w+://).+)")
"""How fsspec spells what is in a zip file on this machine; its own listing of the folders in there is wrong."""

_LONGEST_NAME = 255
_MODES = ("r", "r+", "a", "w", "w-")
_WHOLE = ("a", "w", "w-")
_BACKENDS = ("local", "obstore", "fsspec", "zarr", "icechunk")


def detect_scheme(url: str | os.PathLike[str]) -> str:
    """Give the scheme of a URL.

    Parameters
    ----------
    url : str or path
        A URL or a path.

    Returns
    -------
    str
        The part before ``://`` in lower case (``"s3"``, ``"file"``, …); ``""`` for a local path, also for
        one with a Windows drive letter.

    Examples
    --------
    >>> detect_scheme("S3://bucket/store.zv")
    's3'
    >>> detect_scheme("C:/data/store.zv")
    ''
    """
    head, mark, _ = os.fsdecode(url).partition("://")
    return head.lower() if mark and _SCHEME.fullmatch(head) else ""


def resolve_storage(
    path: StorePath, *, mode: Mode = "r", backend: Backend | None = None, **backend_kwargs: Any
) -> Storage:
    """Open the place of a store, without asking it anything.

    Parameters
    ----------
    path : str, path, zarr Store, zarr.Group, StorePath, Storage, StorageBackend, or object with a `storage` attribute
        Where the store is or will be; a group of zarr-python is the root of the store. A zip file, by its path or as a
        ``ZipStore`` that need not be open, can be read. A storage is given back as it is, whatever the mode.
    mode : {"r", "r+", "a", "w", "w-"}
        ``"r"`` refuses writes; the others allow them.
    backend : {"local", "obstore", "fsspec", "zarr", "icechunk"}, optional
        Which library to use. By default local files for paths, obstore for the URLs it knows, fsspec for
        the others; Icechunk for ``icechunk://`` and ``icechunk+s3://`` URLs, and for folders that hold one of its
        repositories.
    **backend_kwargs
        Options of the object store, as obstore or fsspec name them. With Icechunk also `branch` (``"main"``),
        `message` of the commits that functions make which were given a path, and, for reading, `tag` or
        `snapshot_id`.

    Returns
    -------
    Storage
        Whether anything is there is not checked.

    Raises
    ------
    ArgumentError
        The mode, the backend or an option is not known, or they do not fit the path.
    UnsupportedFeatureError
        Nothing here opens URLs of this scheme.
    MissingExtraError
        fsspec or Icechunk would be needed and is not installed.
    ReadOnlyStoreError
        The URL is one of plain HTTP, or the place a zip file, and the mode allows writing.
    StoreError
        A host that fsspec asks at once does not answer.
    """
    if mode not in _MODES:
        raise ArgumentError(f"mode {mode!r} is not known: use one of {', '.join(map(repr, _MODES))}")
    if backend is not None and backend not in _BACKENDS:
        raise ArgumentError(f"backend {backend!r} is not known: use one of {', '.join(map(repr, _BACKENDS))}")
    if not isinstance(path, str | os.PathLike):
        if mode in _WHOLE and (below := getattr(path, "path", "")) and hasattr(type(path), "storage"):
            raise ArgumentError(f"{path!r} is the group {below!r} of a store: stores are written through their root")
        return _from_object(path, mode == "r", backend_kwargs)
    text = os.fsdecode(path)
    scheme = detect_scheme(text)
    if scheme == "zip" and backend is None and (inner := _LOCAL_ZIP.fullmatch(text)) and not backend_kwargs:
        return _in_zip(Path(inner["file"]), mode == "r", inner["path"].strip("/"))
    if scheme in ("", "file"):
        _require_names(text)
    chosen = backend or _default_backend(scheme, text)
    if chosen == "icechunk":
        return _through_icechunk(text, mode == "r", backend_kwargs)
    if chosen == "local":
        _no_options(text, backend_kwargs)
        folder = _local_path(text, scheme)
        if folder.suffix.lower() == ".zip" and not folder.is_dir():
            return _in_zip(folder, mode == "r")
        return LocalStorage(folder, read_only=mode == "r")
    if chosen == "obstore":
        if scheme not in OBJECT_SCHEMES:
            raise ArgumentError(f"obstore does not open {without_secrets(text)!r}; it knows {_known()}")
        return connect(text, read_only=mode == "r", options=backend_kwargs)
    if chosen == "fsspec":
        return _through_fsspec(text, scheme, mode == "r", backend_kwargs)
    raise ArgumentError("backend='zarr' takes a zarr-python Store object as the path, not a string")


def _default_backend(scheme: str, text: str) -> Backend:
    if scheme == SCHEME or scheme.startswith(f"{SCHEME}+"):
        return "icechunk"
    if scheme in ("", "file"):
        return "icechunk" if is_repository(_local_path(text, scheme)) else "local"
    return "obstore" if scheme in OBJECT_SCHEMES else "fsspec"


def _known() -> str:
    return ", ".join(f"{scheme}://" for scheme in sorted(OBJECT_SCHEMES))


def _no_options(path: str, options: dict[str, Any]) -> None:
    if options:
        raise ArgumentError(
            f"{without_secrets(path)!r} is a local path and takes no storage options: {', '.join(sorted(options))}"
        )


def local_folder(path: str | os.PathLike[str]) -> Path | None:
    """Return the folder that a path or ``file://`` URL names, None where it names something else."""
    text = os.fsdecode(path)
    scheme = detect_scheme(text)
    try:
        return _local_path(text, scheme) if scheme in ("", "file") else None
    except ArgumentError:
        return None


def _require_names(text: str) -> None:
    """Refuse a path that no file system takes."""
    too_long = next((part for part in re.split(r"[/\\]", text) if len(os.fsencode(part)) > _LONGEST_NAME), None)
    if too_long is not None or "\0" in text:
        what = (
            "holds a NUL" if too_long is None else f"has a name of more than {_LONGEST_NAME} bytes, {too_long[:40]!r}…"
        )
        raise ArgumentError(f"path: {text[:80]!r} {what}, which file systems do not take; choose another")


def _local_path(text: str, scheme: str) -> Path:
    if not text:
        raise ArgumentError("the path is empty: give the folder of the store")
    if "\x00" in text:
        raise ArgumentError(f"the path {text!r} holds a NUL character")
    if not scheme:
        return Path(text)
    if scheme != "file":
        raise ArgumentError(f"backend='local' opens paths and file:// URLs, not {without_secrets(text)!r}")
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise ArgumentError(f"{without_secrets(text)!r} names another host: write file:///absolute/path")
    return Path(url2pathname(parts.path))


def _from_object(place: object, read_only: bool, options: dict[str, Any]) -> Storage:
    if options:
        raise ArgumentError(f"a {type(place).__name__} takes no storage options: {', '.join(sorted(options))}")
    if isinstance(place, zarr.Group | zarr.storage.StorePath):
        return _from_zarr(place.store, place.path.strip("/"), read_only, place.read_only)
    if isinstance(place, zarr.abc.store.Store):
        return _from_zarr(place, "", read_only)
    if isinstance(place, Storage):
        return place
    if isinstance(storage := getattr(place, "storage", None), Storage):
        return storage
    if isinstance(place, StorageBackend):
        return BackendStorage(place, refuse_writes=read_only)
    raise ArgumentError(
        f"an object of type {type(place).__name__} cannot be opened: give a path, a URL, a store or group of "
        "zarr-python (zarr.Group, zarr.storage.…), or a group of open_store"
    )


def _from_zarr(store: zarr.abc.store.Store, path: str, read_only: bool, refuses: bool = False) -> Storage:
    """Give the storage of a store of zarr-python from a path on."""
    if isinstance(store, zarr.storage.ZipStore):
        if not read_only:
            raise _zip_is_read_only(store.path)
        return ZarrStorage(store, path, refuse_writes=True) if store._is_open else _in_zip(store.path, True, path)
    read_only = read_only or refuses
    if isinstance(store, zarr.storage.LocalStore):
        return LocalStorage(store.root / path, read_only=read_only or store.read_only)
    if isinstance(store, zarr.storage.ObjectStore):
        url = without_secrets("/".join([str(store.store), path] if path else [str(store.store)]))
        return ObjectStorage(store.store, path, url, read_only=read_only or store.read_only)
    if isinstance(store, StorageStore) and not path and not read_only and not store.read_only:
        return store.storage
    if type(store).__module__.partition(".")[0] == SCHEME and hasattr(store, "session"):
        if path:
            raise ArgumentError(
                f"a group below the root ({path!r}) of an Icechunk session cannot be opened: give its root"
            )
        return IcechunkStorage.of(store, read_only=read_only)
    return ZarrStorage(store, path, refuse_writes=read_only)


def _in_zip(file: Path, read_only: bool, path: str = "") -> Storage:
    """Give what is in a zip file; where it is all in one folder, as archivers pack it, that folder."""
    if not read_only:
        raise _zip_is_read_only(file)
    try:
        with zipfile.ZipFile(file) as opened:
            names = opened.namelist()
        store = run(zarr.storage.ZipStore.open(file, mode="r"))
    except (OSError, zipfile.BadZipFile) as error:
        raise StoreNotFoundError(f"{file}: no zip file can be read there: {error}") from error
    folders = {name.partition("/")[0] for name in names}
    if not path and len(folders) == 1 and f"{(folder := folders.pop())}/zarr.json" in names:
        path = folder
    return ZarrStorage(store, path, refuse_writes=True)


def _zip_is_read_only(file: Path) -> ReadOnlyStoreError:
    return ReadOnlyStoreError(
        f"cannot write to {file}: what is in a zip file cannot be replaced; write a folder and pack it, for example "
        "by shutil.make_archive (zip files can be read)"
    )


def _through_icechunk(text: str, read_only: bool, options: dict[str, Any]) -> Storage:
    icechunk()
    names = ("branch", "message", "tag", "snapshot_id")
    ours = {name: options[name] for name in names if options.get(name) is not None}
    version: dict[str, str] = {name: ours.pop(name) for name in ("tag", "snapshot_id") if name in ours}
    if len(version) + ("branch" in ours) > 1:
        raise ArgumentError("branch, tag and snapshot_id name a version each: give one of them")
    if version and not read_only:
        raise ArgumentError(f"{next(iter(version))}: a version that is named can only be read; write to a branch")
    if not str(ours.get("message", "-")).strip():
        raise ArgumentError("message: say what was done; it may not be empty")
    place = parse_place(text, {name: value for name, value in options.items() if name not in names})
    return IcechunkStorage.at(place, read_only=read_only, version=version, **ours)


def _through_fsspec(text: str, scheme: str, read_only: bool, options: dict[str, Any]) -> Storage:
    shown = without_secrets(text)
    try:
        import fsspec  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            f"{shown!r} needs fsspec, since obstore only opens {_known()}: "
            f"install it with pip install 'zarr-vectors[fsspec]'"
        ) from error
    if scheme and scheme not in fsspec.available_protocols():
        raise UnsupportedFeatureError(
            f"{shown!r}: neither obstore nor fsspec knows the scheme {scheme!r}; obstore opens {_known()}"
        )
    try:
        store = zarr.storage.FsspecStore.from_url(text, storage_options=options or None, read_only=read_only)
    except ImportError as error:
        raise MissingExtraError(f"{shown!r}: {error}; install the package that fsspec names") from error
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{shown!r} cannot be opened with fsspec: {without_secrets(str(error))}") from error
    except Exception as error:  # some file systems connect at once, each with errors of its own
        raise StoreError(
            f"{shown!r} cannot be reached by {scheme}://, through fsspec: {without_secrets(str(error))}; check the "
            f"host and the login, or use a scheme that needs no fsspec: {_known()}"
        ) from error
    return ZarrStorage(store)
