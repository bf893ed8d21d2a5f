"""One decoder process: a film through it, what it refuses, and what is said where it dies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hilum.errors import HilumError, UndecodableFilm
from hilum.film.decode import decode
from hilum.film.decoder_process import DecoderProcess, Lost, PoolLimits, refused_film


def test_films_go_through_one_process_until_it_dies(dicom_bytes: Callable[..., bytes]) -> None:
    data = dicom_bytes(np.arange(96 * 128, dtype=np.uint16).reshape(96, 128))
    process = DecoderProcess("hilum.film.decode:decode_here", PoolLimits())
    try:
        np.testing.assert_array_equal(process.decode(data, "film", None).pixels, decode(data).pixels)
        with pytest.raises(UndecodableFilm, match=r"Cannot read the film `b\.png`"):
            process.decode(b"no film", "b.png", None)
        assert process.lives
        assert process.num_films == 2
        process.kill(wait=True)
        assert not process.lives
        with pytest.raises(Lost, match="crash"):
            process.decode(data, "film", None)
    finally:
        process.end()


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        ("time", UndecodableFilm, "takes longer than any film needs"),
        ("memory", UndecodableFilm, "takes more memory than any film needs"),
        ("crash", UndecodableFilm, "is damaged and makes the decoder crash"),
        ("ValueError", UndecodableFilm, r"cannot be decoded \(ValueError\)"),
        ("start 1", HilumError, "Cannot start the process"),
    ],
)
def test_what_is_said_of_a_process_that_did_not_get_through(cause: str, kind: type[HilumError], said: str) -> None:
    with pytest.raises(kind, match=said):
        raise refused_film("film", cause)
