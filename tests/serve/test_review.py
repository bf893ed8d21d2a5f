"""The page of `hilum review`: its service in this process, and a person at its keys in a real browser."""

from __future__ import annotations

import asyncio
import csv
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.data.folder import read_dataset
from hilum.serve.pages import page_files
from hilum.serve.review import _FILES, ReviewService
from hilum.workflows.review import open_review

from .conftest import RunningServer

NUM_SUSPECTS, NUM_PAIRS = 160, 40


def _fault(kind: str, severity: str, *paths: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "severity": severity,
        "message": "Two films are identical.",
        "paths": paths,
        "figure": 1,
        **more,
    }


@pytest.fixture
def doubted(write_film: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """Write phantoms and the audit that doubts them; return the folder of the audit."""

    def write(num_suspects: int, num_pairs: int, *, size_px: int = 96) -> Path:
        drawn = [write_film(tmp_path / f"{seed}.png", seed=seed, size_px=size_px) for seed in range(4)]
        paths = [
            f"train/{('Normal', 'Covid-19')[number % 2]}/{number:03d}.png"
            for number in range(num_suspects + 2 * num_pairs)
        ]
        for number, path in enumerate((*paths, "train/Normal/x.png", "train/Covid-19/y.png")):
            (tmp_path / "films" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(drawn[number % 4], tmp_path / "films" / path)
        suspects, pairs = paths[:num_suspects], paths[num_suspects:]
        suggestions = {
            path: {"finding": "Normal" if "Covid" in path else "Covid-19", "probability": 0.9} for path in suspects
        }
        faults = [
            *(_fault("label-conflict", "error", *pairs[n : n + 2]) for n in range(0, 2 * num_pairs, 2)),
            _fault("suspect-label", "warning", *suspects, suggestions=suggestions),
            _fault("small-class", "warning"),
        ]
        (tmp_path / "audit").mkdir()
        (tmp_path / "audit/audit.json").write_text(json.dumps({"faults": faults, "figures": {}}), encoding="utf-8")
        return tmp_path / "audit"

    return write


@pytest.fixture
def request_of(tiny_model: Path) -> Callable[..., Callable[..., httpx.Response]]:
    """Open the review of an audit in this process."""

    def open_one(audit: Path, *, model: bool = True) -> Callable[..., httpx.Response]:
        data = audit.parent / "films"
        service = ReviewService(open_review(audit, data=data, who="Anna", model=tiny_model if model else None))

        def request(method: str, path: str, **words: Any) -> httpx.Response:
            async def send() -> httpx.Response:
                transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001") as client:
                    return await client.request(method, path, **words)

            return asyncio.run(send())

        return request

    return open_one


def test_doubts_are_settled_one_after_the_other(request_of: Callable[..., Any], doubted: Callable[..., Path]) -> None:
    audit = doubted(2, 1)
    request = request_of(audit)
    first = request("GET", "/v1/doubts").json()
    assert (first["num_doubts"], first["num_settled"], first["doubt"]["number"]) == (3, 0, 0)
    assert first["doubt"]["marked"] == [0, 1]
    assert first["progress"] == {"error": [0, 1], "warning": [0, 2], "note": [0, 0]}
    assert [film["finding"] for film in first["doubt"]["films"]] == ["Normal", "Covid-19"]
    second = request("POST", "/v1/doubts/0", json={"choice": "undecided", "films": [0, 1]}).json()
    assert (second["num_settled"], second["doubt"]["number"]) == (1, 1)
    assert second["doubt"]["suggestion"] == "Covid-19"
    third = request("POST", "/v1/doubts/1", json={"choice": "relabel", "films": [0], "finding": "Covid-19"}).json()
    assert third["doubt"]["number"] == 2
    done = request("POST", "/v1/doubts/2", json={"choice": "drop", "films": [0]}).json()
    assert (done["num_settled"], done["can_undo"]) == (3, True)
    back = request("POST", "/v1/undo").json()
    assert (back["num_settled"], back["doubt"]["number"], back["doubt"]["choice"]) == (2, 2, "")
    assert request_of(audit)("GET", "/v1/doubts").json()["doubt"] == back["doubt"]
    films = read_dataset(audit / "review.csv").records
    assert Counter(film.finding for film in films) == {"Normal|Covid-19": 2, "Covid-19": 3, "Normal": 1}


def test_a_doubt_about_a_film_that_is_left_out_is_moot(
    request_of: Callable[..., Any], doubted: Callable[..., Path]
) -> None:
    audit = doubted(2, 1)
    content = json.loads((audit / "audit.json").read_text(encoding="utf-8"))
    content["faults"].append(_fault("rotated", "warning", "train/Normal/000.png"))
    (audit / "audit.json").write_text(json.dumps(content), encoding="utf-8")
    request = request_of(audit)
    assert request("POST", "/v1/doubts/1", json={"choice": "drop", "films": [0]}).json()["num_settled"] == 2
    moot = request("GET", "/v1/doubts/3").json()["doubt"]
    assert moot["choice"] == "moot"
    assert request("POST", "/v1/undo").json()["num_settled"] == 0


def test_films_and_heat_maps_come_by_number(request_of: Callable[..., Any], doubted: Callable[..., Path]) -> None:
    audit = doubted(1, 1)
    request = request_of(audit)
    for path in ("/v1/films/0/0", "/v1/films/0/1", "/v1/heat/1/0"):
        answer = request("GET", path)
        assert (answer.status_code, answer.headers["content-type"], answer.content[:4]) == (
            200,
            "image/png",
            b"\x89PNG",
        )
        assert answer.headers["cache-control"] == "no-store"
    assert [request("GET", "/v1/doubts/" + n).json()["doubt"]["has_heat"] for n in "01"] == [False, True]
    without = request_of(audit, model=False)
    assert without("GET", "/v1/doubts/1").json()["doubt"]["has_heat"] is False
    for path in ("/v1/films/0/2", "/v1/films/9/0", "/v1/films/-1/0", "/v1/doubts/2", "/v1/heat/0/0", "/v1/nothing"):
        answer = request("GET", path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "NotFound"), path


@pytest.mark.parametrize(
    "body",
    [
        {"choice": "perhaps", "films": [0]},
        {"choice": "keep", "films": []},
        {"choice": "keep", "films": [1]},
        {"choice": "relabel", "films": [0]},
        {"choice": "relabel", "films": [0], "finding": "Fracture"},
        {"choice": "keep", "films": [0], "finding": "Normal"},
        [],
    ],
)
def test_what_cannot_be_decided_is_refused(
    request_of: Callable[..., Any], doubted: Callable[..., Path], body: Any
) -> None:
    request = request_of(doubted(1, 0), model=False)
    answer = request("POST", "/v1/doubts/0", json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "InvalidParameter")
    assert request("GET", "/v1/doubts").json()["num_settled"] == 0


def test_other_sites_and_other_computers_are_refused(
    request_of: Callable[..., Any], doubted: Callable[..., Path]
) -> None:
    request = request_of(doubted(1, 0), model=False)
    body = {"choice": "drop", "films": [0]}
    for header in ({"origin": "https://example.org"}, {"host": "example.org"}):
        assert request("POST", "/v1/doubts/0", json=body, headers=header).status_code == 403
    page = request("GET", "/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert request("GET", "/v1/doubts").json()["num_settled"] == 0


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere() -> None:
    for path, file in page_files(_FILES).items():
        text = file.content.decode("utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), path
        assert not re.search(r"\sstyle=|\son\w+=\"|innerHTML|eval\(|document\.write", text), path


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def start_review() -> Iterator[Callable[[Path], RunningServer]]:
    """Start reviews as processes; they end with the test."""
    running: list[RunningServer] = []

    def start(audit: Path) -> RunningServer:
        running.append(RunningServer("review", str(audit), "--data", str(audit.parent / "films"), "--who", "Anna"))
        return running[-1]

    yield start
    for review in running:
        if review.process.poll() is None:
            review.process.kill()
            review.process.communicate()


def _at(page: Any, number: int) -> None:
    """Wait until a doubt is shown with its films."""
    page.wait_for_selector(f'#main[aria-busy="false"][data-doubt="{number}"]')


def test_200_doubts_settled_by_keys_survive_a_kill(
    open_page: Callable[..., Any], start_review: Callable[..., RunningServer], doubted: Callable[..., Path]
) -> None:
    audit, total = doubted(NUM_SUSPECTS, NUM_PAIRS), NUM_SUSPECTS + NUM_PAIRS
    pressed = [("k", "d", "u", "r")[number % 4] for number in range(total)]
    review = start_review(audit)
    page = open_page(review.url)

    def settle(numbers: range) -> None:
        for number in numbers:
            _at(page, number)
            page.keyboard.press(pressed[number])
            if pressed[number] == "r":
                page.keyboard.press("2")  # Covid-19

    settle(range(total // 2))
    _at(page, total // 2)
    review.process.kill()
    review.process.communicate()
    page.keyboard.press("k")
    page.wait_for_selector("#alert-text:text('does not answer')")
    review = start_review(audit)
    page = open_page(review.url)
    _at(page, total // 2)
    assert page.inner_text("#settled") == f"{total // 2} of {total} settled"
    settle(range(total // 2, total))
    page.wait_for_selector("#done:not([hidden])")
    assert page.inner_text("#done-title") == f"All {total} doubts are settled."
    assert review.stop() == 0
    made = json.loads((audit / "review.json").read_text(encoding="utf-8"))["decisions"]
    assert [one["choice"][0] for one in made] == pressed  # 0 lost, 0 twice
    with (audit / "review.csv").open(encoding="utf-8") as lines:
        decided = Counter(row["decision"] for row in csv.DictReader(lines))
    assert decided == {"keep": 60, "relabel": 60, "undecided": 60, "": 2}
    findings = Counter(record.finding for record in read_dataset(audit / "review.csv").records)
    assert findings["Normal|Covid-19"] == 60


def test_keys_marks_undo_and_the_way_back(
    open_page: Callable[..., Any], start_review: Callable[..., RunningServer], doubted: Callable[..., Path]
) -> None:
    audit = doubted(2, 1)
    page = open_page(start_review(audit).url)
    _at(page, 0)
    assert page.locator("figure.marked").count() == 2
    page.keyboard.press("1")
    assert page.locator("figure.marked").count() == 1
    assert page.inner_text("#means-drop") == "Leave film 2 out of the list."
    page.keyboard.press("d")
    _at(page, 1)
    page.keyboard.press("ArrowLeft")
    _at(page, 0)
    assert "Decided: drop (Anna" in page.inner_text("#earlier")
    assert page.get_attribute("[data-choice=drop]", "aria-pressed") == "true"
    page.keyboard.press("ArrowRight")
    _at(page, 1)
    page.keyboard.press("r")
    assert page.evaluate("document.activeElement.textContent") == "2Covid-19 (suggested)"
    page.keyboard.press("Escape")
    assert page.is_hidden("#findings")
    page.keyboard.press("r")
    page.keyboard.press("Enter")
    _at(page, 2)
    assert page.inner_text("#settled") == "2 of 3 settled"
    page.keyboard.press("z")
    _at(page, 1)
    assert page.inner_text("#settled") == "1 of 3 settled"
    page.click("[data-choice=keep]")
    _at(page, 2)
    made = json.loads((audit / "review.json").read_text(encoding="utf-8"))["decisions"]
    assert [(one["choice"], len(one["films"])) for one in made] == [("drop", 1), ("keep", 1)]


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_fits_every_width_and_names_its_pictures(
    open_page: Callable[..., Any], start_review: Callable[..., RunningServer], doubted: Callable[..., Path], width: int
) -> None:
    page = open_page(start_review(doubted(1, 1, size_px=400)).url, width=width, height=800)
    for number in (0, 1):
        _at(page, number)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for image in page.locator("#films img").all():
            assert image.get_attribute("alt")
            box = image.bounding_box()
            assert box["height"] >= 200 and box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] <= 800
        for button in page.locator("[data-choice]").all():
            assert button.bounding_box()["height"] >= 40
            assert button.locator("kbd").count() == 1
        page.keyboard.press("ArrowRight")
