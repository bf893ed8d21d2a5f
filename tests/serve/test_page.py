"""The page in a real browser: films in, answers out, by mouse and by keyboard, at every width."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hilum.cli import app
from hilum.serve.pages import page_files

TOKEN = "a-token-of-the-tests"
WIDTHS = (360, 800, 1000, 1400)


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere() -> None:
    files = page_files()
    assert set(files) == {"/", "/style.css", "/docs.css", "/shared.js", "/script.js", "/saving.js", "/icon.svg"}
    for path, file in files.items():
        text = file.content.decode("utf-8")
        assert text.strip(), path
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), path
        assert not re.search(r"\sstyle=|\son\w+=|innerHTML|eval\(|document\.write", text), path
    page = files["/"].content.decode("utf-8")
    assert page.count("Research software, not a medical device.") == 1
    assert "not why" in page


def test_the_page_is_not_sent_twice(open_client: Callable[..., Any]) -> None:
    client = open_client()
    first = client.get("/")
    again = client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert client.request("HEAD", "/script.js").headers["content-type"].startswith("text/javascript")


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def films(write_film: Callable[..., Path], tmp_path: Path) -> list[str]:
    paths = [
        write_film(tmp_path / name, seed=seed, size_px=300) for seed, name in enumerate(("a.png", "b.jpg", "c.png"))
    ]
    small = write_film(tmp_path / "small.png", size_px=40)  # is refused
    (tmp_path / "notes.png").write_text("no film", encoding="utf-8")
    return [*map(str, paths), str(small), str(tmp_path / "notes.png")]


def judged(page: Any, number: int) -> None:
    """Wait until so many films are judged."""
    page.wait_for_selector(f"#list-count:text-is('{number}')", state="attached")


def test_a_film_is_shown_with_its_answer(open_page: Callable[..., Any], server: Any, films: list[str]) -> None:
    page = open_page(server.url)
    page.wait_for_selector("#version:not(:empty)")
    page.set_input_files("#files", films[0])
    page.wait_for_selector("#answer .bars")
    title = page.inner_text("#answer-title")
    held = page.locator("#answer .tags li").all_inner_texts()
    assert set(title.removesuffix(" (undecided)").split(" or ")) == set(held)
    assert title.endswith("(undecided)") == (len(held) > 1)
    first = page.inner_text("#answer .bars li.first .bar-row span:first-child")
    assert title.startswith(first)
    assert page.locator("#answer .bars li").count() == 3
    assert page.locator("#answer .tick").count() == 3
    assert "Cannot be ruled out" in page.inner_text("#answer")
    assert "90 % of films" in page.inner_text("#answer")
    for picture in ("#film", "#heat"):
        assert page.eval_on_selector(picture, "image => image.decode().then(() => image.naturalWidth)") > 100
    assert page.eval_on_selector("#heat", "image => getComputedStyle(image).opacity") == "0.6"
    assert page.inner_text("#status") == f"a.png: {page.inner_text('.row-state') or page.text_content('.row-state')}"


def test_another_model_judges_the_open_films_again(
    open_page: Callable[..., Any], start_server: Callable[..., Any], write_model: Any, tmp_path: Path, films: list[str]
) -> None:
    other = write_model(tmp_path / "other.onnx", name="other", temperature=3.0)
    page = open_page(start_server("--model", str(other)).url)
    page.set_input_files("#files", films[:2])
    judged(page, 2)
    before = page.inner_text("#answer .bars")
    page.select_option("#model-choice", "other")
    page.wait_for_function("before => document.querySelector('#answer .bars')?.innerText !== before", arg=before)
    judged(page, 2)
    assert page.locator("#list .row.done, #list .row.refused").count() == 2
    page.click("#show-model")
    page.wait_for_selector("#model-drift p:has-text('does not say how the model answered')")
    assert page.inner_text("#model-body p") == "other"
    assert page.eval_on_selector("#model-choice", "one => one.selectedOptions[0].text") == "other"
    page.click("#model-close")
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.is_visible("#model-choice")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_view_obeys_its_controls(open_page: Callable[..., Any], server: Any, films: list[str]) -> None:
    page = open_page(server.url)
    page.set_input_files("#files", films[0])
    page.wait_for_selector("#answer .bars")

    def slope() -> list[float]:
        return [float(page.get_attribute("#window feFuncR", name)) for name in ("slope", "intercept")]

    def scale() -> float:
        return float(re.search(r"scale\((.*)\)", page.eval_on_selector("#sheet", "one => one.style.transform"))[1])

    assert slope() == [1, 0]
    page.click("#invert")
    assert slope() == [-1, 1]
    page.click("#invert")
    page.fill("#width", "50")
    assert slope() == [2, -0.5]
    page.fill("#opacity", "20")
    assert page.eval_on_selector("#heat", "image => image.style.opacity") == "0.2"
    fit = scale()
    page.click("#zoom-in")
    assert scale() == pytest.approx(1.4 * fit, rel=1e-4)  # a browser may write six digits
    box = page.locator("#stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(100)
    assert scale() > 3 * fit
    before = page.eval_on_selector("#sheet", "one => one.style.transform")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 30, box["y"] + box["height"] / 2 + 20)
    page.mouse.up()
    assert page.eval_on_selector("#sheet", "one => one.style.transform") != before
    page.click("#reset")
    assert (scale(), slope()) == (pytest.approx(fit, rel=1e-4), [1, 0])
    before = page.get_attribute("#heat", "src")
    page.select_option("#evidence", index=(page.eval_on_selector("#evidence", "one => one.selectedIndex") + 1) % 3)
    assert page.get_attribute("#heat", "src") != before


def test_everything_can_be_done_by_keyboard(open_page: Callable[..., Any], server: Any, films: list[str]) -> None:
    page = open_page(server.url)
    page.set_input_files("#files", films)
    judged(page, len(films))
    seen, outlines = [], []
    for _ in range(20):
        page.keyboard.press("Tab")
        name, outline = (
            page.eval_on_selector(":focus", "one => [one.id || one.className, getComputedStyle(one).outlineStyle]")
            if page.locator(":focus").count()
            else ("", "")
        )
        if name in seen:
            break
        seen.append(name)
        outlines.append(outline)
    expected = [
        "skip",
        "open",
        "show-model",
        "clear",
        "save-csv",
        "print",
        "list",
        "stage",
        "opacity",
        "evidence",
        "level",
        "width",
        "invert",
    ]
    assert [name for name in seen if name in expected] == expected
    assert "none" not in [outline for name, outline in zip(seen, outlines, strict=True) if name]
    page.focus("#list")
    page.keyboard.press("End")
    assert page.inner_text("#answer-title") == "Not read"
    assert "expected DICOM, PNG or JPEG" in page.inner_text("#answer")
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#answer-title") == "Refused"
    assert "each side needs at least 64" in page.inner_text("#answer")
    assert page.get_attribute("#list", "aria-activedescendant") == "film-4"
    assert "at least 64" in page.inner_text("#film-4 .row-state")  # the list says why
    assert "Could not be read: " in page.inner_text("#film-5 .row-state")
    assert page.inner_text("#status").startswith("small.png: Refused")
    page.keyboard.press("Home")
    page.focus("#stage")
    page.keyboard.press("+")
    assert page.inner_text("#zoom-state") == "1.4 x"
    page.keyboard.press("i")
    assert page.get_attribute("#invert", "aria-pressed") == "true"
    page.keyboard.press("h")
    assert page.inner_text("#opacity-value") == "0 %"
    page.keyboard.press("PageDown")
    assert page.inner_text("#file-name") == "b.jpg"
    page.focus("#show-model")
    page.keyboard.press("Enter")
    assert page.is_visible("#model-dialog")
    assert "17621005" in page.inner_text("#model-body") or "Normal" in page.inner_text("#model-body")
    page.keyboard.press("Escape")
    assert not page.is_visible("#model-dialog")
    page.focus("#clear")
    page.keyboard.press("Enter")
    assert page.is_visible("#drop")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_and_nothing_jumps(
    open_page: Callable[..., Any], server: Any, films: list[str], width: int
) -> None:
    page = open_page(server.url, width=width)
    page.wait_for_selector("#version:not(:empty)")
    page.set_input_files("#files", films)
    page.wait_for_selector("#viewer", state="visible")
    before = page.locator("#stage").bounding_box()
    judged(page, len(films))
    assert page.locator("#stage").bounding_box() == before
    for _ in films:
        page.focus("#list")
        page.keyboard.press("ArrowDown")
        assert page.locator("#stage").bounding_box()["width"] == before["width"]
        assert page.eval_on_selector("html", "one => one.scrollWidth") == width
    for selector in ("label[for=evidence]", ".row-state", ".actions button"):  # each stays on one line
        for box in [one.bounding_box() for one in page.locator(selector).all()]:
            assert box["height"] < 42, selector
    small = page.eval_on_selector_all(
        "button, select, input[type=range]",
        "all => all.filter(one => one.offsetParent && one.getBoundingClientRect().height < 24).map(one => one.id)",
    )
    assert small == []  # WCAG 2.2, 2.5.8


def test_a_token_is_asked_for(
    open_page: Callable[..., Any], start_server: Callable[..., Any], films: list[str]
) -> None:
    page = open_page(start_server("--token", TOKEN).url)
    page.wait_for_selector("#token-dialog", state="visible")
    page.fill("#token", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#token-error:not(:empty)")
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_selector("#version:not(:empty)")
    page.set_input_files("#files", films[0])
    page.wait_for_selector("#answer .bars")


def test_a_server_that_is_gone_is_told_and_a_film_can_be_sent_again(
    open_page: Callable[..., Any], start_server: Callable[..., Any], films: list[str]
) -> None:
    server = start_server()
    page = open_page(server.url)
    page.wait_for_selector("#version:not(:empty)")
    server.stop()
    page.set_input_files("#files", films[0])
    page.wait_for_selector("#answer button")
    assert "does not answer" in page.inner_text("#answer")
    page.route(
        "**/v1/predictions*",
        lambda route: route.fulfill(
            status=503, headers={"Retry-After": "600"}, json={"error": {"type": "Busy", "message": "", "fix": ""}}
        ),
    )
    page.click("#answer button")
    page.wait_for_selector("#answer p:has-text('busy')")


def test_the_answers_are_saved_as_the_command_writes_them(
    open_page: Callable[..., Any], server: Any, films: list[str], tiny_model: Path, tmp_path: Path
) -> None:
    odd = Path(films[0]).rename(tmp_path / '=1+1, "odd".png')  # a spreadsheet would compute it
    films = [str(odd), *films[1:]]
    page = open_page(server.url)
    page.set_input_files("#files", films)
    page.wait_for_selector("#save-csv:enabled")
    with page.expect_download() as waiting:
        page.click("#save-csv")
    saved = Path(waiting.value.path()).read_text(encoding="utf-8")
    assert waiting.value.suggested_filename == "hilum-answers.csv"
    command = ["predict", "--model", str(tiny_model), "--format", "csv", "--out", str(tmp_path / "answers.csv"), *films]
    assert CliRunner().invoke(app, command).exit_code in {0, 1}
    written = (tmp_path / "answers.csv").read_text(encoding="utf-8").replace(f"{tmp_path}/", "")
    rows = [list(csv.DictReader(io.StringIO(text))) for text in (saved, written)]
    assert list(rows[0][0]) == list(rows[1][0])
    for ours, theirs in zip(*rows, strict=True):
        for column, value in theirs.items():
            if column.startswith(("probability_", "outlier_score", "exposure")) and value:
                assert float(ours[column]) == pytest.approx(float(value), abs=1e-6)
            else:
                assert ours[column].removeprefix("./") == value, column


def test_the_answers_are_printed_on_white_paper(open_page: Callable[..., Any], server: Any, films: list[str]) -> None:
    page = open_page(server.url)
    page.set_input_files("#files", films)
    page.wait_for_selector("#print:enabled")
    page.evaluate("print = () => dispatchEvent(new Event('beforeprint'))")  # no browser without a screen prints
    page.click("#print")
    page.emulate_media(media="print")
    paper = page.inner_text("#sheet-of-answers")
    assert "5 films: 3 answered, 1 refused, 1 could not be read." in paper
    assert "at least 64" in paper
    assert all(Path(film).name in paper for film in films)
    assert not page.is_visible("header")
    assert "not a medical device" in page.inner_text("footer")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.inner_text("#sheet-of-answers") == ""


@pytest.mark.parametrize("width", (360, 1400))
def test_the_page_for_programs_fits(open_page: Callable[..., Any], server: Any, width: int) -> None:
    page = open_page(server.url, width=width)
    page.click("footer a")
    assert page.eval_on_selector("html", "one => one.scrollWidth") == width
    assert page.locator(".docs h3 code").all_inner_texts()[0] == "/v1/predictions"
    page.click("a[href='#ErrorBody'] >> nth=0")
    assert page.eval_on_selector(":target", "one => one.textContent") == "ErrorBody"


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, #rrggbb (WCAG 2.2)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read() -> None:
    style = page_files()["/style.css"].content.decode("utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style))
    for ground in ("ground", "panel", "raised"):
        for text in ("ink", "soft", "accent", "amber", "red"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["edge"], colours[ground]) >= 3
    assert contrast(colours["accent-ink"], colours["accent"]) >= 4.5
