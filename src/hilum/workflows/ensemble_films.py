"""The films of the runs behind an ensemble, and what it says of them.

Where the films are at hand they are judged through the sealed file. Without, the answers are computed from those that
the runs have saved, of which the ensemble is a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console, count_of
from hilum.data.folder import FilmRecord
from hilum.data.split import clean_test
from hilum.figures import to_json
from hilum.judge.drift import count_answers, evaluation_of
from hilum.judge.intervals import Bootstrap, Interval
from hilum.judge.metrics import Performance, performance
from hilum.judge.predictions import LabelledPredictions, ProbedFilms, judge_records
from hilum.judge.shortcuts.lungs_hidden import score_lungs_hidden
from hilum.report.predictions import worst_mistakes
from hilum.report.run_page import Mistake
from hilum.run.answer import conformal_limits, conformal_sets, softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.ensemble.combination import Combination
from hilum.train.ensemble.members import Films, Member, Source
from hilum.train.ensemble.merge import merge_graphs
from hilum.train.ensemble.out_of_bag import HeldOut
from hilum.train.graph_file import write_model

__all__ = ["EnsembleFilms", "JudgedEnsemble", "sizes_px"]


def sizes_px(sources: Sequence[Source]) -> set[int]:
    """Return the sizes that the members of runs take films in."""
    return {member.metadata.preprocessing.size_px for source in sources for member in source.members}


@dataclass(eq=False)
class JudgedEnsemble:
    """What an ensemble says of the films of each part.

    Attributes:
        figures: Those of test, test_clean, validation and, where every run has folds, cross_validation.
        answered: By part the films' positions (m,), their probabilities (m, K) and the codes why they are refused.
        mistakes: The surest wrong answers on test films; none where the films were not judged anew.
        lungs_hidden: What is right of test films with the lungs hidden; None likewise.
        evaluation: What the model file keeps of the answers.
    """

    figures: dict[str, Performance] = field(default_factory=dict)
    answered: dict[str, tuple[np.ndarray, np.ndarray, list[str]]] = field(default_factory=dict)
    mistakes: Sequence[Mistake] = ()
    lungs_hidden: Interval | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class EnsembleFilms:
    """The films of the runs behind an ensemble.

    Attributes:
        films: All n films.
        sources: The S runs.
        root: The folder that the films' paths are relative to; None where they are not at hand.
        console: Where progress goes.
    """

    films: Films
    sources: tuple[Source, ...]
    root: Path | None
    console: Console

    @property
    def seed(self) -> int:
        """Return the seed of every draw: that of the first run."""
        return self.sources[0].seed

    def inside(self, source: Source, alone: np.ndarray, work: Path) -> np.ndarray:
        """Return a run's held-out answers (n, K) as its model gives them inside the ensemble.

        They are measured again where they differ from what the run said alone: where the model gets films reduced from
        the ensemble's size.

        Args:
            source: The run.
            alone: (n, K) what it said alone.
            work: A folder for a file.
        """
        size_px = max(sizes_px(self.sources))
        if self.root is None or source.members[0].metadata.preprocessing.size_px == size_px:
            return alone
        place = {row.path: position for position, row in enumerate(self.films.rows)}
        values = np.full((len(place), len(self.films.findings)), np.nan)
        for number, (model, paths) in enumerate(source.held_out_models()):
            metadata = read_model_file(model).metadata
            preprocessing = replace(metadata.preprocessing, size_px=size_px)
            part = Member("", model, "", metadata).graph_part(self.films.findings)
            average = Combination("average")
            graph = merge_graphs([part], average, size_px=size_px, equalize=preprocessing.equalize)
            replaced = replace(
                metadata, findings=self.films.findings, preprocessing=preprocessing, temperature=1.0, gate={}
            )
            path = work / "member.onnx"
            write_model(path, graph, replaced)
            label = f"Judging held-out films, {source.name} {number + 1}"
            predictions = self._predicted(Classifier(path), self.root, paths, label)
            values[[place[name] for name in paths]] = predictions.probabilities
        return values

    def _predicted(self, classifier: Classifier, root: Path, paths: Sequence[str], label: str) -> LabelledPredictions:
        """Return what a model says of films, with a progress bar where there are any."""
        finding = {row.path: row.finding for row in self.films.rows}
        records = [FilmRecord(path, finding[path], None) for path in paths]
        return judge_records(classifier, root, records, console=self.console, label=label)

    def judge(self, classifier: Classifier, held: HeldOut) -> JudgedEnsemble:
        """Return what the sealed ensemble says of every part, and the figures of it.

        Args:
            classifier: The ensemble.
            held: The held-out answers that it was made of.
        """
        films, metadata = self.films, classifier.metadata
        clean = clean_test([row.split for row in films.rows], films.groups)
        masks = {"test": films.mask("test"), "test_clean": clean, "validation": films.mask("validation")}
        judged = JudgedEnsemble()
        for name, chosen in masks.items():
            positions = np.flatnonzero(chosen)
            probabilities, reasons, predictions = self._part(classifier, held.combination, positions, name)
            if predictions is not None and self.root is not None:
                if name == ("test_clean" if clean.any() else "test") and len(positions):
                    probed = ProbedFilms(self.root, predictions, films.groups[positions])
                    judged.lungs_hidden = score_lungs_hidden(classifier, probed)
                if name == "test":
                    judged.mistakes = worst_mistakes(predictions, classifier, self.root)
            if name in ("test", "validation") and len(positions):
                judged.evaluation = judged.evaluation or _counted(name, metadata, probabilities, reasons, predictions)
            judged.figures[name] = performance(
                films.truth[chosen],
                probabilities,
                films.findings,
                operating_thresholds=metadata.operating_thresholds,
                groups=films.groups[chosen],
                bootstrap=Bootstrap(seed=self.seed),
            )
            judged.answered[name] = positions, probabilities, reasons
        if crossed := held.cross_validation(seed=self.seed):
            judged.figures["cross_validation"] = crossed[1]
            positions = np.flatnonzero(held.crossed)
            judged.answered["cross_validation"] = positions, crossed[0], self._reasons(positions)
        return judged

    def _part(
        self, classifier: Classifier, combination: Combination, positions: np.ndarray, part: str
    ) -> tuple[np.ndarray, list[str], LabelledPredictions | None]:
        """Return probabilities (m, K), the codes why films are refused, and the predictions where films were judged."""
        if self.root is not None:
            paths = [self.films.rows[position].path for position in positions]
            label = f"Judging {count_of(len(paths), 'film')}, {part.replace('_', ' ')}"
            predictions = self._predicted(classifier, self.root, paths, label)
            reasons = [" ".join(reason.code for reason in answer.reasons) for answer in predictions.answers]
            return predictions.probabilities, reasons, predictions
        members = []
        for source in self.sources:
            tested, validated = (self.films.probabilities(source, name)[positions] for name in ("test", "validation"))
            members.append(np.where(np.isfinite(tested), tested, validated))
        probabilities = softmax(combination.logits(np.stack(members)), classifier.metadata.temperature)
        return probabilities, self._reasons(positions), None

    def _reasons(self, positions: np.ndarray) -> list[str]:
        """Return the codes for which any run refuses each film, as far as its predictions.csv tells."""
        told: dict[str, set[str]] = {}
        for source in self.sources:
            for part in source.judged.parts.values():
                for path, row in part.items():
                    told.setdefault(path, set()).update((row.get("reasons") or "").split())
        return [" ".join(sorted(told.get(self.films.rows[position].path, ()))) for position in positions]


def _counted(
    part: str,
    metadata: Metadata,
    probabilities: np.ndarray,
    reasons: Sequence[str],
    predictions: LabelledPredictions | None,
) -> Mapping[str, Any]:
    """Return what the model file keeps of its evaluation; of answers that the runs have saved, without the films."""
    if predictions is not None:
        return evaluation_of(**{part: predictions})
    sets = conformal_sets(probabilities, conformal_limits(metadata.conformal, metadata.findings))
    accepted = [not codes for codes in reasons]
    counted = count_answers(probabilities, sets.sum(axis=1).tolist(), accepted, metadata.findings)
    return {"part": part, **to_json(counted)}
