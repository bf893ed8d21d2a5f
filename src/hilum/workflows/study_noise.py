"""`hilum study noise`: does taking noise out of films help a classifier, and what does it cost?

Film quality is measured on known noise and on phantoms of known anatomy. The classifier is a head on frozen features
(nothing deep is trained, so that a method's change is not drowned in chance), on the same folds for every method:
fitted on clean films and shown denoised ones, or fitted on denoised ones too. Noise is added at the network's size.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console
from hilum.files import replace_array
from hilum.film.denoise import LEAST_NOISE, METHODS, Method, apply_method, estimate_noise
from hilum.film.preprocess import Preprocessing, equalized
from hilum.judge.intervals import grouped_mean
from hilum.judge.shortcuts.occlusion import FILL, centre_of, without_shift
from hilum.judge.study.changes import change_of, figures_of_answers
from hilum.judge.study.image_quality import (
    DOSES,
    add_noise,
    edge_sharpness,
    edges_kept,
    fidelity,
    residual_likeness,
    rib_contrast,
)
from hilum.judge.study.noise_verdict import choose_method, judge_method
from hilum.report.study_noise import Example, noise_page
from hilum.run.answer import softmax
from hilum.run.engine import Engine
from hilum.train.batches import Films
from hilum.train.prepared import prepare_films
from hilum.train.study.common import Study, prepare_outside
from hilum.train.study.frozen import FrozenHeads, features_of, fit_heads, frozen_engine
from hilum.train.study.settings import StudySettings, chosen_names

__all__ = ["study_noise"]

_BACKBONE = "efficientnet-lite0"
_SIZE_PX = 224
_JUDGED_FILMS = 24  # for image quality
_QUALITY_DOSE = "medium"
_OUTSIDE_DOSE = "medium"
_CHECKED_FILMS = 8
_AT_ONCE = 64
_TRAINED_ON_NOISE = "noise in training"


def study_noise(
    data: Path,
    out: Path,
    settings: StudySettings,
    *,
    external: Path | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Compare ways of taking noise out of films, and leave study.json and report.html in a folder.

    Args:
        data: The data set; its test part has no part in this.
        out: The study's folder; an unfinished study of the same films and settings is gone on with.
        settings: How thoroughly it looks; ``epochs`` has no meaning here.
        external: Films of other sources.
        overwrite: Whether an earlier study is replaced.
        console: Where messages and progress go.

    Returns:
        What study.json holds.

    Raises:
        InputError: The films or the folder cannot be used.
        ConfigError: A method or number is not known or out of range.
    """
    names = ("none", *chosen_names(settings.only, "noise"))
    return _NoiseStudy(
        Study("noise", data, out, settings, external=external, overwrite=overwrite, console=console), names
    ).run()


class _NoiseStudy:
    def __init__(self, study: Study, names: tuple[str, ...]) -> None:
        self.study, self.names, self.console = study, names, study.console
        settings = study.settings
        self.backbone = settings.backbones[0] if settings.backbones else _BACKBONE
        self.size_px = settings.sizes_px[0] if settings.sizes_px else _SIZE_PX

    def run(self) -> dict[str, Any]:
        study, console = self.study, self.console
        window = Preprocessing(size_px=self.size_px, equalize=False)
        self.prepared = prepare_films(study.data, window, console=console)
        self.outside = (
            prepare_outside(study.external, self.prepared, window, console=console) if study.external else None
        )
        study.open(
            self.prepared,
            self.outside,
            {"methods": self.names, "backbone": self.backbone, "size_px": self.size_px},
        )
        self.folds = study.folds(self.prepared)
        self.positions = np.flatnonzero(self.folds >= 0)
        self.engine = self._engine()
        parts = ["in_house", *(["external"] if self.outside else [])]
        with console.bar(f"Comparing {len(self.names) - 1} methods", len(self.names) * (len(parts) + 2)) as done:
            quality = {}
            for name in self.names:
                quality[name] = study.remembered(lambda name=name: self._quality(METHODS[name]), "quality", name)  # type: ignore[misc]
                done(1)
            for name in self.names:
                for part in parts:
                    for condition in self._conditions(part):
                        self._features(name, part, condition)
                    done(1)
            rows, told = [], {}
            none = self._heads("none")
            for name in self.names:
                heads = none if name == "none" else self._heads(name)
                rows.append(self._row(name, quality[name], none, heads))
                done(1)
        for row in rows[1:]:
            row["verdict"] = judge_method(row, rows[0])
        noisy = {part: float((self._noises(part, "clean") >= LEAST_NOISE).mean()) for part in parts}
        told = {
            "these films": noisy["in_house"],
            **({"the films of other sources": noisy["external"]} if self.outside else {}),
        }
        figures = {
            **study.facts(self.prepared, self.outside),
            "backbone": self.backbone,
            "size_px": self.size_px,
            "doses": dict(DOSES),
            "noise": self._noise_figures(),
            "share_noisy": noisy,
            "least_noise": LEAST_NOISE,
            "methods": rows,
            _TRAINED_ON_NOISE.replace(" ", "_"): self._trained_on_noise(none),
            "verdict": choose_method(rows, told),
        }
        study.finish(figures, noise_page(figures, self._examples()))
        return figures

    # --- films ------------------------------------------------------------------------------------------------------

    def _conditions(self, part: str) -> tuple[str, ...]:
        return ("clean", *DOSES, "border") if part == "in_house" else ("clean", _OUTSIDE_DOSE)

    def _films(self, part: str) -> Films:
        return (
            self.prepared.films.subset(self.positions) if part == "in_house" or not self.outside else self.outside.films
        )

    def _film(self, part: str, position: int, condition: str) -> np.ndarray:
        """Return one film (S, S) float32, stretched to [0, 1], with the condition's noise, not equalised."""
        film = self._films_of[part].pixels[position].astype(np.float32)
        if condition in DOSES:
            chance = np.random.default_rng([list(DOSES).index(condition), part == "external", position])
            film = add_noise(film, DOSES[condition], chance)
        return film

    def _noises(self, part: str, condition: str) -> np.ndarray:
        """Return the noise found in each film (n,), as the option finds it."""
        kept = self.study.folder("noise") / f"{part}-{condition}.npy"
        if not kept.exists():
            count = len(self._films_of[part])
            replace_array(kept, np.array([estimate_noise(self._film(part, at, condition)) for at in range(count)]))
        return np.load(kept, allow_pickle=False)

    def _engine(self) -> Engine:
        self._films_of = {"in_house": self._films("in_house")}
        if self.outside:
            self._films_of["external"] = self.outside.films
        some = self._films_of["in_house"].pixels[:_CHECKED_FILMS].astype(np.float32)
        films = np.stack([equalized(film) for film in some])[:, np.newaxis]
        path = self.study.work / "frozen.onnx"
        return frozen_engine(self.backbone, self.prepared.findings, Preprocessing(size_px=self.size_px), films, path)

    def _features(self, name: str, part: str, condition: str) -> np.ndarray:
        """Return the features (n, D) of a part's films after a method, computed once."""
        kept = self.study.folder("features", name) / f"{part}-{condition}.npy"
        if not kept.exists():
            shown = "clean" if condition == "border" else condition
            noises = self._noises(part, shown)
            chosen = np.arange(len(noises))
            if self._only_noisy(name, part, condition):
                chosen = np.flatnonzero(noises >= LEAST_NOISE)
            inside = centre_of(self._films_of[part].pixels.shape[1:])
            rows = []
            for start in range(0, len(chosen), _AT_ONCE):
                films = []
                for at in chosen[start : start + _AT_ONCE]:
                    film = equalized(apply_method(self._film(part, at, shown), name, noises[at]))
                    films.append(np.where(inside, FILL, film) if condition == "border" else film)
                rows.append(features_of(self.engine, np.stack(films)))
            if len(chosen) < len(noises):
                features = self._features("none", part, condition).copy()
                features[chosen] = np.concatenate(rows) if rows else features[chosen]
            else:
                features = np.concatenate(rows)
            replace_array(kept, features)
        return np.load(kept, allow_pickle=False)

    def _only_noisy(self, name: str, part: str, condition: str) -> bool:
        """Return whether clean films are left alone in any case: elsewhere they are not denoised by force, for time."""
        return part == "external" and condition == "clean" and name != "none" and METHODS[name].kind == "denoise"

    def _option(self, name: str, part: str, condition: str) -> np.ndarray:
        """Return the features after the method as the preprocessing has it: clean films are left alone."""
        features = self._features(name, part, condition)
        if METHODS[name].kind != "denoise":
            return features
        noisy = self._noises(part, condition) >= LEAST_NOISE
        return np.where(noisy[:, np.newaxis], features, self._features("none", part, condition))

    # --- the classifier ---------------------------------------------------------------------------------------------

    def _heads(self, name: str, *, noisy_too: bool = False) -> FrozenHeads:
        more = self._spread(self._features(name, "in_house", _QUALITY_DOSE)) if noisy_too else None
        return fit_heads(self.prepared, self.folds, self._spread(self._features(name, "in_house", "clean")), more=more)

    def _spread(self, features: np.ndarray) -> np.ndarray:
        """Return features (n, D) of all films of the data set, zeros for those of the test part."""
        spread = np.zeros((len(self.prepared.records), features.shape[1]), np.float32)
        spread[self.positions] = features
        return spread

    def _logits(self, heads: FrozenHeads, features: np.ndarray) -> np.ndarray:
        return heads.held_out(self._spread(features))[self.positions]  # (n, K)

    def _answers(self, part: str, heads: FrozenHeads, features: np.ndarray) -> np.ndarray:
        """Return probabilities (n, K)."""
        if part == "external" and self.outside:
            return heads.outside(features, self.outside.columns)
        return softmax(self._logits(heads, features))

    def _truth(self, part: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        if part == "external" and self.outside:
            return self.outside.films.labels, self.outside.groups, self.outside.findings
        positions = self.positions
        return self.prepared.films.labels[positions], self.prepared.scan.groups[positions], self.prepared.findings

    def _changes(self, part: str, name: str, none: FrozenHeads, heads: FrozenHeads) -> dict[str, Any]:
        """Return, for every condition, the figures without the method and the changes that it makes."""
        truth, groups, findings = self._truth(part)
        told: dict[str, Any] = {}
        for condition in self._conditions(part):
            if condition == "border":
                continue
            before = self._answers(part, none, self._features("none", part, condition))
            forced = self._features(name, part, condition)
            ways = {
                "option": (none, self._option(name, part, condition)),
                "test_only": (none, forced),
                "both": (heads, forced),
            }
            told[condition] = {
                "figures": figures_of_answers(truth, self._answers(part, none, ways["option"][1]), groups, findings)
            }
            if self._only_noisy(name, part, condition):
                ways = {"option": ways["option"]}
            if name != "none":
                told[condition] |= {
                    way: change_of(truth, before, self._answers(part, fitted, features), groups)
                    for way, (fitted, features) in ways.items()
                }
        return told

    def _shortcuts(self, heads: FrozenHeads, name: str) -> np.ndarray:
        """Return by how much the whole film is right more often than its border (n,), without the common shift."""
        shown = [self._logits(heads, self._features(name, "in_house", part)) for part in ("clean", "border")]
        truth = self._truth("in_house")[0]
        right = without_shift(np.stack(shown, axis=1)).argmax(axis=2) == truth[:, None]
        return right[:, 0].astype(float) - right[:, 1]

    def _row(self, name: str, quality: dict[str, Any], none: FrozenHeads, heads: FrozenHeads) -> dict[str, Any]:
        method, groups = METHODS[name], self._truth("in_house")[1]
        excess, without = self._shortcuts(heads, name), self._shortcuts(none, "none")
        return {
            "name": name,
            "title": method.title,
            "settings": method.settings,
            "kind": method.kind,
            "served": method.served,
            **quality,
            "changes": {
                "in_house": self._changes("in_house", name, none, heads),
                "external": self._changes("external", name, none, heads) if self.outside else None,
            },
            "shortcuts": {
                "excess_over_border": grouped_mean(excess, groups, limits=(-1, 1)),
                "change": grouped_mean(excess - without, groups, limits=(-2, 2)),
            },
        }

    def _trained_on_noise(self, none: FrozenHeads) -> dict[str, Any]:
        """Return the changes where a head also learns from noisy copies, and nothing is taken out."""
        heads = self._heads("none", noisy_too=True)
        told: dict[str, Any] = {}
        for part in self._films_of:
            truth, groups, _ = self._truth(part)
            told[part] = {}
            for condition in self._conditions(part):
                if condition != "border":
                    features = self._features("none", part, condition)
                    before, after = (self._answers(part, one, features) for one in (none, heads))
                    told[part][condition] = change_of(truth, before, after, groups)
        return told

    # --- the films themselves ---------------------------------------------------------------------------------------

    def _quality(self, method: Method) -> dict[str, Any]:
        """Return what a method does to films whose noise is known."""
        count = len(self._films_of["in_house"])
        chosen = np.sort(np.random.default_rng(0).permutation(count)[:_JUDGED_FILMS])
        clean = [self._film("in_house", at, "clean") for at in chosen]

        def clean_up(film: np.ndarray, noise: float) -> np.ndarray:
            return apply_method(film, method.name, noise)

        scores: dict[str, Any] = {}
        seconds = []
        likeness = []
        for dose in DOSES:
            found = []
            for at, film in zip(chosen, clean, strict=True):
                noisy = self._film("in_house", at, dose)
                began = time.process_time()
                cleaned = clean_up(noisy, estimate_noise(noisy))
                seconds.append(time.process_time() - began)
                found.append(fidelity(film, cleaned))
                if dose == _QUALITY_DOSE:
                    likeness.append(residual_likeness(film, noisy, cleaned))
            scores[dose] = {key: float(np.mean([one[key] for one in found])) for key in ("psnr", "ssim")}
        harmed = [clean_up(film, estimate_noise(film)) for film in clean]
        return {
            "n_quality": len(clean),
            "fidelity": scores,
            "clean": {
                "psnr": float(np.mean([fidelity(film, one)["psnr"] for film, one in zip(clean, harmed, strict=True)])),
                "edges_kept": float(np.mean([edges_kept(film, one) for film, one in zip(clean, harmed, strict=True)])),
            },
            "structure": {
                "rib_contrast": rib_contrast(clean_up, DOSES[_QUALITY_DOSE]),
                "mtf50": edge_sharpness(clean_up, DOSES[_QUALITY_DOSE]),
                "mtf50_clean": edge_sharpness(clean_up, None),
            },
            "residual_likeness": float(np.mean(likeness)),
            "milliseconds": 1000 * float(np.median(seconds)),
        }

    def _noise_figures(self) -> dict[str, Any]:
        """Return the median of the noise found and put in, by condition."""
        told = {}
        for condition in ("clean", *DOSES):
            found = self._noises("in_house", condition)
            put = [
                float((self._film("in_house", at, condition) - self._film("in_house", at, "clean")).std())
                for at in range(min(_JUDGED_FILMS, len(found)))
            ]
            told[condition] = {
                "found": float(np.median(found)),
                "highest": float(found.max()),
                "put_in": float(np.median(put)),
            }
        return told

    def _examples(self) -> list[Example]:
        """Return one film, noisy, after every method, and what was taken out."""
        at = int(np.random.default_rng(0).permutation(len(self._films_of["in_house"]))[0])
        clean, noisy = self._film("in_house", at, "clean"), self._film("in_house", at, "low")
        shown = [Example("Without noise", clean, None)]
        for name in self.names:
            cleaned = apply_method(noisy, name, estimate_noise(noisy))
            shown.append(Example("With noise" if name == "none" else METHODS[name].title, cleaned, noisy - cleaned))
        return shown
