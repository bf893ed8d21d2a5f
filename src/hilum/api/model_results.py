"""What the functions of the Python API return that compare models or their answers, or export a model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hilum.api.places import AnyPath, new_folder, to_frame
from hilum.api.results import Result
from hilum.console import count_of
from hilum.figures import to_json
from hilum.judge.comparison import Comparison, PartComparison
from hilum.judge.drift import Drift, QuantityDrift
from hilum.report.drift import drift_lines
from hilum.report.notebook import result_html

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["CompareResult", "DriftResult", "ExportResult"]


@dataclass(frozen=True, eq=False, repr=False)
class CompareResult(Result):
    """Two models on the same films; differences are second minus first.

    Attributes:
        comparison: What compare.json holds: ``verdict``, ``parts``, ``notes``.
    """

    comparison: Comparison

    page: ClassVar[str] = "compare.html"

    def _contents(self) -> Comparison:
        return self.comparison

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row a part and figure: both models, the difference, its interval and p-value.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return to_frame([row for name, part in self.comparison.parts.items() for row in _rows(name, part)])

    def summary(self) -> str:
        """Return the verdict."""
        return self.comparison.verdict


@dataclass(frozen=True, eq=False, repr=False)
class DriftResult(Result):
    """A model's answers to today's films, compared with those of its evaluation.

    Attributes:
        drift: The comparison: ``is_different``, ``n``, ``reference_n``, ``quantities``, ``found_difference``.
    """

    drift: Drift

    page: ClassVar[str] = "drift.txt"

    @property
    def is_different(self) -> bool | None:
        """Whether any quantity differs; None with too few films."""
        return self.drift.is_different

    @property
    def n(self) -> int:
        """Today's films."""
        return self.drift.n

    @property
    def reference_n(self) -> int:
        """Films of the evaluation."""
        return self.drift.reference_n

    @property
    def quantities(self) -> tuple[QuantityDrift, ...]:
        """The comparisons, the smallest p first; empty with too few films."""
        return self.drift.quantities

    @property
    def found_difference(self) -> float | None:
        """How large a difference of a share of films would be found 8 times out of 10; None with too few films."""
        return self.drift.found_difference

    @property
    def not_in_reference(self) -> tuple[str, ...]:
        """Quantities that the evaluation lacks."""
        return self.drift.not_in_reference

    @property
    def not_in_today(self) -> tuple[str, ...]:
        """Quantities that the answers lack."""
        return self.drift.not_in_today

    def _contents(self) -> Mapping[str, Any]:
        return {"is_different": self.is_different, **to_json(self.drift)}

    def to_dataframe(self) -> DataFrame:
        """Return a table with one row a quantity: p and is_different.

        Raises:
            MissingExtra: pandas is not installed.
        """
        rows = [{"quantity": one.quantity, "p": one.p, "is_different": one.is_different} for one in self.quantities]
        return to_frame(rows, ("quantity", "p", "is_different"))

    def summary(self) -> str:
        """Return the answer in one sentence."""
        return drift_lines(self.drift)[0]

    def _repr_html_(self) -> str:
        return result_html("", "\n".join(drift_lines(self.drift)), self.folder)


@dataclass(frozen=True, eq=False, repr=False)
class ExportResult(Result):
    """A model that was exported for programs without hilum.

    Attributes:
        graph: The ONNX graph.
        golden: The file of pictures and answers to check other programs by.
        n: Number of pictures in it.
        largest_difference: In probability, between the graph and the model file on these pictures.
    """

    graph: Path
    golden: Path
    n: int
    largest_difference: float

    def _contents(self) -> Mapping[str, Any]:
        return {
            "graph": str(self.graph),
            "golden": str(self.golden),
            "n": self.n,
            "largest_difference": self.largest_difference,
        }

    def _repr_html_(self) -> str:
        return result_html("", self.summary(), self.folder)

    def to_dataframe(self) -> DataFrame:
        """Return a table of one row: graph, golden, n and largest_difference.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return to_frame([self._contents()])

    def summary(self) -> str:
        """Return what was written and how exact it is."""
        checked = count_of(self.n, "picture")
        return f"{self.graph.name}, within {self.largest_difference:.1g} in probability on {checked}"

    def save(self, folder: AnyPath) -> None:
        """Copy graph and answers into a new folder; errors as in `Result.save`."""
        with new_folder(folder) as path:
            for file in (self.graph, self.golden):
                shutil.copyfile(file, path / file.name)


def _rows(name: str, part: PartComparison) -> list[dict[str, object]]:
    figures = {"accuracy": part.accuracy, "macro_f1": part.macro_f1, "auroc_macro": part.auroc_macro}
    figures |= {f"auroc {finding}": one.auroc for finding, one in part.per_finding.items()}
    rows = []
    for figure, one in figures.items():
        if one is not None:
            values = to_json(one)
            values |= {key: values["difference"][key] for key in ("low", "high")}
            values["difference"] = values["difference"]["value"]
            rows.append({"part": name, "n": part.n, "figure": figure, **values})
    return rows
