"""LAS files to stores and back."""

from __future__ import annotations

import datetime
import importlib
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zarr_vectors.convert.las import export_las, ingest_las, read_las
from zarr_vectors.convert.las.file import LasFile
from zarr_vectors.convert.las.records import Record
from zarr_vectors.convert.las.reference import read_reference
from zarr_vectors.convert.las.wkt import parse_wkt
from zarr_vectors.convert.swc import export_swc, ingest_swc, read_swc
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    LossWarning,
    MissingExtraError,
    StoreError,
    StoreNotFoundError,
    UnknownNameError,
    UnsupportedFeatureError,
    ZarrVectorsError,
)
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import read_points, write_points

laspy = pytest.importorskip("laspy")

AUTZEN = Path(__file__).parents[2] / "examples" / "data" / "autzen_trim.laz"


@pytest.fixture(scope="module")
def autzen() -> Any:
    return laspy.read(AUTZEN)


@pytest.fixture(scope="module")
def autzen_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("autzen") / "autzen.zarrvectors")
    ingest_las(AUTZEN, path, keep_order=True, metadata={"site": "Eugene"})
    return path


def test_every_dimension_is_read_as_laspy_reads_it(autzen: Any) -> None:
    points = read_las(AUTZEN)
    assert np.array_equal(points.positions, np.asarray(autzen.xyz))
    names = {"red", "green", "blue", "X", "Y", "Z"}
    others = [name for name in autzen.point_format.dimension_names if name not in names]
    assert sorted(points.attributes) == sorted([*others, "color"])
    for name in others:
        assert np.array_equal(points.attributes[name], np.asarray(autzen[name])), name
    colours = np.stack([autzen.red, autzen.green, autzen.blue], axis=1)
    assert np.array_equal(points.attributes["color"], colours)
    assert points.attributes["withheld"].dtype == bool
    assert points["crs"]["name"] == "NAD_1983_HARN_Lambert_Conformal_Conic"
    assert points.axis_units == {"x": "foot", "y": "foot"}


def test_store_holds_positions_attributes_and_reference(autzen: Any, autzen_store: str) -> None:
    points = read_points(autzen_store, restore_order=True)
    assert points.positions.dtype == np.float64
    assert np.array_equal(points.positions, np.asarray(autzen.xyz))
    assert np.array_equal(points.attributes["gps_time"], autzen.gps_time)
    assert points.channel_names["color"] == ("red", "green", "blue")
    store = open_reader(autzen_store)
    assert store.root.crs is not None
    assert store.root.crs["wkt"].startswith("PROJCS")
    assert [axis.unit for axis in store.root.axes] == ["foot", "foot", None]
    assert store.attributes["user_metadata"]["site"] == "Eugene"
    assert store.level(0).attribute("gps_time").spec.unit == "second"


@pytest.mark.parametrize("suffix", [".las", ".laz"])
def test_export_gives_the_file_back(autzen: Any, autzen_store: str, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"again{suffix}"
    summary = export_las(autzen_store, target)
    again = laspy.read(target)
    assert summary.point_count == len(again.points) == 110_000
    assert again.points.array.dtype == autzen.points.array.dtype
    assert np.array_equal(again.points.array, autzen.points.array)
    assert [vlr.record_id for vlr in again.header.vlrs] == [
        vlr.record_id for vlr in autzen.header.vlrs if vlr.user_id != "laszip encoded"
    ]
    assert again.header.creation_date == datetime.date(2015, 9, 10)
    assert again.header.are_points_compressed == (suffix == ".laz")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def las14(path: Path, *, count: int = 1000) -> Any:
    """Write a LAS 1.4 file with every kind of extra dimension."""
    header = laspy.LasHeader(point_format=8, version="1.4")
    header.scales, header.offsets = [0.001, 0.001, 0.01], [500_000.0, -4_000_000.0, 0.0]
    header.global_encoding.wkt = True
    wkt = 'COMPD_CS["both",PROJCS["plane",UNIT["metre",1]],VERT_CS["h",UNIT["foot",0.3048]]]'
    header.vlrs.append(laspy.vlrs.known.WktCoordinateSystemVlr(wkt))
    extra = laspy.ExtraBytesParams
    header.add_extra_dims(
        [
            extra("Amplitude [dB]", "f4", "of the echo"),
            extra("normal", "3f4"),
            extra("height", "i2", offsets=np.array([10.0]), scales=np.array([0.25])),
            extra("range/2", "u8"),
            extra("Color", "u1"),
            extra("wide", "2i4", offsets=np.array([0.0, 1.0]), scales=np.array([0.5, 0.125])),
        ]
    )
    record = laspy.ScaleAwarePointRecord.zeros(count, header=header)
    rng = np.random.default_rng(5)
    raw = rng.integers(0, 256, record.array.nbytes, dtype=np.uint8)
    record.array = raw.view(record.array.dtype).copy()
    for name in ("gps_time", "Amplitude [dB]", "normal"):
        shape = record.array[name].shape
        record.array[name] = rng.normal(size=shape)
    for name in ("X", "Y", "Z"):
        record.array[name] = rng.integers(-(2**31), 2**31, count)
    record.array["range/2"] = rng.integers(0, 2**63, count)
    with laspy.open(path, mode="w", header=header) as writer:
        writer.write_points(record)
        evlrs = laspy.vlrs.vlrlist.VLRList()
        evlrs.append(laspy.VLR(user_id="someone", record_id=7, description="notes", record_data=b"\x00\xffabc"))
        writer.write_evlrs(evlrs)
    return laspy.read(path)


@pytest.mark.parametrize("format_version", ["0.9", "0.7"])
def test_las_1_4_with_extra_dimensions_survives(tmp_path: Path, format_version: str) -> None:
    original = las14(tmp_path / "in.las")
    store = tmp_path / "store"
    ingest_las(tmp_path / "in.las", store, keep_order=True, format_version=format_version)
    points = read_points(store, restore_order=True)
    assert np.array_equal(points.attributes["height"], np.asarray(original["height"]))
    assert np.array_equal(points.attributes["wide"], np.asarray(original["wide"]))
    assert np.array_equal(points.attributes["range_2"], original.points.array["range/2"])
    assert np.array_equal(points.attributes["Color_2"], original.points.array["Color"])
    assert points.attributes["normal"].shape == (1000, 3)
    assert [axis.unit for axis in open_reader(store).root.axes] == ["meter", "meter", "foot"]
    summary = export_las(store, tmp_path / "out.las")
    again = laspy.read(tmp_path / "out.las")
    assert summary.extra_dimensions == ("Amplitude [dB]", "normal", "height", "range/2", "Color", "wide")
    for name in original.points.array.dtype.names:
        if name != "classification_flags":  # its fields are compared below; no bit of it is unused
            assert np.array_equal(again.points.array[name], original.points.array[name]), name
    for name in original.point_format.dimension_names:
        assert np.array_equal(np.asarray(again[name]), np.asarray(original[name])), name
    assert bytes(again.evlrs[0].record_data_bytes()) == b"\x00\xffabc"
    assert again.header.global_encoding.wkt


@pytest.mark.parametrize("format_version", ["0.9", "0.7"])
@pytest.mark.parametrize("chunk_by", [None, "classification"])
def test_a_file_beyond_the_budget_makes_the_same_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_version: str, chunk_by: str | None
) -> None:
    held: list[int] = []
    made = LasFile.batches

    def noted(self: LasFile, rows: int, *arguments: Any) -> Any:
        held.append(rows)
        return made(self, rows, *arguments)

    monkeypatch.setattr(LasFile, "batches", noted)
    options: dict[str, Any] = {"chunk_by_attribute": chunk_by, "format_version": format_version, "keep_order": True}
    for folder, budget in (("whole", 1 << 30), ("parts", 1 << 20)):
        ingest_las(AUTZEN, tmp_path / folder / "cloud", memory_budget=budget, **options)
    assert held[0] == 1_000_000
    assert held[1] < 110_000 / 30  # the points are many times the budget
    whole, parts = (
        {
            file.relative_to(tmp_path / name): file.read_bytes()
            for file in (tmp_path / name).rglob("*")
            if file.is_file()
        }
        for name in ("whole", "parts")
    )
    assert whole == parts


def test_memory_of_ingesting_stays_within_the_budget(tmp_path: Path) -> None:
    source, budget, count = tmp_path / "in.las", 2 << 20, 400_000
    header = laspy.LasHeader(point_format=1, version="1.2")
    header.scales = np.full(3, 0.01)
    points = laspy.LasData(header)
    rng = np.random.default_rng(0)
    points.x, points.y, points.z = rng.uniform(0, 1000, (3, count))
    points.write(source)
    del points
    tracemalloc.start()
    try:
        summary = ingest_las(
            source,
            tmp_path / "store",
            memory_budget=budget,
            chunk_shape=200,
            shard_shape=None,
            temporary_folder=tmp_path,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert summary.vertex_count == count
    assert peak < 4 * budget < 24 * count
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.las", "store"]


def test_a_file_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    whole = AUTZEN.read_bytes()
    (tmp_path / "cut.laz").write_bytes(whole[: len(whole) // 2])
    for budget in (1 << 30, 1 << 20):
        with pytest.raises(ArrayError, match=r"cut\.laz"):
            ingest_las(tmp_path / "cut.laz", tmp_path / "store", memory_budget=budget, temporary_folder=tmp_path)
    with pytest.raises(ArgumentError, match="memory_budget"):
        ingest_las(AUTZEN, tmp_path / "store", memory_budget=0)
    assert [one.name for one in tmp_path.iterdir()] == ["cut.laz"]


def test_empty_file_makes_an_empty_store(tmp_path: Path) -> None:
    las14(tmp_path / "in.las", count=0)
    summary = ingest_las(tmp_path / "in.las", tmp_path / "store")
    assert summary.vertex_count == 0
    assert read_points(tmp_path / "store").attributes["normal"].shape == (0, 3)
    assert export_las(tmp_path / "store", tmp_path / "out.las").point_count == 0
    assert len(laspy.read(tmp_path / "out.las").points) == 0


def test_progress_counts_points(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    written: list[tuple[int, int]] = []
    ingest_las(
        AUTZEN,
        tmp_path / "store",
        attributes=["intensity"],
        read_progress=lambda done, total: seen.append((done, total)),
        progress=lambda done, total: written.append((done, total)),
    )
    assert seen[-1] == (110_000, 110_000)
    assert written[-1][0] == written[-1][1]
    assert list(read_points(tmp_path / "store").attributes) == ["intensity"]


def test_store_of_other_origin_becomes_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    positions = rng.uniform(-50, 50, (500, 3))
    attributes = {
        "intensity": rng.integers(0, 65_536, 500).astype(np.uint16),
        "quality": rng.normal(size=500).astype(np.float32),
        "inside": rng.integers(0, 2, 500).astype(bool),
    }
    write_points(tmp_path / "store", positions, attributes=attributes, dtype=np.float64, keep_order=True)
    summary = export_las(tmp_path / "store", tmp_path / "out.las")
    again = laspy.read(tmp_path / "out.las")
    assert summary.extra_dimensions == ("inside", "quality")
    assert np.abs(np.asarray(again.xyz) - positions).max() <= 0.5001e-3
    assert np.array_equal(again.intensity, attributes["intensity"])
    assert np.array_equal(again["quality"], attributes["quality"])
    assert np.array_equal(again["inside"], attributes["inside"])


def test_values_that_a_standard_dimension_cannot_keep_get_their_own(tmp_path: Path) -> None:
    attributes = {
        "intensity": np.array([0.25, 0.5]),
        "return_number": np.array([3, 16]),
        "classification": np.array([2, 255]),
        "color": np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        "gps_time": np.array([np.nan, 1.0]),
        "half": np.array([0.1, np.nan], np.float16),
        "X": np.array([[7], [8]]),
    }
    write_points(tmp_path / "store", np.zeros((2, 3)), attributes=attributes, keep_order=True)
    with pytest.warns(LossWarning, match="store: values of 'intensity'.*; .* 'return_number_stored'$"):
        summary = export_las(tmp_path / "store", tmp_path / "out.las")
    again = laspy.read(tmp_path / "out.las")
    assert set(summary.extra_dimensions) == {"intensity_stored", "return_number_stored", "half", "X_stored"}
    assert np.array_equal(again["half"], attributes["half"], equal_nan=True)
    assert np.array_equal(again["X_stored"], [7, 8])
    assert np.array_equal(again["intensity_stored"], [0.25, 0.5])
    assert np.array_equal(again["return_number_stored"], [3, 16])
    assert np.array_equal(again["classification"], [2, 255])
    assert np.array_equal(again["blue"], [3, 6])
    assert np.array_equal(again["gps_time"], [np.nan, 1.0], equal_nan=True)


def test_only_points_of_the_box_are_exported(autzen_store: str, tmp_path: Path) -> None:
    low, high = [636_200, 849_000, 0], [636_300, 849_100, 1000]
    summary = export_las(autzen_store, tmp_path / "box.las", bbox=(low, high), attributes=["gps_time"])
    xyz = np.asarray(laspy.read(tmp_path / "box.las").xyz)
    assert 0 < summary.point_count == len(xyz) < 110_000
    assert (xyz >= low).all()
    assert (xyz < high).all()


def test_refusals_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no such file"):
        read_las(tmp_path / "missing.las")
    (tmp_path / "text.las").write_text("not a point cloud " * 30)
    with pytest.raises(ArrayError, match="cannot be read as LAS"):
        read_las(tmp_path / "text.las")
    whole = AUTZEN.read_bytes()
    (tmp_path / "cut.laz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArrayError, match=r"cut\.laz"):
        read_las(tmp_path / "cut.laz")
    with pytest.raises(UnknownNameError, match="'nir'"):
        ingest_las(AUTZEN, tmp_path / "store", attributes=["nir"])
    with pytest.raises(ArgumentError, match="metadata: the key 'las'"):
        ingest_las(AUTZEN, tmp_path / "store", metadata={"las": {}})
    write_points(tmp_path / "flat", np.zeros((3, 2)))
    with pytest.raises(ArgumentError, match="three axes"):
        export_las(tmp_path / "flat", tmp_path / "out.las")
    write_points(tmp_path / "texts", np.zeros((3, 3)), attributes={"label": ["a", "b", "c"]})
    with pytest.raises(UnsupportedFeatureError, match="'label'"):
        export_las(tmp_path / "texts", tmp_path / "out.las")
    with pytest.raises(ArgumentError, match=r"\.las or \.laz"):
        export_las(tmp_path / "texts", tmp_path / "out.ply")
    write_points(tmp_path / "far", np.array([[0.0, 0, 0], [1e7, 0, 0]]))
    with pytest.raises(ArgumentError, match="32 bits"):
        export_las(tmp_path / "far", tmp_path / "out.las", scale=1e-6)
    write_points(tmp_path / "wide", np.zeros((2, 3)), attributes={"five": np.ones((2, 5), np.float32)})
    with pytest.raises(UnsupportedFeatureError, match="'five' of 5 channels of float32"):
        export_las(tmp_path / "wide", tmp_path / "out.las")
    write_points(tmp_path / "classes", np.zeros((2, 3)), attributes={"classification": np.array([2, 256])})
    with pytest.raises(UnsupportedFeatureError, match="'classification' of int64: the classes of LAS"):
        export_las(tmp_path / "classes", tmp_path / "out.las")
    with pytest.raises(UnsupportedFeatureError, match="COPC"):
        export_las(tmp_path / "far", tmp_path / "out.copc.laz")
    for scale in (0, [1, 2], np.nan, "fine"):
        with pytest.raises(ArgumentError, match="scale: expected"):
            export_las(tmp_path / "far", tmp_path / "out.las", scale=scale)
    with pytest.raises(StoreError, match=r"out\.las: cannot be written: No such file"):
        export_las(tmp_path / "far", tmp_path / "nowhere" / "out.las")
    assert not list(tmp_path.glob("*out*"))


HOSTILE = [
    None,
    5,
    1.5,
    b"x",
    "",
    ".",
    "missing",
    [],
    [None],
    {},
    {1: 2},
    object(),
    np.zeros(3),
    True,
    "a\0b",
]


@pytest.mark.parametrize("given", [*HOSTILE, "x" * 5000], ids=lambda given: repr(given)[:20])
def test_only_documented_errors_leave_the_doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.las").write_bytes(bytes(range(256)) * 20)
    Path("a.swc").write_text("1 1 0 0 0 1 -1")
    write_points("s.zv", np.zeros((2, 3)))
    doors: list[Any] = [
        lambda: read_las(given),
        lambda: read_swc(given),
        lambda: ingest_las(given, "t.zv"),
        lambda: ingest_swc([given], "t.zv"),
        lambda: export_las("s.zv", given),
        lambda: export_swc("s.zv", given),
    ]
    if not isinstance(given, str | bytes):
        doors.append(lambda: ingest_swc(given, "t.zv"))
    if given is not None:
        some = [1] if isinstance(given, str | list | dict) and not given else given
        doors += [
            lambda: ingest_las(AUTZEN, "t.zv", attributes=some),
            lambda: ingest_las(AUTZEN, "t.zv", metadata=some),
            lambda: ingest_las(AUTZEN, "t.zv", attribute_specs=some),
            lambda: ingest_swc("a.swc", "t.zv", metadata=some),
            lambda: ingest_swc("a.swc", "t.zv", object_attributes=some),
        ]
    if given is not None and not isinstance(given, bytes | dict):
        doors.append(lambda: ingest_swc("a.swc", "t.zv", object_ids=given))
    for door in doors:
        with pytest.raises(ZarrVectorsError):
            door()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.swc", "s.zv", "text.las"]


def test_missing_laspy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r'pip install "zarr-vectors\[las\]"'):
        read_las(AUTZEN)


def projection(record_id: int, data: bytes) -> Record:
    """Return a record that says something of the coordinates."""
    return Record("LASF_Projection", record_id, "", data)


WGS84 = 'GEOGCS["WGS 84",UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
UTM = (
    'PROJCRS["UTM ""32""",BASEGEOGCRS["WGS 84",ID["EPSG",4326]],CS[Cartesian,2],'
    'AXIS["E",east,LENGTHUNIT["metre",1]],ID["EPSG",32632]]'
)


@pytest.mark.parametrize(
    ("text", "name", "epsg", "units"),
    [
        (WGS84, "WGS 84", 4326, ("degree", "degree", None)),
        (UTM, 'UTM "32"', 32632, ("meter", "meter", None)),
        ('PROJCS["p",UNIT["us",0.3048006096012192]]', "p", None, ("US_survey_foot", "US_survey_foot", None)),
        ('PROJCS["p",UNIT["odd",7.5]]', "p", None, (None, None, None)),
        (f'COMPD_CS["c",{WGS84},VERT_CS["v",UNIT["metre",1.0]]]', "c", None, ("degree", "degree", "meter")),
    ],
)
def test_reference_of_well_known_text(text: str, name: str, epsg: int | None, units: tuple[str | None, ...]) -> None:
    reference = read_reference([projection(2112, text.encode() + b"\0")])
    assert reference.crs is not None
    assert reference.crs["name"] == name
    assert reference.crs.get("epsg") == epsg
    assert reference.units == units


def test_reference_of_geotiff_keys() -> None:
    keys = [(1, 1, 0, 4), (1024, 0, 1, 1), (3072, 0, 1, 26910), (3076, 0, 1, 9001), (4099, 0, 1, 9002)]
    keys.append((3073, 34737, 4, 2))
    records = [projection(34735, np.array(keys, "<u2").tobytes()), projection(34737, b"xxUTM|")]
    reference = read_reference(records)
    assert reference.crs == {"name": "UTM", "epsg": 26910}
    assert reference.units == ("meter", "meter", "foot")
    assert read_reference([]).crs is None


@pytest.mark.parametrize("text", ["", "PROJCS[", "PROJCS]", "free text", '"quoted"', 'A["b"'])
def test_text_that_is_not_wkt_is_none(text: str) -> None:
    assert parse_wkt(text) is None


@pytest.mark.parametrize("promised", [101, 2**45, 2**62, 2**63 + 1], ids=hex)
@pytest.mark.parametrize("ending", ["las", "laz"])
def test_a_header_that_promises_too_many_points_is_refused(tmp_path: Path, promised: int, ending: str) -> None:
    path = tmp_path / f"points.{ending}"
    file = laspy.LasData(laspy.LasHeader(point_format=6, version="1.4"))
    file.x = file.y = file.z = np.arange(100.0)
    file.write(path)
    damaged = bytearray(path.read_bytes())
    damaged[247:255] = promised.to_bytes(8, "little")
    path.write_bytes(damaged)
    with pytest.raises(ArrayError, match=r"points\.la[sz]"):
        read_las(path)
    for mode in ("w", "a"):
        with pytest.raises(ArrayError, match=r"points\.la[sz]"):
            ingest_las(path, tmp_path / "s.zv", mode=mode)
        assert not (tmp_path / "s.zv").exists()
