"""What LAS files hold comes back exactly, or is refused by name."""

from __future__ import annotations

import datetime
import errno
import struct
import uuid
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from zarr_vectors import edit
from zarr_vectors.convert import paths
from zarr_vectors.convert.las import export_las, ingest_las, read_las
from zarr_vectors.exceptions import (
    ArgumentError,
    ArrayError,
    LossWarning,
    PrecisionWarning,
    StoreError,
    UnsupportedFeatureError,
)
from zarr_vectors.multiresolution.coarsen import build_pyramid
from zarr_vectors.read.opening import open_reader
from zarr_vectors.types.points import read_points, write_points

laspy = pytest.importorskip("laspy")

REVISIONS = pytest.mark.parametrize("revision", ["0.9", "0.7"])


def las(path: Path, *extra: Any, version: str = "1.4", point_format: int = 6, count: int = 50, **header: Any) -> Any:
    """Return points to fill and write."""
    made = laspy.LasHeader(version=version, point_format=point_format)
    made.scales, made.offsets = [0.001] * 3, [0.0] * 3
    for name, value in header.items():
        setattr(made, name, value)
    made.add_extra_dims(list(extra))
    points = laspy.LasData(made)
    points.X, points.Y, points.Z = np.random.default_rng(1).integers(0, 10_000, (3, count))
    points.write(path)
    return laspy.read(path)


def there_and_back(path: Path, **options: Any) -> Any:
    """Make a store of a file in the order of the file, export it, and read what was written."""
    store, again = path.with_suffix(".zv"), path.with_name(f"again{path.suffix}")
    ingest_las(path, store, keep_order=True, **options)
    export_las(store, again)
    return laspy.read(again)


TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


def hard_values(kind: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Return values of a type with its extremes."""
    rng = np.random.default_rng(7)
    if kind.kind == "f":
        values = rng.normal(size=shape).astype(kind)
        values.reshape(-1)[:3] = [np.nan, np.finfo(kind).max, np.finfo(kind).tiny]
        return values
    limits = np.iinfo(kind)
    values = rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    values.reshape(-1)[:3] = [limits.min, limits.max, limits.max - 1]
    return values


@REVISIONS
def test_extra_dimensions_of_every_type_come_back_bit_for_bit(tmp_path: Path, revision: str) -> None:
    dimensions: list[Any] = []
    for kind in TYPES:
        elements = 2 if kind in ("i8", "f4") else 1
        plain = dict.fromkeys(["scales", "offsets"], None)
        dimensions.append(laspy.ExtraBytesParams(kind, kind, **plain))
        dimensions.append(laspy.ExtraBytesParams(f"{kind} one", kind, scales=[1.0], offsets=[0.0]))
        limit = 7 if np.dtype(kind).kind == "f" else int(np.iinfo(kind).max)
        dimensions.append(laspy.ExtraBytesParams(f"{kind} none", f"{elements}{kind}", no_data=[limit] * elements))
        if kind not in ("u8", "i8", "f4", "f8"):
            dimensions.append(
                laspy.ExtraBytesParams(f"{kind} scaled", kind, scales=[0.01], offsets=[100.0], no_data=[limit])
            )
    points = las(tmp_path / "a.las", *dimensions)
    for name in points.point_format.extra_dimension_names:
        column = points.points.array[name]
        points.points.array[name] = hard_values(column.dtype, column.shape)
        if "none" in name or "scaled" in name:
            limit = 7 if column.dtype.kind == "f" else np.iinfo(column.dtype).max
            points.points.array[name][10:20] = limit
            if column.dtype.kind == "f":
                points.points.array[name][:1] = limit  # a NaN comes back as no data, as which it is missing
    points.write(tmp_path / "a.las")
    again = there_and_back(tmp_path / "a.las", format_version=revision)
    assert again.points.array.dtype == points.points.array.dtype
    for name in points.points.array.dtype.names:
        assert again.points.array[name].tobytes() == points.points.array[name].tobytes(), name
    found = read_points(tmp_path / "a.zv", restore_order=True).attributes
    assert found["u8 one"].dtype == np.uint64
    assert np.isnan(found["f8 none"][10:20]).all()
    missing = np.ma.getmaskarray(found["u8 none"])
    assert np.flatnonzero(missing).tolist() == [1, *range(10, 20)]
    assert found["u8 none"].dtype == np.uint64
    assert isinstance(read_las(tmp_path / "a.las").attributes["u1 none"], np.ma.MaskedArray)
    assert np.isnan(found["i4 scaled"][10:20]).all()
    before, after = (file.header.vlrs.get("ExtraBytesVlr")[0].extra_bytes_structs for file in (points, again))
    for one, other in zip(before, after, strict=True):
        assert (one.name, one.description, one.data_type) == (other.name, other.description, other.data_type)
        for said in ("no_data", "scale", "offset"):
            np.testing.assert_array_equal(getattr(one, said), getattr(other, said), err_msg=f"{one.name} {said}")


def test_numbers_that_floats_cannot_hold_at_their_scale_are_refused(tmp_path: Path) -> None:
    points = las(tmp_path / "a.las", laspy.ExtraBytesParams("t", "i8", scales=[0.001], offsets=[0.0]))
    points.points.array["t"] = 2**60 + np.arange(50)
    points.write(tmp_path / "a.las")
    with pytest.raises(ArrayError, match=r"a\.las: .*'t' holds numbers of int64"):
        ingest_las(tmp_path / "a.las", tmp_path / "s.zv")
    assert not (tmp_path / "s.zv").exists()
    points.points.array["t"] = 2**40 + np.arange(50)
    points.write(tmp_path / "a.las")
    assert np.array_equal(there_and_back(tmp_path / "a.las").points.array["t"], points.points.array["t"])


@pytest.mark.parametrize(
    ("value", "kind"), [(400.0, "i4"), (-1e8, "i8"), (0.001, "f8"), (np.nan, "f8"), (np.inf, "f8"), (12.34, "i2")]
)
def test_a_scaled_dimension_becomes_wider_where_values_do_not_fit(tmp_path: Path, value: float, kind: str) -> None:
    las(tmp_path / "a.las", laspy.ExtraBytesParams("height", "i2", "above", scales=[0.01], offsets=[0.0]))
    ingest_las(tmp_path / "a.las", tmp_path / "s.zv", keep_order=True)
    edit.set_attribute("file://" + str(tmp_path / "s.zv"), "height", value, rows=[0])
    export_las(tmp_path / "s.zv", tmp_path / "b.las")
    again = laspy.read(tmp_path / "b.las")
    assert again.points.array["height"].dtype == kind
    np.testing.assert_allclose(np.sort(np.asarray(again["height"])), np.sort([value, *[0.0] * 49]), rtol=1e-15)


def test_valid_values_are_never_written_as_no_data(tmp_path: Path) -> None:
    las(tmp_path / "a.las", laspy.ExtraBytesParams("ndvi", "f4", no_data=[-9999.0]))
    ingest_las(tmp_path / "a.las", tmp_path / "s.zv", keep_order=True)
    edit.set_attribute(tmp_path / "s.zv", "ndvi", np.float32(-9999), rows=[0])
    edit.set_attribute(tmp_path / "s.zv", "ndvi", np.float32(np.nan), rows=[1])
    export_las(tmp_path / "s.zv", tmp_path / "b.las")
    again = read_las(tmp_path / "b.las")
    assert np.isnan(again.attributes["ndvi"]).sum() == 1
    assert (again.attributes["ndvi"] == -9999).sum() == 1


@REVISIONS
@pytest.mark.parametrize(("old", "new"), [(1, 6), (3, 7), (5, 10)])
def test_classes_and_returns_get_the_bits_that_they_need(tmp_path: Path, revision: str, old: int, new: int) -> None:
    points = las(tmp_path / "a.las", version="1.3", point_format=old)
    points.classification = np.arange(50) % 32
    points.return_number = np.arange(50) % 8
    points.scan_angle_rank = np.arange(50) - 25
    points.withheld = np.arange(50) % 2
    points.write(tmp_path / "a.las")
    same = there_and_back(tmp_path / "a.las", format_version=revision)
    assert same.points.array.tobytes() == points.points.array.tobytes()
    counts = [file.header.number_of_points_by_return.tolist() for file in (same, laspy.read(tmp_path / "a.las"))]
    assert counts[0] == counts[1]
    edit.set_attribute(tmp_path / "a.zv", "classification", np.uint8(64), rows=[0])
    export_las(tmp_path / "a.zv", tmp_path / "b.las")
    again = laspy.read(tmp_path / "b.las")
    assert (again.point_format.id, str(again.header.version)) == (new, "1.4")
    assert (np.asarray(again.classification) == 64).sum() == 1
    order = np.argsort(again["scan_angle_rank"])
    np.testing.assert_array_equal(again["scan_angle_rank"][order], np.arange(50) - 25)
    np.testing.assert_array_equal(np.rint(again.scan_angle * 0.006), again["scan_angle_rank"])
    np.testing.assert_array_equal(np.sort(again.return_number), np.sort(points.return_number))
    assert np.asarray(again.withheld).sum() == 25


@REVISIONS
def test_the_header_comes_back(tmp_path: Path, revision: str) -> None:
    strange = laspy.VLR("Ünö"[:2], 5, "d" * 32, b"\x00\x01")
    strange = laspy.VLR("sixteen letters!", 5, b"caf\xe9" + b"d" * 28, b"\x00\x01")
    classes = laspy.VLR("LASF_Spec", 0, "classes", b"\x02ground, \xe9t\xe9\x00\x00\x00\x00")
    points = las(
        tmp_path / "a.las",
        uuid=uuid.UUID("12345678-1234-5678-1234-567812345678"),
        file_source_id=77,
        creation_date=datetime.date(2001, 2, 3),
    )
    points.header.global_encoding.value = 1 | 8 | 16
    points.write(tmp_path / "a.las")
    whole = bytearray((tmp_path / "a.las").read_bytes())
    records = b"".join(raw_record(record) for record in (strange, classes))
    whole[26:58] = b"M\xfcller".ljust(32, b"\0")
    whole[90:94] = bytes(4)  # no day of creation
    (start,) = struct.unpack_from("<I", whole, 96)
    whole[96:104] = struct.pack("<II", start + len(records), 2)
    whole[start:start] = records
    (tmp_path / "a.las").write_bytes(whole)
    there_and_back(tmp_path / "a.las", format_version=revision)
    again = (tmp_path / "again.las").read_bytes()
    assert again[: start + len(records)] == whole[: start + len(records)]
    assert again == whole


def raw_record(record: Any, *, extended: bool = False) -> bytes:
    """Return a record as the specification lays it out."""
    description = record.description if isinstance(record.description, bytes) else record.description.encode()
    size = struct.pack("<Q" if extended else "<H", len(record.record_data))
    head = b"\0\0" + record.user_id.encode().ljust(16, b"\0") + struct.pack("<H", record.record_id)
    return head + size + description.ljust(32, b"\0") + record.record_data


@REVISIONS
@pytest.mark.parametrize(("version", "point_format"), [("1.3", 4), ("1.4", 9)])
@pytest.mark.parametrize("ending", ["las", "laz"])
def test_waveforms_come_back(tmp_path: Path, revision: str, version: str, point_format: int, ending: str) -> None:
    file = tmp_path / f"a.{ending}"
    points = las(file, version=version, point_format=point_format)
    points.header.global_encoding.waveform_data_packets_internal = True
    described = laspy.VLR("LASF_Spec", 100, "packets", struct.pack("<BBIIdd", 8, 0, 4, 1000, 1.0, 0.0))
    points.header.vlrs.append(described)
    points["wavepacket_index"] = np.ones(50)
    points["wavepacket_offset"] = 60 + 4 * np.arange(50)
    points["wavepacket_size"] = np.full(50, 4)
    points["return_point_wave_location"] = np.full(50, 0.5)
    points.write(file)
    packets = raw_record(
        laspy.VLR("LASF_Spec", 65535, "waves", np.arange(200, dtype=np.uint8).tobytes()), extended=True
    )
    whole = bytearray(file.read_bytes())
    whole[227:235] = struct.pack("<Q", len(whole))
    if version == "1.4":
        whole[235:247] = struct.pack("<QI", len(whole), 1)
    file.write_bytes(whole + packets)
    again = there_and_back(file, format_version=revision)
    written = (tmp_path / f"again.{ending}").read_bytes()
    start = again.header.start_of_waveform_data_packet_record
    assert written[start:] == packets
    assert again.header.global_encoding.value == points.header.global_encoding.value
    for name in ("wavepacket_index", "wavepacket_offset", "wavepacket_size", "return_point_wave_location"):
        np.testing.assert_array_equal(again[name], points[name])
    with pytest.raises(ArgumentError, match="own waveforms"):
        ingest_las(file, file.with_suffix(".zv"), mode="a", keep_order=True)


def test_waveforms_that_the_compression_would_change_are_refused(tmp_path: Path) -> None:
    points = las(tmp_path / "a.las", point_format=9)
    points["wavepacket_size"] = np.arange(50) * 7919
    points["scanner_channel"] = np.arange(50) % 3
    points.write(tmp_path / "a.las")
    there_and_back(tmp_path / "a.las")
    with pytest.raises(UnsupportedFeatureError, match=r"several scanner channels .* end the name in \.las"):
        export_las(tmp_path / "a.zv", tmp_path / "b.laz")
    assert not (tmp_path / "b.laz").exists()


def test_waveforms_beside_the_file_are_named(tmp_path: Path) -> None:
    points = las(tmp_path / "a.las", version="1.3", point_format=4)
    points.header.global_encoding.waveform_data_packets_external = True
    points.write(tmp_path / "a.las")
    ingest_las(tmp_path / "a.las", tmp_path / "s.zv")
    with pytest.warns(LossWarning, match=r"in a\.wdp: copy it to b\.wdp"):
        export_las(tmp_path / "s.zv", tmp_path / "b.las")
    assert laspy.read(tmp_path / "b.las").header.global_encoding.waveform_data_packets_external


@REVISIONS
def test_missing_whole_numbers_are_the_same_in_parts_and_appended(tmp_path: Path, revision: str) -> None:
    points = las(tmp_path / "a.las", laspy.ExtraBytesParams("tree", "i8", no_data=[-1]), count=9000)
    points["tree"] = np.where(np.arange(9000) < 8000, 2**60 + np.arange(9000), -1)
    points.write(tmp_path / "a.las")
    stores = []
    for name, budget in (("whole", 1 << 30), ("parts", 1 << 17)):
        ingest_las(
            tmp_path / "a.las", tmp_path / name / "s", memory_budget=budget, format_version=revision, keep_order=True
        )
        files = (file for file in (tmp_path / name).rglob("*") if file.is_file())
        stores.append({file.relative_to(tmp_path / name): file.read_bytes() for file in files})
    assert stores[0] == stores[1]
    points["tree"] = np.full(9000, np.iinfo(np.int64).min)
    points.write(tmp_path / "b.las")
    ingest_las(tmp_path / "b.las", tmp_path / "whole" / "s", mode="a", keep_order=True)
    export_las(tmp_path / "whole" / "s", tmp_path / "c.las")
    again = laspy.read(tmp_path / "c.las")["tree"]
    assert np.asarray(again)[:9000].tolist() == np.asarray(laspy.read(tmp_path / "a.las")["tree"]).tolist()
    assert (np.asarray(again)[9000:] == np.iinfo(np.int64).min).all()


def test_missing_values_of_other_origin_get_a_no_data_value(tmp_path: Path) -> None:
    attributes = {
        "tree": np.ma.MaskedArray(np.arange(4), [0, 1, 0, 1]),
        "alive": np.ma.MaskedArray([True, False, True, False], [0, 0, 1, 1]),
        "intensity": np.ma.MaskedArray(np.arange(4, dtype=np.uint16), [1, 0, 0, 0]),
    }
    write_points(tmp_path / "s.zv", np.eye(4)[:, :3], attributes=attributes, keep_order=True)
    with pytest.warns(LossWarning, match="'intensity_stored'"):
        export_las(tmp_path / "s.zv", tmp_path / "a.las")
    again = read_las(tmp_path / "a.las").attributes
    for name, values in attributes.items():
        found = again[name if name != "intensity" else "intensity_stored"]
        assert found.tolist() == values.tolist(), name
    write_points(
        tmp_path / "s.zv",
        np.zeros((3, 3)),
        attributes={"classification": np.ma.MaskedArray(np.array([1, 2, 3], np.uint8), [0, 0, 1])},
    )
    with pytest.raises(UnsupportedFeatureError, match="'classification'"):
        export_las(tmp_path / "s.zv", tmp_path / "a.las")


@REVISIONS
def test_coarse_levels_have_labels_and_means_but_no_missing_values(tmp_path: Path, revision: str) -> None:
    points = las(tmp_path / "a.las", laspy.ExtraBytesParams("ndvi", "f4", no_data=[-9999.0]))
    points.X, points.Y, points.Z = np.zeros((3, 50), int)
    points.X[0] = 100_000
    points.classification = np.where(np.arange(50) % 5, 6, 2)
    points.point_source_id = np.where(np.arange(50) % 5, 17, 4)
    points.intensity = np.arange(50) * 2
    points["ndvi"] = np.where(np.arange(50) % 2, -9999.0, 0.5)
    points.write(tmp_path / "a.las")
    ingest_las(tmp_path / "a.las", tmp_path / "s.zv", chunk_shape=80, bin_shape=10, format_version=revision)
    build_pyramid(tmp_path / "s.zv", [(2, 1)])
    coarse = read_points(tmp_path / "s.zv", level=1).attributes
    assert coarse["classification"].tolist() == [6, 2]
    assert coarse["point_source_id"].tolist() == [17, 4]
    assert coarse["intensity"].tolist() == [50, 0]
    assert coarse["ndvi"].tolist() == [0.5, 0.5]


def tile(path: Path, scale: float, west: float, **header: Any) -> Any:
    """Write points whose coordinates are multiples of a scale from an offset on."""
    points = las(path, point_format=1, version="1.2", scales=[scale] * 3, offsets=[west, 4e6, 0.0], **header)
    for name in "XYZ":
        points.points.array[name] = np.random.default_rng(2).integers(0, 100_000, 50)
    points.write(path)
    return laspy.read(path)


@REVISIONS
@pytest.mark.parametrize("scales", [(0.001, 0.01), (0.01, 0.001), (0.01, 0.0025)])
def test_tiles_of_other_scales_do_not_move_each_other(
    tmp_path: Path, revision: str, scales: tuple[float, float]
) -> None:
    tile(tmp_path / "a.las", scales[0], 500_000.0, uuid=uuid.UUID(int=1))
    tile(tmp_path / "b.las", scales[1], 500_100.0, uuid=uuid.UUID(int=2))
    ingest_las(tmp_path / "a.las", tmp_path / "s.zv", format_version=revision, metadata={"site": 1})
    ingest_las(tmp_path / "b.las", tmp_path / "s.zv", mode="a", out_of_bounds="expand", metadata={"seen": 2})
    export_las(tmp_path / "s.zv", tmp_path / "c.las")
    again = laspy.read(tmp_path / "c.las")
    stored = read_points(tmp_path / "s.zv").positions
    given = np.concatenate([laspy.read(tmp_path / name).xyz for name in ("a.las", "b.las")])
    for one in (stored, again.xyz):
        np.testing.assert_allclose(np.sort(one, axis=0), np.sort(given, axis=0), rtol=0, atol=1e-6)
    assert again.header.uuid == uuid.UUID(int=1)
    kept = open_reader(tmp_path / "s.zv").attributes["user_metadata"]
    assert (kept["site"], kept["seen"], kept["las"]["file"]) == (1, 2, "a.las")
    assert [one["guid"][-1] for one in kept["las"]["appended"]] == ["2"]


def test_a_tile_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    tile(tmp_path / "a.las", 0.001, 0.0)
    other = tile(tmp_path / "b.las", 0.001, 0.0)
    other.header.global_encoding.gps_time_type = laspy.header.GpsTimeType.STANDARD
    other.write(tmp_path / "b.las")
    ingest_las(tmp_path / "a.las", tmp_path / "s.zv")
    with pytest.raises(ArgumentError, match="GPS times of the store are seconds of the week"):
        ingest_las(tmp_path / "b.las", tmp_path / "s.zv", mode="a")
    other = tile(tmp_path / "b.las", 0.001, 0.0)
    other.header.vlrs.append(laspy.vlrs.known.WktCoordinateSystemVlr('LOCAL_CS["here",UNIT["metre",1]]'))
    other.write(tmp_path / "b.las")
    with pytest.raises(ArgumentError, match=r"crs: .* given, but the store has None"):
        ingest_las(tmp_path / "b.las", tmp_path / "s.zv", mode="a")
    assert "appended" not in open_reader(tmp_path / "s.zv").attributes["user_metadata"]["las"]


def exact_places(positions: np.ndarray, path: Path, **options: Any) -> int:
    """Export points; return how many different places the file has."""
    write_points(path / "s.zv", positions, dtype=positions.dtype)
    export_las(path / "s.zv", path / "out.las", **options)
    written = laspy.read(path / "out.las").xyz
    stored = read_points(path / "s.zv").positions
    step = laspy.read(path / "out.las").header.scales
    assert (np.abs(written - stored) <= 0.5001 * step + 1e-9 * np.abs(stored).max(initial=0)).all()
    return len(np.unique(written, axis=0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("low", "extent"), [(8.6, 0.01), (0, 0.005), (-50, 100), (4e5, 1000), (-2e9, 4e9), (3, 0)])
def test_places_stay_apart_whatever_the_unit(tmp_path: Path, dtype: Any, low: float, extent: float) -> None:
    positions = (low + extent * np.random.default_rng(0).uniform(size=(2000, 3))).astype(dtype)
    assert exact_places(positions, tmp_path) == len(np.unique(positions, axis=0))


def test_a_given_scale_that_moves_points_says_how_far(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).integers(0, 10_000, (50, 3)) * 0.001
    write_points(tmp_path / "s.zv", positions, dtype=float, axis_units="meter", crs={"wkt": 'LOCAL_CS["h"]'})
    export_las(tmp_path / "s.zv", tmp_path / "a.las", scale=0.0005)
    assert laspy.read(tmp_path / "a.las").header.scales.tolist() == [0.0005] * 3
    with pytest.warns(PrecisionWarning, match=r"x by up to 0\.0\d+ meter at scale 0\.1 .* leave out scale="):
        export_las(tmp_path / "s.zv", tmp_path / "a.las", scale=0.1)


def test_the_finest_scale_that_32_bits_allow_is_taken_with_a_warning(tmp_path: Path) -> None:
    positions = np.r_[np.arange(50) * 1e-6, 1e9][:, None] * np.ones(3)
    write_points(tmp_path / "s.zv", positions, dtype=float, chunk_shape=1e9)
    with pytest.warns(PrecisionWarning, match="51 different coordinates become 2.*export parts of the space"):
        export_las(tmp_path / "s.zv", tmp_path / "a.las")


def test_coordinates_at_the_ends_of_32_bits_do_not_wrap(tmp_path: Path) -> None:
    points = las(tmp_path / "a.las")
    for name in "XYZ":
        points.points.array[name] = np.linspace(-(2**31), 2**31 - 1, 50).astype(np.int32)
    points.write(tmp_path / "a.las")
    assert there_and_back(tmp_path / "a.las").points.array.tobytes() == points.points.array.tobytes()


WKT = 'PROJCS["plane",UNIT["metre",1]]'


def test_the_reference_system_of_a_store_is_written(tmp_path: Path) -> None:
    positions = np.ones((3, 3))
    write_points(tmp_path / "s.zv", positions, crs={"name": "plane", "wkt": WKT}, axis_units="meter")
    export_las(tmp_path / "s.zv", tmp_path / "a.las")
    again = read_las(tmp_path / "a.las")
    assert again.crs == {"name": "plane", "wkt": WKT}
    assert laspy.read(tmp_path / "a.las").header.global_encoding.wkt
    ingest_las(tmp_path / "a.las", tmp_path / "t.zv", crs={"wkt": WKT.replace("plane", "level")})
    export_las(tmp_path / "t.zv", tmp_path / "b.las")
    assert read_las(tmp_path / "b.las").crs == {"name": "level", "wkt": WKT.replace("plane", "level")}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"crs": {"epsg": 25832}}, r"reference system \{'epsg': 25832\}, which has no well-known text"),
        ({"coordinate_system": "RAS"}, "reference system {'name': 'RAS'}"),
        ({"axis_units": "micrometer"}, "units of its axes \\(x micrometer, y micrometer, z micrometer\\)"),
        ({"object_ids": [1, 1, 2]}, "the object of every point"),
    ],
)
def test_what_las_cannot_say_is_named(tmp_path: Path, options: dict[str, Any], named: str) -> None:
    write_points(tmp_path / "s.zv", np.ones((3, 3)), **options)
    with pytest.warns(LossWarning, match=named):
        export_las(tmp_path / "s.zv", tmp_path / "a.las")


def test_copc_files_are_read_as_laz(tmp_path: Path) -> None:
    points = las(tmp_path / "a.copc.laz")
    points.header.vlrs.append(laspy.VLR("copc", 1, "info", bytes(160)))
    points.header.vlrs.append(laspy.VLR("mine", 1, "kept", b"x"))
    points.write(tmp_path / "a.copc.laz")
    ingest_las(tmp_path / "a.copc.laz", tmp_path / "s.zv", keep_order=True)
    export_las(tmp_path / "s.zv", tmp_path / "b.laz")
    again = laspy.read(tmp_path / "b.laz")
    assert again.points.array.tobytes() == points.points.array.tobytes()
    assert [record.user_id for record in again.header.vlrs] == ["mine"]


class FullDisk:
    """A file that takes some bytes and no more."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        self.room -= memoryview(data).nbytes
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()


@pytest.mark.parametrize("ending", ["las", "laz"])
@pytest.mark.parametrize("room", [0, 200, 500])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, room: int
) -> None:
    write_points(tmp_path / "s.zv", np.random.default_rng(0).uniform(size=(1000, 3)))
    (tmp_path / f"a.{ending}").write_text("old")
    monkeypatch.setattr(paths, "_create", lambda path: FullDisk(path.open("wb"), room))
    with pytest.raises(StoreError, match=rf"a\.{ending}: cannot be written: .*(No space left|write)"):
        export_las(tmp_path / "s.zv", tmp_path / f"a.{ending}")
    assert (tmp_path / f"a.{ending}").read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"a.{ending}", "s.zv"]
