"""A film on its way in is kept whole or removed, and is known by its data set alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pydicom

from hilum.serve.arrival import PARTIAL, Arrival, content_key, data_set_start


def test_what_is_written_is_counted_and_hashed_without_what_stands_before_it(tmp_path: Path) -> None:
    arrival = Arrival(tmp_path)
    assert arrival.path.name.startswith(PARTIAL)
    assert arrival.path.stat().st_mode & 0o077 == 0
    arrival.begin(b"meta")
    arrival.write(b"fi")
    arrival.write(b"lm")
    arrival.flush()
    assert arrival.path.read_bytes() == b"metafilm"
    assert arrival.num_bytes == 4
    assert arrival.finish() == hashlib.sha256(b"film").hexdigest()
    arrival.path.rename(tmp_path / "kept")
    arrival.discard()  # of a film that was kept nothing is removed
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_what_is_not_kept_is_removed_and_that_twice(tmp_path: Path) -> None:
    arrival = Arrival(tmp_path)
    arrival.write(b"film")
    arrival.discard()
    arrival.discard()
    assert list(tmp_path.iterdir()) == []


def test_who_wrote_the_file_is_no_content(tmp_path: Path, write_dicom: Callable[..., Path]) -> None:
    path = write_dicom(tmp_path / "film.dcm")
    data = path.read_bytes()
    film = pydicom.dcmread(path)
    film.file_meta.ImplementationVersionName = "ANOTHER"
    film.save_as(tmp_path / "again.dcm", enforce_file_format=True)
    again = (tmp_path / "again.dcm").read_bytes()
    assert data != again
    assert content_key(data) == content_key(again)
    assert data[data_set_start(data) :][:4] == b"\x08\x00\x05\x00"  # Specific Character Set
    film.PixelData = bytes(len(film.PixelData))
    film.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    assert content_key((tmp_path / "other.dcm").read_bytes()) != content_key(data)


def test_bytes_without_meta_information_are_all_content() -> None:
    for data in (b"", b"film", bytes(200), bytes(128) + b"DICM" + bytes(4)):
        assert data_set_start(data) == 0
    lying = bytes(128) + b"DICM\x02\0\0\0UL\x04\0" + b"\xff\xff\xff\xff" + b"rest"
    assert data_set_start(lying) == len(lying)
