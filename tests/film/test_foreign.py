"""Files of other kinds are named by their content."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import numpy as np
import pytest

from hilum.errors import UnsupportedFilm
from hilum.film.decode import decode
from hilum.film.foreign import foreign_kind

NIFTI = (348).to_bytes(4, "little") + bytes(340) + b"n+1\0" + bytes(100)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (NIFTI, "a NIfTI volume"),
        (NIFTI.replace(b"n+1", b"ni1"), "a NIfTI volume"),
        ((540).to_bytes(4, "little") + b"n+2\0\r\n\032\n" + bytes(600), "a NIfTI volume"),
        (gzip.compress(NIFTI, mtime=0), "a NIfTI volume packed by gzip"),
        (gzip.compress(b"path,finding\n", mtime=0), "a gzip archive"),
        (b"\x1f\x8b\x08 and nonsense", "a gzip archive"),
        (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
        (b"%PDF-1.7", "a PDF document"),
    ],
)
def test_kinds(data: bytes, kind: str) -> None:
    found = foreign_kind(data)
    assert found is not None
    assert found[0] == kind
    with pytest.raises(UnsupportedFilm, match="it is " + kind.replace("(", r"\(")) as refusal:
        decode(data)
    assert refusal.value.fix == found[1]


def test_a_packed_dicom_film_is_named(dicom_bytes: Callable[..., bytes]) -> None:
    film = dicom_bytes(np.arange(4096, dtype=np.uint16).reshape(64, 64))
    for packed in (gzip.compress(film), gzip.compress(film[132:]), gzip.compress(film, 1)[:3000]):
        with pytest.raises(UnsupportedFilm, match=r"a DICOM file packed by gzip \(.dcm.gz\)") as refusal:
            decode(packed)
        assert "gunzip" in refusal.value.fix


def test_unknown_kinds() -> None:
    assert foreign_kind(b"") is None
    assert foreign_kind(b"no such thing") is None
