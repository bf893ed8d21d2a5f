"""Measures the variants of `hilum study noise`: what a method does to films, and to a classifier's answers.

The classifier is a head on frozen features: nothing deep is trained, so chance does not hide a method's effect. Every
method is judged on the same folds. The head is fitted on clean films and shown denoised ones, or fitted on denoised
ones too. Noise is added at the network's size. Features are kept in the study's folder, so that a killed study
continues.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hilum.figures import from_json, to_json
from hilum.files import replace_array, replace_file
from hilum.film.denoise import LEAST_NOISE, METHODS, apply_method, estimate_noise
from hilum.film.preprocess import equalized
from hilum.judge.image_quality import DOSES, Quality, add_noise, measure_quality
from hilum.judge.intervals import grouped_mean
from hilum.judge.shortcuts.occlusion import FILL, centre_of, without_shift
from hilum.judge.study import Change, change_of, figures_of_answers
from hilum.judge.study_result import Condition, Conditions, MethodRow, NoiseResult
from hilum.judge.study_verdict import judge_methods
from hilum.report.study import Picture
from hilum.run.answer import softmax
from hilum.train.calibration import features_of
from hilum.train.study_fit import StudyFilms, frozen_engine
from hilum.train.study_heads import FrozenHeads, fit_heads
from hilum.train.study_variants import Variant
from hilum.workflows.study_run import Study

__all__ = ["NoiseStudy", "study_noise"]

_JUDGED_FILMS = 24  # for image quality
_NOISY_COPIES = "medium"  # the dose of the copies that a head may learn from
_CONDITIONS = {"in_house": ("clean", *DOSES), "external": ("clean", "medium")}
_CHECKED_FILMS = 8
_AT_ONCE = 64


class NoiseStudy:
    """The films of a study under every dose of noise, and what becomes of them with a method.

    Args:
        films: The study's films, stretched to [0, 1] and not equalised.
        variants: The methods; the first is none.
        work: The study's `.work`.
    """

    def __init__(self, films: StudyFilms, variants: Sequence[Variant], work: Path) -> None:
        self.films, self.variants, self.work = films, variants, work
        self.positions = np.flatnonzero(films.folds >= 0)
        self._films = {"in_house": films.prepared.films.subset(self.positions)}
        if films.outside is not None:
            self._films["external"] = films.outside.films
        some = np.stack([equalized(self._film("in_house", at, "clean")) for at in range(_CHECKED_FILMS)
                         if at < len(self._films["in_house"])])[:, np.newaxis]  # fmt: skip
        self._engine = frozen_engine(variants[0].config, films.prepared.findings, some, work / "frozen.onnx")
        self._plain = self._heads("none")

    @property
    def share_noisy(self) -> dict[str, float]:
        """By set of films, the share in which noise is found as they are."""
        return {part: float((self._noises(part, "clean") >= LEAST_NOISE).mean()) for part in self._films}

    def row(self, variant: Variant) -> MethodRow:
        """Return a method's figures."""
        method = METHODS[variant.method]
        quality = self._quality(method.name)
        heads = self._plain if method.name == "none" else self._heads(method.name)
        lead, plain_lead = self._lead(heads, method.name), self._lead(self._plain, "none")
        groups = self._truth("in_house")[1]
        external = self._conditions("external", method.name, heads) if "external" in self._films else None
        return MethodRow(
            **{field.name: getattr(quality, field.name) for field in dataclasses.fields(quality)},
            name=method.name,
            title=method.title,
            settings=method.settings,
            kind=method.kind,
            served=method.served,
            changes=Conditions(self._conditions("in_house", method.name, heads), external),
            shortcuts={
                "excess_over_border": grouped_mean(lead, groups, limits=(-1, 1)),
                "change": grouped_mean(lead - plain_lead, groups, limits=(-2, 2)),
            },
        )

    def trained_on_noise(self) -> dict[str, dict[str, Change]]:
        """Return the changes if a head also learns from noisy copies and nothing is taken out."""
        heads = self._heads("none", noisy_too=True)
        told: dict[str, dict[str, Change]] = {}
        for part in self._films:
            truth, groups, _ = self._truth(part)
            for condition in _CONDITIONS[part]:
                features = self._features("none", part, condition)
                before, after = (self._answers(part, one, features) for one in (self._plain, heads))
                told.setdefault(part, {})[condition] = change_of(truth, before, after, groups)
        return told

    def noise_figures(self) -> dict[str, dict[str, float]]:
        """Return by dose the median of the noise found and put in, and the highest that was found."""
        told = {}
        for condition in _CONDITIONS["in_house"]:
            found = self._noises("in_house", condition)
            some = range(min(_JUDGED_FILMS, len(found)))
            put = [(self._film("in_house", at, condition) - self._film("in_house", at, "clean")).std() for at in some]
            told[condition] = {
                "found": float(np.median(found)),
                "highest": float(found.max()),
                "put_in": float(np.median(put)),
            }
        return told

    def pictures(self) -> list[Picture]:
        """Return one film, noisy, after every method, and what was taken out."""
        at = int(np.random.default_rng(0).permutation(len(self.positions))[0])
        noisy = self._film("in_house", at, "low")
        shown = [Picture("Without noise", self._film("in_house", at, "clean"))]
        for variant in self.variants:
            cleaned = apply_method(noisy, variant.method, estimate_noise(noisy))
            title = "With noise" if variant.method == "none" else variant.title
            shown.append(Picture(title, cleaned, noisy - cleaned))
        return shown

    # --- films ------------------------------------------------------------------------------------------------------

    def _film(self, part: str, position: int, condition: str) -> np.ndarray:
        """Return one film (S, S) float32, stretched to [0, 1], with the condition's noise, not equalised."""
        film = self._films[part].pixels[position].astype(np.float32)
        if condition in DOSES:
            rng = np.random.default_rng([list(DOSES).index(condition), part == "external", position])
            film = add_noise(film, DOSES[condition], rng)
        return film

    def _kept(self, path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return an array that an earlier try has left, or make it and leave it."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_array(path, make())
        return np.asarray(np.load(path, allow_pickle=False))

    def _noises(self, part: str, condition: str) -> np.ndarray:
        """Return the noise (n,) found in a part's films."""
        count = len(self._films[part])
        return self._kept(
            self.work / "noise" / f"{part}-{condition}.npy",
            lambda: np.array([estimate_noise(self._film(part, at, condition)) for at in range(count)]),
        )

    def _quality(self, method: str) -> Quality:
        path = self.work / "quality" / f"{method}.json"
        if not path.exists():
            count = len(self.positions)
            chosen = np.sort(np.random.default_rng(0).permutation(count)[:_JUDGED_FILMS])
            films = {one: [self._film("in_house", at, one) for at in chosen] for one in _CONDITIONS["in_house"]}
            quality = measure_quality(films.pop("clean"), films, lambda film, noise: apply_method(film, method, noise))
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, json.dumps(to_json(quality)))
        return from_json(Quality, json.loads(path.read_text(encoding="utf-8")))

    # --- features ---------------------------------------------------------------------------------------------------

    def _features(self, method: str, part: str, condition: str) -> np.ndarray:
        """Return the features (n, D) of a part's films after a method, whatever their noise; "border": no centre."""
        return self._kept(
            self.work / "features" / method / f"{part}-{condition}.npy",
            lambda: self._make_features(method, part, condition),
        )

    def _make_features(self, method: str, part: str, condition: str) -> np.ndarray:
        shown = "clean" if condition == "border" else condition
        noises = self._noises(part, shown)
        chosen = np.arange(len(noises))
        if self._is_option_only(method, part, condition):
            chosen = np.flatnonzero(noises >= LEAST_NOISE)
        centre = centre_of(self._films[part].pixels.shape[1:])
        rows = []
        for start in range(0, len(chosen), _AT_ONCE):
            films = []
            for at in chosen[start : start + _AT_ONCE]:
                film = equalized(apply_method(self._film(part, at, shown), method, noises[at]))
                films.append(np.where(centre, FILL, film) if condition == "border" else film)
            rows.append(features_of(self._engine, np.stack(films)))
        if len(chosen) == len(noises):
            return np.concatenate(rows)
        features = self._features("none", part, condition).copy()
        if rows:
            features[chosen] = np.concatenate(rows)
        return features

    def _is_option_only(self, method: str, part: str, condition: str) -> bool:
        """Return whether clean films are left alone in any case: elsewhere they are not denoised by force, for time."""
        return part == "external" and condition == "clean" and method != "none" and METHODS[method].kind == "denoise"

    def _option(self, method: str, part: str, condition: str) -> np.ndarray:
        """Return the features after the method as the preprocessing has it: clean films are left alone."""
        features = self._features(method, part, condition)
        if METHODS[method].kind != "denoise":
            return features
        noisy = self._noises(part, condition) >= LEAST_NOISE
        return np.where(noisy[:, np.newaxis], features, self._features("none", part, condition))

    # --- the classifier ---------------------------------------------------------------------------------------------

    def _heads(self, method: str, *, noisy_too: bool = False) -> FrozenHeads:
        more = self._spread(self._features(method, "in_house", _NOISY_COPIES)) if noisy_too else None
        return fit_heads(self.films, self._spread(self._features(method, "in_house", "clean")), more=more)

    def _spread(self, features: np.ndarray) -> np.ndarray:
        """Return features (n, D) of all films of the data set, zeros for those of the test part."""
        spread = np.zeros((len(self.films.folds), features.shape[1]), np.float32)
        spread[self.positions] = features
        return spread

    def _logits(self, heads: FrozenHeads, features: np.ndarray) -> np.ndarray:
        return heads.held_out(self._spread(features))[self.positions]  # (n, K)

    def _answers(self, part: str, heads: FrozenHeads, features: np.ndarray) -> np.ndarray:
        """Return probabilities (n, K)."""
        outside = self.films.outside
        if part == "external" and outside is not None:
            return heads.outside(features, outside.columns)
        return np.asarray(softmax(self._logits(heads, features)))

    def _truth(self, part: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Return labels (n,), groups (n,) and findings of a part's films."""
        prepared, outside = self.films.prepared, self.films.outside
        if part == "external" and outside is not None:
            return outside.films.labels, outside.groups, outside.findings
        return prepared.films.labels[self.positions], prepared.scan.groups[self.positions], prepared.findings

    def _conditions(self, part: str, method: str, heads: FrozenHeads) -> dict[str, Condition]:
        """Return by dose the figures with a method, and the changes that it makes."""
        truth, groups, findings = self._truth(part)
        told: dict[str, Condition] = {}
        for dose in _CONDITIONS[part]:
            option, forced = self._option(method, part, dose), self._features(method, part, dose)
            answers = self._answers(part, self._plain, option)
            ways = {"option": answers}
            if not self._is_option_only(method, part, dose):
                ways["test_only"] = self._answers(part, self._plain, forced)
                ways["both"] = self._answers(part, heads, forced)
            before = self._answers(part, self._plain, self._features("none", part, dose))
            changes = {} if method == "none" else {
                way: change_of(truth, before, after, groups) for way, after in ways.items()
            }  # fmt: skip
            told[dose] = Condition(figures_of_answers(truth, answers, groups, findings), **changes)
        return told

    def _lead(self, heads: FrozenHeads, method: str) -> np.ndarray:
        """Return by how much the whole film is right more often than its border (n,), without the common shift."""
        shown = [self._logits(heads, self._features(method, "in_house", part)) for part in ("clean", "border")]
        right = without_shift(np.stack(shown, axis=1)).argmax(axis=2) == self._truth("in_house")[0][:, np.newaxis]
        return right[:, 0].astype(float) - right[:, 1]


def study_noise(study: Study, done: Callable[[float], None]) -> tuple[NoiseResult, list[Picture]]:
    """Return what study.json of a study of noise holds, and one film after every method.

    Args:
        study: The study.
        done: Called after each variant.
    """
    config = study.variants[0].config
    noise = NoiseStudy(study.films(config.preprocessing), study.variants, study.work)
    rows = []
    for variant in study.variants:
        rows.append(noise.row(variant))
        done(1)
    judged, verdict = judge_methods(rows, noise.share_noisy)
    result = NoiseResult(
        **study.facts(),  # type: ignore[arg-type]
        verdict=verdict,
        remarks=[
            f"The classifier is a logistic regression on the frozen features of {config.backbone} at "
            f"{config.preprocessing.size_px} px, the first stage of training.",
            "Noise is added at the network's size: counted quanta and electronics, more in dense parts. The noise of a "
            "real detector is also blurred when the film is reduced.",
            "Only methods that need no more than OpenCV and NumPy can become the setting preprocessing.denoise, as a "
            "model file is served wherever hilum runs. Wavelets and total variation are here for comparison.",
            "CLAHE changes contrast. It is shown beside the others and cannot be chosen.",
        ],
        backbone=config.backbone,
        size_px=config.preprocessing.size_px,
        doses=dict(DOSES),
        noise=noise.noise_figures(),
        share_noisy=noise.share_noisy,
        least_noise=LEAST_NOISE,
        methods=judged,
        noise_in_training=noise.trained_on_noise(),
    )
    return result, noise.pictures()
