"""What the functions of the Python API return: figures as attributes, the same as JSON, as a table, and as a page."""

from __future__ import annotations

import dataclasses
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hilum.api.classifier import FilmClassifier, load
from hilum.api.places import AnyPath, new_folder, read_frame, to_frame
from hilum.console import count_of
from hilum.errors import InputError
from hilum.figures import to_json
from hilum.judge.adaptation import Adaptation, AdaptationMetrics, MixAdaptation
from hilum.judge.audit.check import Fault
from hilum.judge.audit.figures import AuditFigures
from hilum.judge.parts import PARTS, Metrics, judged_parts
from hilum.report.notebook import result_html
from hilum.run.classifier import Classifier
from hilum.text import percent_text, printable

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["AdaptResult", "AuditResult", "EvaluateResult", "Result", "TrainResult", "model_path"]


@dataclass(frozen=True, eq=False, repr=False)
class Result(ABC):
    """What every result can do.

    Attributes:
        folder: Where its files are: the folder ``out=``, else a temporary one that is removed when Python ends.
    """

    folder: Path

    page: ClassVar[str] = "report.html"

    @abstractmethod
    def _contents(self) -> Any:
        """Return what the JSON file of the command holds, for `hilum.figures.to_json`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures with the keys of the JSON file that the command writes."""
        return dict(to_json(self._contents()))

    @abstractmethod
    def to_dataframe(self) -> DataFrame:
        """Return a table.

        Raises:
            MissingExtra: pandas is not installed.
        """

    @abstractmethod
    def summary(self) -> str:
        """Return what came of it, in a few words."""

    def save(self, folder: AnyPath) -> None:
        """Copy all files of the result into a new folder.

        Args:
            folder: A new or empty folder; nothing is written over.

        Raises:
            InputError: The folder holds something, or the result wrote no files.
        """
        if not self.folder.is_dir():
            raise InputError(f"There is nothing to save: `{self.folder}` is not there.")
        with new_folder(folder) as path:
            shutil.copytree(self.folder, path, dirs_exist_ok=True)

    def __repr__(self) -> str:
        return printable(f"<{type(self).__name__}: {self.summary()}; {self.folder}>")

    def _repr_html_(self) -> str:
        page = self.folder / self.page
        return result_html(page.read_text(encoding="utf-8") if page.is_file() else "", self.summary(), page)

    def _predictions(self) -> DataFrame:
        """Return predictions.csv."""
        return read_frame((self.folder / "predictions.csv").read_text(encoding="utf-8"))


@dataclass(frozen=True, eq=False, repr=False)
class AuditResult(Result):
    """What is wrong with a data set.

    Attributes:
        faults: What was found, errors first: ``kind``, ``severity``, ``message``, ``paths``, ``figure``.
        figures: The numbers behind it.
        contents: What audit.json holds.
    """

    faults: tuple[Fault, ...]
    figures: AuditFigures
    contents: Mapping[str, Any]

    @property
    def num_errors(self) -> int:
        """How many faults forbid training on the data set as it is."""
        return sum(one.severity == "error" for one in self.faults)

    def _contents(self) -> Mapping[str, Any]:
        return self.contents

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row a fault.

        Raises:
            MissingExtra: pandas is not installed.
        """
        columns = [one.name for one in dataclasses.fields(Fault)]
        return to_frame([to_json(one) for one in self.faults], columns)

    def summary(self) -> str:
        """Return how many faults there are."""
        return f"{count_of(self.figures.num_films, 'film')}, {count_of(self.num_errors, 'error')} among " + count_of(
            len(self.faults), "fault"
        )


@dataclass(frozen=True, eq=False, repr=False)
class EvaluateResult(Result):
    """A model judged on films with known findings.

    Attributes:
        metrics: The figures by part; ``metrics.test.accuracy`` has ``value``, ``low`` and ``high``.
        num_unread: Films that could not be read and were left out.
    """

    metrics: Metrics
    num_unread: int

    def _contents(self) -> Metrics:
        return self.metrics

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row a film: path, part, finding, predicted, accepted, reasons and probabilities.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return self._predictions()

    def summary(self) -> str:
        """Return how many films of each part are right, the most trustworthy part first."""
        words = []
        for name, part in judged_parts(self.metrics).items():
            if name != "validation":
                share = percent_text(part.accuracy.value)
                words.append(f"{PARTS[name][0].lower()} {part.confusion.num_right} of {part.n} right ({share})")
        return ", ".join(words) or "no film judged"


@dataclass(frozen=True, eq=False, repr=False)
class TrainResult(EvaluateResult):
    """A finished training run; its figures are those of `EvaluateResult`, with ``metrics.cross_validation``.

    Attributes:
        faults: What the audit found in the data.
    """

    faults: tuple[Fault, ...] = ()

    @property
    def model(self) -> FilmClassifier:
        """The trained model, loaded anew."""
        return load(self.folder)


@dataclass(frozen=True, eq=False, repr=False)
class AdaptResult(Result):
    """A model adapted to one hospital.

    Attributes:
        adaptation: How it was done, and the figures before and after.
        verdict: What came of it, in words.
        metrics: What metrics.json holds; None of films without findings.
        notes: What the reader must know, a sentence each.
        is_written: Whether there is a new model; films without findings make one only where it helps.
    """

    adaptation: Adaptation | MixAdaptation
    verdict: str
    metrics: AdaptationMetrics | None = None
    notes: tuple[str, ...] = ()
    is_written: bool = True

    @property
    def model(self) -> FilmClassifier:
        """The adapted model, loaded anew.

        Raises:
            InputError: No model was written.
        """
        if not self.is_written:
            raise InputError(f"There is no adapted model. {self.verdict}", fix="Use the model as it is.")
        return load(self.folder)

    def _contents(self) -> AdaptationMetrics | Mapping[str, MixAdaptation | Adaptation | None]:
        return self.metrics or {**dict.fromkeys(PARTS), "adaptation": self.adaptation}

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row a film, or of films without findings one row a finding.

        Raises:
            MissingExtra: pandas is not installed.
        """
        if isinstance(self.adaptation, MixAdaptation):
            shares = self.adaptation.shares.items()
            return to_frame([{"finding": name, "before": one.before, **to_json(one.after)} for name, one in shares])
        return self._predictions()

    def summary(self) -> str:
        """Return what came of it."""
        return self.verdict


Model = AnyPath | Classifier | TrainResult | AdaptResult


def model_path(model: Model) -> Path:
    """Return the path of a model that is given as a path, a loaded classifier or a result with a model.

    Raises:
        InputError: It is none of these, or the result wrote no model.
    """
    if isinstance(model, TrainResult | AdaptResult):
        model = model.model
    if isinstance(model, Classifier):
        return model.path
    if not isinstance(model, str | os.PathLike):
        raise InputError(
            f"Expected a model; received a `{type(model).__name__}`.",
            fix="Give the path of a model.onnx, what hilum.load returned, or the result of hilum.train.",
        )
    return Path(model)
