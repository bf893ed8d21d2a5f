"""What a training run leaves: predictions, report, card and history say what the metrics say."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from hilum.workflows.run_results import history_csv
from hilum.workflows.train import Run

from .shared import rows

FINDINGS = ["Normal", "Covid-19", "Viral Pneumonia"]


def test_predictions_are_those_the_metrics_were_counted_from(trained_run: Run) -> None:
    found = rows(trained_run.folder / "predictions.csv")
    assert list(found[0]) == [
        *("path", "part", "finding", "predicted", "accepted", "reasons"),
        *(f"probability_{name}" for name in FINDINGS),
    ]
    for part in ("test", "validation", "cross_validation"):
        mine = [row for row in found if row["part"] == part]
        right = sum(row["finding"] == row["predicted"] for row in mine)
        figures = getattr(trained_run.metrics, part)
        assert (len(mine), right) == (figures.n, figures.confusion.num_right)
        for row in mine:
            probabilities = [float(row[f"probability_{name}"]) for name in FINDINGS]
            assert sum(probabilities) == pytest.approx(1, abs=1e-5)
            assert FINDINGS[int(np.argmax(probabilities))] == row["predicted"]
    crossed = [row["path"] for row in found if row["part"] == "cross_validation"]
    assert len(set(crossed)) == len(crossed)
    assert not any(path.startswith("test/") for path in crossed)


def test_report_and_card_stand_alone(trained_run: Run) -> None:
    class Sources(HTMLParser):
        found: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in {"script", "link", "iframe"}
            self.found += [value or "" for name, value in attrs if name in {"src", "href"}]

    text = (trained_run.folder / "report.html").read_text(encoding="utf-8")
    page = Sources()
    page.feed(text)
    assert all(source.startswith(("data:image/png", "#")) for source in page.found)
    assert "plain-cnn on phantoms" in text
    assert "Cross-validation" in text
    assert "Research software, not a medical device." in text
    card = (trained_run.folder / "model-card.md").read_text(encoding="utf-8")
    assert card.startswith("# Model card: phantoms-plain-cnn\n")


def test_the_history_has_a_line_an_epoch_and_only_its_own_columns() -> None:
    history = [{"stage": "head", "epoch": 0, "loss": 0.5, "secret": 1, "kept": True}, {"stage": "backbone", "epoch": 1}]
    lines = history_csv(history).splitlines()
    assert lines[0] == "stage,epoch,loss,validation_loss,validation_accuracy,learning_rate,kept"
    assert lines[1:] == ["head,0,0.5,,,,true", "backbone,1,,,,,false"]
