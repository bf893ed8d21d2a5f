"""Bodies: read in memory, within bounds, and refused in plain words."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.serve.httperror import HttpError
from hilum.serve.limits import Limits
from hilum.serve.uploads import Bodies, ClientLeft, read_uploads

TYPE = "multipart/form-data; boundary=line"


def part(data: bytes, *, name: str = "files", filename: str | None = "film.png") -> bytes:
    """Return one part of a body."""
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--line\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"


END = b"--line--\r\n"


def read(chunks: Iterable[bytes], *, kind: str = TYPE, leaves: bool = False, waits: bool = False, **limits: Any) -> Any:
    """Read a body that arrives in these chunks; ``leaves`` and ``waits``: what the client does instead of ending it."""
    pieces = list(chunks)
    bounds = Limits(**limits)
    bodies = Bodies(bounds.bodies_bytes)

    async def receive() -> dict[str, Any]:
        if not pieces:
            if waits:
                await asyncio.sleep(60)
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces) or leaves or waits}

    async def run() -> Any:
        with bodies.body() as body:
            return await read_uploads(kind, receive, body, bounds)

    try:
        return asyncio.run(run())
    finally:
        assert bodies.num_bytes == 0


def refusal(*arguments: Any, **words: Any) -> tuple[int, str]:
    """Return status and type of the error that reading a body ends with."""
    with pytest.raises(HttpError) as caught:
        read(*arguments, **words)
    return caught.value.status, caught.value.kind


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 50))
def test_films_come_out_as_they_went_in_however_they_are_cut(films: list[bytes], length: int) -> None:
    films = [film for film in films if b"--line" not in film]
    body = b"".join(part(film, filename=f"{number}.png") for number, film in enumerate(films)) + END
    if not films:
        return
    uploads = read(body[start : start + length] for start in range(0, len(body), length))
    assert [upload.data for upload in uploads] == films
    assert [upload.name for upload in uploads] == [f"{number}.png" for number in range(len(films))]


def test_nothing_goes_to_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a file was opened")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    large = b"x" * 5_000_000
    assert read([part(large) + END])[0].data == large


def test_fields_that_are_no_films_are_left_out() -> None:
    body = part(b"text", filename=None) + part(b"other", name="other") + part(b"film", filename="é ü.png") + END
    assert [(upload.name, upload.data) for upload in read([body])] == [("é ü.png", b"film")]
    assert read([part(b"film", filename="") + END])[0].name == "film"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("name=\"files\"; filename*=utf-8''R%C3%B6ntgen.png", "R\u00f6ntgen.png"),
        ("name=\"files\"; filename*=UTF-8'de'R%C3%B6ntgen.png", "R\u00f6ntgen.png"),
        ("name=files;filename*=iso-8859-1''R%F6ntgen.png", "R\u00f6ntgen.png"),
        ("filename*=utf-8''%E6%AD%A3.dcm; name=files", "\u6b63.dcm"),
        ('name="files"; filename="film.png"; filename*=utf-8\'\'R%C3%B6ntgen.png', "R\u00f6ntgen.png"),
        ('name="files"; filename*=utf-8\'\'R%C3%B6ntgen.png; filename="film.png"', "R\u00f6ntgen.png"),
        ('name="files"; filename*="utf-8\'\'R%C3%B6ntgen.png"', "R\u00f6ntgen.png"),
        ("name=\"files\"; FileName*=utf-8''film.png", "film.png"),
        ("name*=utf-8''files; filename*=utf-8''film.png", "film.png"),
        ("name=\"files\"; filename*0*=utf-8''R%C3%B6nt; filename*1=gen.png", "R\u00f6ntgen.png"),
        ('name="files"; filename*0="fi"; filename*1="lm.png"', "film.png"),
        ("name=\"files\"; filename*=utf-8''", "film"),
        ('name="files"; filename*=film.png', "film.png"),
        ("name=\"files\"; filename*=nonsense''film.png", "film.png"),
        ("name=\"files\"; filename*=utf-8''%FF%zz.png", "\ufffd%zz.png"),
        ('name="files"; filename="a; filename*=utf-8\'\'b"', "a; filename*=utf-8''b"),
        ('name="files"; filename="film*.png"', "film*.png"),
    ],
)
def test_a_name_in_another_alphabet_is_a_files_name(parameters: str, name: str) -> None:
    body = f"--line\r\nContent-Disposition: form-data; {parameters}\r\n\r\n".encode() + b"film\r\n" + END
    assert [(upload.name, upload.data) for upload in read([body])] == [(name, b"film")]


@pytest.mark.parametrize("parameters", ["filename*=utf-8''film.png", "name=other; filename*=utf-8''film.png"])
def test_a_file_in_another_field_is_no_film(parameters: str) -> None:
    body = f"--line\r\nContent-Disposition: form-data; {parameters}\r\n\r\n".encode() + b"film\r\n" + END
    assert refusal([body]) == (422, "InvalidRequest")


def test_continuations_that_nobody_can_count_break_nothing() -> None:
    parameters = "name=files; filename=film.png; filename*=a; filename*1=b"
    body = f"--line\r\nContent-Disposition: form-data; {parameters}\r\n\r\n".encode() + b"film\r\n" + END
    assert read([body])[0].name == "film.png"


def test_bounds_hold() -> None:
    assert refusal([part(b"x" * 500) + END], body_bytes=400) == (413, "TooLarge")
    assert refusal([part(b"x")] * 4 + [END], films=3) == (413, "TooManyFilms")
    assert refusal([part(b"x", filename=None)] * 50 + [END], films=3) == (413, "TooManyFilms")
    assert refusal([part(b"x" * 500) + END], bodies_bytes=400) == (503, "Busy")
    assert refusal([part(b"x")], waits=True, body_seconds=0.05) == (408, "TooSlow")


def test_what_is_no_body_of_films_is_told() -> None:
    assert refusal([b"{}"], kind="application/json") == (415, "UnsupportedMediaType")
    assert refusal([b"{}"], kind="multipart/form-data") == (415, "UnsupportedMediaType")
    assert refusal([b"nonsense"]) == (400, "InvalidRequest")
    assert refusal([part(b"cut short")[:-9]]) == (400, "InvalidRequest")
    assert refusal([part(b"x", name="file") + END]) == (422, "InvalidRequest")
    assert refusal([b""]) == (400, "InvalidRequest")


@pytest.mark.parametrize("boundary", ["x" * 5000, "\u00e9", "a b", "'\""])
def test_a_strange_boundary_breaks_nothing(boundary: str) -> None:
    kind = f'multipart/form-data; boundary="{boundary}"'
    assert refusal([part(b"x") + END], kind=kind)[0] in {400, 415}


@given(st.binary(max_size=400))
def test_no_bytes_whatever_break_it(data: bytes) -> None:
    with pytest.raises(HttpError):
        read([b"--line\r\n" + data])


@given(st.text(max_size=60), st.binary(max_size=60))
def test_no_content_type_and_no_header_of_a_part_breaks_it(kind: str, header: bytes) -> None:
    refusal([part(b"x") + END], kind=kind)
    refusal([part(b"x") + END], kind=f"multipart/form-data; boundary={kind}")
    body = b"--line\r\nContent-Disposition: form-data; " + header + b"\r\n\r\nx\r\n" + END
    try:
        assert all(isinstance(upload.name, str) for upload in read([body]))
    except HttpError as error:
        assert error.status in {400, 413, 422}


def test_a_client_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientLeft):
        read([part(b"x")], leaves=True)
