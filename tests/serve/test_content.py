"""What tells a film's content: its data set alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom

from hilum.serve.spool import content_key, data_set_start


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
