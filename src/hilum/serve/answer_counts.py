"""Counts the answers of a server or node: for Prometheus since the start, and by day in a folder. Numbers only.

Source: Prometheus text-based exposition format 0.0.4.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

from hilum.errors import InputError
from hilum.judge.drift import (
    AnswerCounts,
    Drift,
    bin_names,
    count_answers,
    counts_from_json,
    counts_of_days,
    measure_drift,
    sum_counts,
)
from hilum.run.answer import Answer
from hilum.run.classifier import Classifier
from hilum.run.saved_counts import DayCounts, add_to_day, read_days

__all__ = ["DAYS", "METRIC_HEAD", "AnswerCounter"]

METRIC_HEAD = (
    "# HELP hilum_answers_total Answers since the start, by quantity and bin.\n# TYPE hilum_answers_total counter\n"
)
_WRITE_SECONDS = 5.0  # between two writings of the day's file, which takes as long as a twentieth of a film
DAYS = 30  # the films whose answers are compared with those of the evaluation


class AnswerCounter:
    """Counts the answers of one model. Threads may share it.

    Args:
        classifier: The model.
        folder: Where the counts of each day are kept; None to count since the start only.
        warn: Called once with a sentence if the folder cannot be used; the films are judged all the same.
    """

    def __init__(
        self, classifier: Classifier, folder: Path | None = None, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self._identity, self._findings = dict(classifier.identity), tuple(classifier.findings)
        self._evaluation = counts_from_json(classifier.metadata.evaluation)
        self._folder, self._warn, self._has_warned = folder, warn, False
        self._total = count_answers([], [], [], self._findings)
        self._unsaved: dict[date, tuple[AnswerCounts, Counter[str]]] = {}
        self._writing: threading.Timer | None = None
        self._lock, self._comparing = threading.Lock(), threading.Lock()
        self._compared: tuple[int, Drift] | None = None

    @property
    def has_days(self) -> bool:
        """Whether answers are kept by day."""
        return self._folder is not None

    @property
    def total(self) -> AnswerCounts:
        """The answers since the start."""
        return self._total

    def add(self, answer: Answer) -> None:
        """Count an answer. It is written within some seconds; call `write` at the end."""
        shares = [answer.probabilities[name] for name in self._findings]
        one = count_answers(
            [shares],
            [len(answer.set)],
            [answer.accepted],
            self._findings,
            outlier_scores=[answer.outlier_score],
            exposures=[answer.exposure],
        )
        reasons = Counter({reason.code for reason in answer.reasons})
        with self._lock:
            self._total = sum_counts((self._total, one))
            if self._folder is None:
                return
            day = date.today()
            counts, codes = self._unsaved.get(day, (AnswerCounts(0, {}), Counter[str]()))
            self._unsaved[day] = sum_counts((counts, one)), codes + reasons
            if self._writing is None:
                self._writing = threading.Timer(_WRITE_SECONDS, self.write)
                self._writing.daemon = True
                self._writing.start()

    def write(self) -> None:
        """Write what was counted since the last time into the files of the days."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None
        for day, (one, reasons) in unsaved.items():
            counted = DayCounts(day, self._identity, self._findings, one.n, one.counts, reasons)
            try:
                add_to_day(self._folder or Path(), counted)
            except (OSError, InputError) as error:
                self._say_once(error)
                with self._lock:  # for the next time
                    later, codes = self._unsaved.get(day, (AnswerCounts(0, {}), Counter[str]()))
                    self._unsaved[day] = sum_counts((one, later)), reasons + codes

    def recent(self) -> AnswerCounts:
        """Return the answers of the last `DAYS` days; without a folder those since the start.

        Raises:
            InputError: A file of counts is damaged.
        """
        self.write()
        if self._folder is None or not self._folder.is_dir():
            return self._total
        days = read_days(self._folder, self._identity["sha256"], since=date.today() - timedelta(days=DAYS - 1))
        return counts_of_days(days)

    def drift(self) -> Drift | None:
        """Return how these answers compare with those of the evaluation; None if the model file keeps none.

        Raises:
            InputError: A file of counts is damaged.
        """
        if self._evaluation is None:
            return None
        with self._comparing:  # it takes about a second, and nothing new to say until a film comes
            today = self.recent()
            if self._compared is None or self._compared[0] != today.n:
                self._compared = today.n, measure_drift(self._evaluation, today)
            return self._compared[1]

    def metrics_text(self, model: str) -> str:
        """Return the answers since the start in Prometheus' text format, without the metric's head.

        Args:
            model: What the model is called there; no two counters of a page of metrics may have the same.
        """
        model, lines = _label(model), []
        for quantity, bins in sorted(self._total.counts.items()):
            for name, number in zip(bin_names(quantity, self._findings), bins, strict=True):
                labels = f'model="{model}",quantity="{_label(quantity)}",bin="{_label(name)}"'
                lines.append(f"hilum_answers_total{{{labels}}} {number}\n")
        return "".join(lines)

    def _say_once(self, error: OSError | InputError) -> None:
        if not self._has_warned:
            self._has_warned = True
            reason = error.message if isinstance(error, InputError) else error.strerror
            self._warn(f"Answers are not counted by day: {reason}")


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
