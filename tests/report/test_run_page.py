"""The report: one page that stands alone, hides nothing and believes nobody's file names."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hilum.figures import to_json
from hilum.judge.audit.check import Fault
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance
from hilum.judge.parts import Metrics, Reason, Verdict, distinct_parts, headline_parts, judged_parts, parts_from_json
from hilum.report.page import Section
from hilum.report.run_page import Mistake, ReportData, Scored, report_page
from hilum.run.answer import softmax
from hilum.text import interval_words, percent, percent_figure, range_text
from hilum.version import NOTICE

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia")
NONE = performance([], np.zeros((0, 1)), ["a"], operating_thresholds={"a": 0.5}, bootstrap=Bootstrap(num_resamples=0))
VOID = {"meta", "img", "br"}


def scored(num_films: int, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    truth = np.arange(num_films) % 3
    logits = rng.normal(size=(num_films, 3))
    logits[np.arange(num_films), truth] += 2.5
    return Scored(truth, softmax(logits * 2))


def judged(part: Scored, findings: tuple[str, ...] = FINDINGS) -> Performance:
    thresholds = dict.fromkeys(findings, 0.5)
    return performance(
        part.truth, part.probabilities, findings, operating_thresholds=thresholds, bootstrap=Bootstrap(num_resamples=20)
    )


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 128).save(buffer, "PNG")
    return buffer.getvalue()


def history(num_epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "stage": "head" if epoch < 4 else "fine-tune",
            "epoch": epoch,
            "loss": 1 / (epoch + 1),
            "accuracy": 1 - 0.5 / (epoch + 1),
            "validation_loss": 1.1 / (epoch + 1),
            "validation_accuracy": math.nan if epoch == 2 else 1 - 0.6 / (epoch + 1),
            "learning_rate": 1e-3,
        }
        for epoch in range(num_epochs)
    ]


def report_data(**changes: Any) -> ReportData:
    test, clean, validation = scored(66), scored(57), scored(50, 3)
    defaults: dict[str, Any] = {
        "title": "covid19-image-dataset",
        "findings": FINDINGS,
        "metrics": Metrics(judged(test), judged(clean), judged(validation)),
        "parts": {"test": test, "test_clean": clean, "validation": validation},
        "history": history(8),
        "mistakes": (Mistake("test/Covid/é 1.png", "Covid-19", "Normal", 0.973, png(), png()),),
        "facts": [("Backbone", "efficientnet-lite0"), ("Seed", "0")],
        "faults": [
            Fault("small", "note", "Few films."),
            Fault("leak", "error", "9 twins.", ("test/a.png", "train/b.png"), 9),
        ],
        "notes": ["All Normal films are children's."],
    }
    return ReportData(**{**defaults, **changes})


def page(**changes: Any) -> str:
    return report_page(report_data(**changes))


class Outline(HTMLParser):
    """Checks that tags close in order, and collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] != "style":
            self.words += data.replace("\N{NO-BREAK SPACE}", " ")


def test_page_is_well_formed_and_stands_alone() -> None:
    outline = Outline(page())
    assert outline.stack == []
    tags = {tag for tag, _ in outline.tags}
    assert tags.isdisjoint({"script", "link", "iframe", "object", "form"})
    for _, attributes in outline.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href"}:
                assert value is not None
                assert value.startswith(("data:image/png;base64,", "#"))
    text = page()
    assert "url(" not in text
    assert "@import" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "default-src 'none'" in text


def test_ids_are_unique_and_links_lead_somewhere() -> None:
    outline = Outline(page())
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    references = [attributes["href"] for tag, attributes in outline.tags if tag == "a"]
    references += [
        "#" + str(attributes["aria-labelledby"]) for _, attributes in outline.tags if "aria-labelledby" in attributes
    ]
    assert references
    assert {str(reference)[1:] for reference in references} <= set(ids)


def test_notice_stands_once_at_the_top() -> None:
    words = Outline(page()).words
    assert words.count(NOTICE) == 1
    assert words.index(NOTICE) < words.index("hilum report")


def test_headline_says_how_many_were_right_and_how_sure_that_is() -> None:
    data = report_data()
    words = Outline(page()).words
    for name in ("test_clean", "test"):
        figures = getattr(data.metrics, name)
        right = int(np.trace(figures.confusion.counts))
        accuracy = {key: f"{100 * value:.1f}" for key, value in to_json(figures.accuracy).items()}
        sentence = (
            f"{right} of {figures.n} films right: {accuracy['value']} % "
            f"(95 % interval {accuracy['low']}–{accuracy['high']})"
        )
        assert sentence in words
    assert words.index("Clean test") < words.index("Test as given")


def test_faults_stand_above_the_figures_worst_first() -> None:
    words = Outline(page()).words
    assert words.index("9 twins.") < words.index("Few films.") < words.index("films right:")
    assert "train/b.png" in words
    assert "Problems in the data" not in Outline(page(faults=())).words


def test_many_paths_of_a_fault_are_cut_and_said_to_be() -> None:
    fault = Fault("x", "warning", "m", tuple(f"{i}.png" for i in range(60)))
    words = Outline(page(faults=[fault])).words
    assert "60 paths" in words
    assert "and 10 more, in audit.json" in words


def test_every_table_has_headed_rows_and_columns_and_every_picture_words() -> None:
    outline = Outline(page())
    assert all(attributes.get("scope") in {"row", "col"} for tag, attributes in outline.tags if tag == "th")
    assert all(attributes.get("alt") for tag, attributes in outline.tags if tag == "img")
    for tag, attributes in outline.tags:
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    num_tables = 2 + 2 * 3  # all parts, the figures in two steps, then two tables a part
    assert sum(tag == "table" for tag, _ in outline.tags) == num_tables
    assert sum(tag == "caption" for tag, _ in outline.tags) == num_tables


def test_confusion_matrix_holds_the_counts() -> None:
    counts = report_data().metrics.test_clean.confusion.counts
    table = page().split('<table class="confusion">')[1].split("</table>")[0]
    assert [int(count) for count in re.findall(r"<b>(\d+)</b>", table)] == [count for row in counts for count in row]


def test_everything_from_outside_is_escaped() -> None:
    nasty = "<script>alert('1')</script>\"&"
    findings = (nasty, "Covid-19", "Viral Pneumonia")
    test = scored(30)
    text = page(
        title=nasty,
        findings=findings,
        metrics=Metrics(judged(test, findings), NONE),
        parts={"test": test},
        history=[{"stage": nasty, "loss": 1.0}, {"stage": nasty + "2", "loss": 0.5}],
        mistakes=(Mistake(nasty, nasty, nasty, 0.9, png(), png()),),
        facts=[(nasty, nasty)],
        faults=[Fault(nasty, "note", nasty, (nasty,))],
        notes=[nasty],
    )
    assert "<script" not in text
    outline = Outline(text)
    assert outline.stack == []
    assert outline.words.count(nasty) > 10


def test_worst_mistakes_show_film_beside_heat_map() -> None:
    outline = Outline(page())
    pictures = [str(attributes["alt"]) for tag, attributes in outline.tags if tag == "img"]
    assert pictures == [
        "Film test/Covid/é 1.png: Covid-19, answered Normal at 97.3\N{NO-BREAK SPACE}%",
        "Heat map for Normal on film test/Covid/é 1.png",
    ]
    assert "not why" in outline.words


def test_no_clean_film_left_is_said() -> None:
    empty = judged(Scored(np.zeros(0, int), np.zeros((0, 3))))
    test = scored(12)
    words = Outline(page(metrics=Metrics(judged(test), empty), parts={"test": test})).words
    assert "No clean test film is left" in words


def test_nothing_judged_is_still_a_page() -> None:
    outline = Outline(
        page(metrics=Metrics(NONE, NONE), parts={}, history=(), mistakes=(), facts=(), faults=(), notes=())
    )
    assert outline.stack == []
    assert "No film was judged" in outline.words
    assert "Terms" in outline.words


def test_without_a_test_the_most_trustworthy_part_is_headlined() -> None:
    validation, folds = scored(20), scored(40)
    metrics = Metrics(NONE, NONE, judged(validation), judged(folds))
    words = Outline(page(metrics=metrics, parts={"cross_validation": folds})).words
    headline = words[words.index("Few films") : words.index("Figures", words.index("films right:"))]
    assert "of 40 films right" in headline
    assert "of 20 films right" not in headline


def test_same_data_same_bytes() -> None:
    assert page() == page()


def test_sections_of_other_modules_stand_between_curves_and_mistakes() -> None:
    page = report_page(report_data(sections=(Section("shortcuts", "Short <cuts>", "<p>Seen.</p>"),)))
    assert '<a href="#shortcuts">Short &lt;cuts&gt;</a>' in page
    assert page.index('id="curves"') < page.index('<section id="shortcuts"') < page.index('id="mistakes"')
    assert "<p>Seen.</p>" in page


# --- the verdict ----------------------------------------------------------------------------------------------------


def verdict_of(**changes: Any) -> str:
    """Return what the page says before all else."""
    return Outline(page(**changes)).words.split("Terms", 1)[1].split("Problems in the data")[0].split("Clean test\n")[0]


def test_the_page_opens_with_a_verdict_and_what_to_do() -> None:
    test = judged(scored(66))
    good = verdict_of(metrics=Metrics(test, test, lungs_hidden=Interval(0.4, 0.3, 0.5)), faults=())
    assert f"The model is right on {test.confusion.num_right} of 66 test films. You may believe this figure" in good
    assert "Next: Before you rely on the model, test it on films of another hospital" in good
    assert "Marks <at> the border." in verdict_of(faults=(), caution="Marks <at> the border.")
    believed = verdict_of(metrics=Metrics(test, test, verdict=Verdict(False, (Reason("data", n=2),), "data")))
    assert "Do not believe this figure yet: the data have 2 serious problems." in believed
    assert "No film was judged, so there is no result." in verdict_of(metrics=Metrics(NONE, NONE), parts={})


def test_the_page_says_what_is_left_without_lungs() -> None:
    test = judged(scored(66))
    metrics = Metrics(test, test, lungs_hidden=Interval(0.9, 0.8, 0.95), thumbnail=Interval(0.85, 0.7, 0.9))
    words = Outline(page(metrics=metrics)).words
    assert "With the lungs hidden, the model is right on 90.0 % (80.0–95.0)." in words
    assert "8 × 8 pixels of each film is right on 85.0 % (70.0–90.0)." in words
    assert "With the lungs hidden, the model" not in Outline(page()).words


@pytest.mark.parametrize(
    ("error", "words"), [(0.02, "2.0 %: good"), (0.07, "7.0 %: fair"), (0.119, "more than 11 points")]
)
def test_a_calibration_error_is_said_to_be_good_or_not(error: float, words: str) -> None:
    text = Outline(page(metrics=Metrics(replace(judged(scored(120)), ece=error), NONE), parts={})).words
    assert words in text
    few = Outline(page(metrics=Metrics(replace(judged(scored(66)), ece=error), NONE), parts={})).words
    assert "66 films are too few to say if that is good" in few


# --- numbers and parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "words"), [(64 / 66, "97.0"), (1.0, "100.0"), (0.0, "0.0"), (None, "–")])
def test_percent(value: float | None, words: str) -> None:
    assert percent(value) == words


def test_range_text() -> None:
    assert range_text(Interval(0.97, 0.8961, 0.9917)) == "89.6–99.2"
    assert range_text(Interval(0.97, 0.8961, 0.9917), 0) == "90–99"
    assert range_text(Interval(0.97)) == ""
    assert percent_figure(Interval(0.97, 0.8961, 0.9917)) == "97.0\N{NO-BREAK SPACE}% (89.6–99.2)"
    assert percent_figure(Interval()) == "–"
    assert interval_words("89.6–99.2") == " (95\N{NO-BREAK SPACE}% interval 89.6–99.2)"
    assert interval_words("") == ""


def test_parts_are_ordered_by_trust_and_empty_ones_left_out() -> None:
    some, none = judged(scored(3)), judged(Scored(np.zeros(0, int), np.zeros((0, 3))))
    everything = judged_parts(Metrics(validation=some, test=some, cross_validation=none, test_clean=some))
    assert list(everything) == ["test_clean", "test", "validation"]
    assert headline_parts(everything) == ["test_clean", "test"]
    assert list(distinct_parts(everything)) == ["test_clean", "validation"]  # all test films are clean
    leaking = replace(some, n=some.n + 1)
    assert list(distinct_parts({"test_clean": some, "test": leaking})) == ["test_clean", "test"]
    untested = judged_parts(Metrics(validation=some, cross_validation=some, test=none, test_clean=none))
    assert headline_parts(untested) == ["cross_validation"]
    assert headline_parts({}) == []
    stored = {"test": to_json(some), "test_clean": None, "validation": to_json(none)}
    assert parts_from_json(stored) == {"test": some}


def test_the_films_of_the_first_batch_stand_by_the_curves() -> None:
    words = "The first films that it trained on"
    text = page(first_batch_png=png())
    assert text.index("Training") < text.index(words) < text.index("Worst mistakes</h2>")
    assert words not in page()


def test_the_two_steps_of_an_answer_are_shown_where_there_are_any() -> None:
    words = Outline(page()).words
    assert "Normal or not; if not, which finding" in words
    names = ("Effusion", "Covid-19", "Viral Pneumonia")
    test = scored(66)
    others = Metrics(judged(test, names), judged(test, names))
    assert "Normal or not" not in page(findings=names, metrics=others, parts={"test": test})
