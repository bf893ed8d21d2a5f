"""A study under way: one engine for every kind.

It reads the films and those of other sources, draws the folds, and fits each variant. What is computed is kept in
`.work`; a killed study continues from there.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np

from hilum.console import Console
from hilum.files import replace_file
from hilum.film.preprocess import Preprocessing
from hilum.judge.study import Changes, StudyFigures, change_of, figures_of_answers
from hilum.judge.study_result import FilmCounts
from hilum.train.config import RunConfig
from hilum.train.prepared import prepare_films
from hilum.train.study_fit import StudyFilms, VariantAnswers, cross_variant, measure_cost, prepare_outside
from hilum.train.study_variants import STUDY_FOLDER, StudyRequest, Variant, variants_of
from hilum.train.trial import draw_folds
from hilum.version import __version__

__all__ = ["Study"]


class Study:
    """A study under way: its films, as its variants want them, and their answers."""

    def __init__(self, request: StudyRequest, console: Console) -> None:
        self.request, self.console, self.variants = request, console, variants_of(request)
        self.work = request.out / ".work"
        self._read: tuple[Preprocessing, StudyFilms] | None = None
        self._outside: tuple[np.ndarray, np.ndarray] | None = None  # labels and groups, alike at every size

    def films(self, preprocessing: Preprocessing) -> StudyFilms:
        """Return the films read with a preprocessing; the folder is begun when the first ones are read."""
        if self._read is None or self._read[0] != preprocessing:
            prepared = prepare_films(self.request.data, preprocessing, console=self.console)
            folds = draw_folds(prepared, num_folds=self.request.folds, seed=0)
            external, outside = self.request.external, None
            if external is not None:
                outside = prepare_outside(external, prepared, preprocessing, console=self.console)
            films = StudyFilms(prepared, folds, outside)
            if self._read is None:
                self._begin(films)
                self._outside = (outside.films.labels, outside.groups) if outside else None
            self._read = preprocessing, films
        return self._read[1]

    def _begin(self, films: StudyFilms) -> None:
        prints = zip(films.prepared.scan.fingerprints, films.prepared.records, strict=True)
        hashes = sorted(f"{one.file_sha256} {record.path} {record.split}" for one, record in prints)
        digest = hashlib.sha256("\n".join(hashes).encode("utf-8", "surrogateescape"))
        if films.outside is not None:
            digest.update(films.outside.films.pixels.tobytes())
        identity = {
            "study": self.request.kind,
            "films": digest.hexdigest(),
            "folds": self.request.folds,
            "variants": [repr(variant) for variant in self.variants],
            "hilum": __version__,
        }
        if STUDY_FOLDER.begin(self.request.out, identity, overwrite=self.request.overwrite):
            self.console.say(f"Continuing the unfinished study in {self.request.out}.")

    def answers(self, variant: Variant) -> VariantAnswers:
        """Return a variant's answers; folds that an earlier try has finished are not repeated."""
        films = self.films(variant.config.preprocessing)
        return cross_variant(films, variant.config, self.work / variant.config.backbone / variant.name)

    def cost(self, config: RunConfig) -> dict[str, float]:
        """Return what a network costs, as `measure_cost` has it."""
        films = self.films(config.preprocessing)
        path = self.work / f"cost-{config.backbone}-{config.preprocessing.size_px}.json"
        if not path.exists():
            replace_file(path, json.dumps(measure_cost(config, films.prepared, self.work)))
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def change(self, first: VariantAnswers, second: VariantAnswers) -> Changes:
        """Return the changes from a first variant's answers to a second's; none from answers to themselves."""
        if first is second:
            return Changes()
        other = None
        if self._outside is not None and first.outside is not None and second.outside is not None:
            other = change_of(self._outside[0], first.outside, second.outside, self._outside[1])
        return Changes(change_of(first.truth, first.probabilities, second.probabilities, first.groups), other)

    def figures(self, variant: Variant, answers: VariantAnswers) -> tuple[StudyFigures, StudyFigures | None]:
        """Return a variant's figures on the study's films and on those of other sources."""
        films, other = self.films(variant.config.preprocessing), None
        if films.outside is not None and answers.outside is not None:
            outside = films.outside
            other = figures_of_answers(outside.films.labels, answers.outside, outside.groups, outside.findings)
        here = figures_of_answers(answers.truth, answers.probabilities, answers.groups, films.prepared.findings)
        return here, other

    def facts(self) -> dict[str, object]:
        """Return what every study.json holds."""
        films = self.films(self.variants[-1].config.preprocessing)
        prepared, used, outside = films.prepared, films.folds >= 0, films.outside
        data = _counts(
            prepared.scan.dataset.name, prepared.films.labels[used], prepared.scan.groups[used], prepared.findings
        )
        other = None
        if outside is not None:
            other = _counts(outside.name, outside.films.labels, outside.groups, outside.findings)
            other = replace(other, left_out=dict(outside.left_out))
        return {
            "study": self.request.kind,
            "hilum": __version__,
            "data": data,
            "external": other,
            "folds": self.request.folds,
        }


def _counts(name: str, labels: np.ndarray, groups: np.ndarray, findings: tuple[str, ...]) -> FilmCounts:
    counts = np.bincount(labels, minlength=len(findings)).tolist()
    return FilmCounts(name, len(labels), len(np.unique(groups)), dict(zip(findings, counts, strict=True)))
