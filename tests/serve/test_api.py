"""The REST service: the command line's answers, errors in one shape, an honest OpenAPI document."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.run.classifier import Classifier
from hilum.serve.schema import ErrorBody, ModelCard, Predictions

from .conftest import HeldClassifier

PREDICTIONS = "/v1/predictions"


@pytest.fixture
def films(write_film: Callable[..., Path], tmp_path: Path) -> list[Path]:
    names = ("a.png", "b.jpg", "c.png", "d.jpg")
    return [write_film(tmp_path / name, seed=seed) for seed, name in enumerate(names)]


def parts(paths: list[Path]) -> list[tuple[str, tuple[str, bytes]]]:
    """Return what httpx sends for films under their paths."""
    return [("files", (str(path), path.read_bytes())) for path in paths]


def test_an_answer_counts_in_the_bytes_held_until_it_is_read(
    open_client: Callable[..., Any], films: list[Path]
) -> None:
    """Four clients that read nothing: their answers are counted, and all is given back when they are left."""
    client = open_client(write_seconds=0.5)
    service = client.service
    body = (
        b"--b\r\nContent-Disposition: form-data; name=files; filename=f\r\n\r\n" + films[0].read_bytes() + b"\r\n--b--"
    )
    held: list[int] = []

    async def ask() -> None:
        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                held.append(service.bodies.num_bytes)
                await asyncio.sleep(60)

        messages = [{"type": "http.request", "body": body, "more_body": False}]
        headers = [(b"host", b"localhost"), (b"content-type", b"multipart/form-data; boundary=b")]
        scope = {"type": "http", "method": "POST", "path": PREDICTIONS, "query_string": b"display=true"}
        await service.app({**scope, "headers": headers, "http_version": "1.1"}, receive, send)

    async def ask_four_times() -> None:
        await asyncio.gather(*(ask() for _ in range(4)))

    answer = client.post(f"{PREDICTIONS}?display=true", files=parts(films[:1]))
    asyncio.run(ask_four_times())
    assert len(held) == 4
    assert max(held) > 3 * len(answer.content)
    assert service.bodies.num_bytes == 0


def test_an_answer_that_finds_no_room_is_refused(open_client: Callable[..., Any], films: list[Path]) -> None:
    client = open_client(bodies_bytes=len(films[1].read_bytes()) + 2000)
    assert client.post(PREDICTIONS, files=parts(films[1:2])).status_code == 200
    answer = client.post(f"{PREDICTIONS}?display=true", files=parts(films[1:2]))
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "Busy")
    assert client.service.bodies.num_bytes == 0


def png_bomb(side_px: int) -> bytes:
    """Return a small PNG file that says it is large, and is: black pixels, packed."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = b"\0" * (side_px + 1)
    pixels = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_answers_equal_the_command_line_s(
    open_client: Callable[..., Any], command: Callable[..., Any], tiny_model: Path, films: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "b2.png"
    broken.write_bytes(films[0].read_bytes()[:300])
    paths = [films[0], broken, *films[1:]]
    lines = command("predict", "--model", tiny_model, *paths, "--format", "jsonl").out.splitlines()
    answer = open_client().post(PREDICTIONS, files=parts(paths))
    assert answer.status_code == 200
    found = answer.json()["predictions"]
    assert sum("error" in film for film in found) == 1
    assert found == [json.loads(line) for line in lines]
    Predictions.model_validate(answer.json())


def test_a_film_named_in_another_alphabet_is_judged_under_its_name(
    open_client: Callable[..., Any], films: list[Path]
) -> None:
    head = b"--b\r\nContent-Disposition: form-data; name=\"files\"; filename*=utf-8''R%C3%B6ntgen.png\r\n\r\n"
    answer = open_client().post(
        PREDICTIONS,
        content=head + films[0].read_bytes() + b"\r\n--b--\r\n",
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code == 200
    assert [film["file"] for film in answer.json()["predictions"]] == ["R\u00f6ntgen.png"]


def test_real_dicom_films_are_answered_as_by_the_classifier(
    open_client: Callable[..., Any], tiny_classifier: Classifier, hilum_data: Path
) -> None:
    paths = sorted((hilum_data / "dicom").glob("*.dcm"))
    assert paths
    found = open_client().post(PREDICTIONS, files=parts(paths)).json()["predictions"]
    judged = [film for film in found if "error" not in film]
    assert judged
    for film in judged:
        assert film == tiny_classifier.predict(film["file"]).to_dict()


def test_pictures_come_when_they_are_asked_for(open_client: Callable[..., Any], films: list[Path]) -> None:
    client = open_client()
    plain = client.post(PREDICTIONS, files=parts(films[:1])).json()["predictions"][0]
    rich = client.post(f"{PREDICTIONS}?heatmap=true&display=true", files=parts(films[:1])).json()["predictions"][0]
    assert plain["heatmap"] is None
    assert "display" not in plain
    assert rich["heatmap"].startswith("data:image/png;base64,")
    assert set(rich.pop("display")) == {"width_px", "height_px", "film", "heat"}
    assert rich | {"heatmap": None} == plain


def test_where_no_film_can_be_read_the_status_says_so(open_client: Callable[..., Any]) -> None:
    client = open_client()
    cases: list[tuple[list[bytes], int, str]] = [
        ([b"no film"], 422, "UndecodableFilm"),
        ([b""], 422, "UndecodableFilm"),
        ([b"%PDF-1.7"], 415, "UnsupportedFilm"),
        ([b"%PDF-1.7", b"GIF89a"], 415, "UnsupportedFilm"),
        ([b"%PDF-1.7", b"no film"], 422, "UndecodableFilm"),
        ([png_bomb(12_000)], 422, "UndecodableFilm"),
    ]
    for contents, status, kind in cases:
        answer = client.post(PREDICTIONS, files=[("files", ("film", content)) for content in contents])
        body = answer.json()
        assert (answer.status_code, body["error"]["type"]) == (status, kind), contents
        assert [film["file"] for film in body["predictions"]] == ["film"] * len(contents)
        ErrorBody.model_validate(body)


@pytest.mark.parametrize(
    ("method", "path", "words", "status", "kind"),
    [
        ("GET", "/nothing", {}, 404, "NotFound"),
        ("GET", "/v1/model/", {}, 404, "NotFound"),
        ("GET", PREDICTIONS, {}, 405, "MethodNotAllowed"),
        ("DELETE", "/v1/model", {}, 405, "MethodNotAllowed"),
        ("POST", PREDICTIONS, {"json": {}}, 415, "UnsupportedMediaType"),
        ("POST", PREDICTIONS, {}, 415, "UnsupportedMediaType"),
        ("POST", PREDICTIONS, {"files": {"file": b"x"}}, 422, "InvalidRequest"),
        ("POST", f"{PREDICTIONS}?heatmap=perhaps", {"files": {"files": b"x"}}, 422, "InvalidParameter"),
        ("POST", f"{PREDICTIONS}?heatmaps=true", {"files": {"files": b"x"}}, 422, "InvalidParameter"),
        ("POST", PREDICTIONS, {"files": {"files": b"x" * 2_000_000}}, 413, "TooLarge"),
        ("POST", PREDICTIONS, {"files": [("files", b"x")] * 5}, 413, "TooManyFilms"),
    ],
)
def test_every_error_has_the_one_shape(  # noqa: PLR0917 - a row a case
    open_client: Callable[..., Any], method: str, path: str, words: Any, status: int, kind: str
) -> None:
    answer = open_client(body_bytes=1_000_000, films=4).request(method, path, **words)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"type", "message", "fix"}
    assert answer.headers["content-type"] == "application/json"
    if status == 405:
        assert answer.headers["allow"]
    if path.endswith("heatmaps=true"):
        assert "`heatmap`" in answer.json()["error"]["fix"]


def test_a_full_queue_says_when_to_come_back(
    open_client: Callable[..., Any], tiny_classifier: Classifier, films: list[Path]
) -> None:
    slow = HeldClassifier(tiny_classifier)
    client = open_client(classifier=slow, queue_films=3, answer_seconds=0.2, decoders=1)
    too_many = client.post(PREDICTIONS, files=parts(films))
    late = client.post(PREDICTIONS, files=parts(films[:1]))
    for answer in (too_many, late):
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "Busy")
        assert int(answer.headers["retry-after"]) >= 1
    slow.go.set()


def test_health_and_readiness(open_client: Callable[..., Any]) -> None:
    client = open_client()
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    client.service.draining = True
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "ShuttingDown")
    assert client.get("/healthz").status_code == 200


def test_the_model_says_what_it_is(open_client: Callable[..., Any], tiny_classifier: Classifier) -> None:
    card = open_client().get("/v1/model").json()
    ModelCard.model_validate(card)
    assert card["sha256"] == tiny_classifier.identity["sha256"]
    assert [finding["name"] for finding in card["findings"]] == list(tiny_classifier.findings)
    assert card["findings"][1]["operating_threshold"] == 0.2
    assert [finding["said_as"] for finding in card["findings"]] == list(tiny_classifier.findings)


def test_the_openapi_document_names_every_status(open_client: Callable[..., Any]) -> None:
    document = open_client().get("/openapi.json").json()
    assert set(document["paths"]) == {PREDICTIONS, "/v1/model", "/v1/drift", "/healthz", "/readyz", "/metrics"}
    responses = document["paths"][PREDICTIONS]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "408", "413", "415", "422", "500", "503"}
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["servers"] == [{"url": "/", "description": "The server that gave this document."}]
    assert {one["operationId"] for path in document["paths"].values() for one in path.values()} == {
        *("predict", "model", "drift", "healthz", "readyz", "metrics")
    }


@pytest.mark.parametrize("token", [None, "a-token-of-the-tests"])
def test_the_openapi_document_says_who_may_ask(open_client: Callable[..., Any], token: str | None) -> None:
    headers = {"authorization": f"Bearer {token}"}
    document = open_client(token=token).get("/openapi.json", headers=headers).json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert ({} in document["security"]) == (token is None)
    assert {path for path, one in document["paths"].items() if one.get("get", {}).get("security") == []} == {
        "/healthz",
        "/readyz",
    }
