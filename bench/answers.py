"""Answers that can be no: what the gate refuses, what conformal sets hold, how calibrated, from HILUM_DATA.

    HILUM_DATA=... python bench/answers.py gate              refusals of chest films, changed ones and other pictures
    HILUM_DATA=... python bench/answers.py prepare FOLDER    writes FOLDER/pool.csv and run.toml, to train on:
    hilum train FOLDER/pool.csv --out FOLDER/run --config FOLDER/run.toml
    HILUM_DATA=... python bench/answers.py sets FOLDER       coverage, set size, ECE, films with none of the findings
    HILUM_DATA=... python bench/answers.py chest FILMS       the same films by the chest model; FILMS: chest_films.py's

Of the pool's sources nih-ozturk had no part in the gate; lung-masks had one in its lungs only. Rates stand with 95 %
intervals (Wilson).
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from hilum.data.folder import read_dataset
from hilum.data.phantom import PHANTOM_FINDINGS, draw_phantom
from hilum.data.run_tables import read_splits
from hilum.data.walk import film_paths
from hilum.errors import HilumError
from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing
from hilum.film.radiograph import Radiograph
from hilum.judge.conformal import conformal_thresholds, set_figures
from hilum.judge.curves import expected_calibration_error
from hilum.judge.intervals import wilson_interval
from hilum.run.answer import Answer, softmax
from hilum.run.classifier import Classifier, judge_films
from hilum.run.gate import refusals

FINDINGS = ("Normal", "Covid-19", "Viral Pneumonia", "Bacterial Pneumonia")
MOST_PER_FINDING = 1050
CALIBRATED = 300  # films of each finding that make the sets, where calibration and test films are drawn anew
MOST_CHANGED = 400  # films of the sources that the gate has not seen, for every change
READ_PX = Preprocessing(size_px=224).decoded_px  # as the chest model has its films read
TOML = """\
[data]
validation_fraction = 0.3
test_fraction = 0.3

[fit]
epochs = 0
"""
Pixels = np.ndarray


def rate(count: int, num: int) -> str:
    """Return a share with its interval, as text."""
    low, high = wilson_interval(count, num)
    return f"{count / max(num, 1):6.1%} ({low:.1%}-{high:.1%}, {count} of {num})"


# --- the gate ---------------------------------------------------------------------------------------------------------


def films_of(data: Path) -> dict[str, list[Path]]:
    """Return chest films by source and other pictures by kind."""
    pool = read_dataset(data / "pool" / "manifest.csv")
    found = {source: [pool.root / r.path for r in pool.records if r.source == source] for source in
             sorted({record.source or "" for record in pool.records})}  # fmt: skip
    found["lung-masks"] = list(film_paths([data / "lung-masks" / "images"]))
    for name in ("covid19-image-dataset", "four-class", "dicom"):
        found[name] = list(film_paths([data / name]))
    for kind in sorted(path for path in (data / "not-chest").iterdir() if path.is_dir()):
        found[f"not-chest/{kind.name}"] = list(film_paths([kind]))
    return found


def codes_of(films: Iterable[Radiograph]) -> list[str]:
    """Return the first reason's code of every film, "" where it is let through."""
    return [next((reason.code for reason in refusals(film)), "") for film in films]


def radiograph(pixels: Pixels) -> Radiograph:
    """Return pixels as a film of their size."""
    clipped = np.ascontiguousarray(np.clip(pixels, 0, 1), np.float32)
    return Radiograph(clipped, "png", clipped.shape, 8)


def equalized(x: Pixels, clip: float = 0) -> Pixels:
    """Return a film with its histogram equalised, as a whole or in tiles."""
    levels = np.rint(x * 255).astype(np.uint8)
    done = cv2.createCLAHE(clip, (8, 8)).apply(levels) if clip else cv2.equalizeHist(levels)
    return done.astype(np.float32) / 255


def with_margins(x: Pixels, value: float) -> Pixels:
    """Return a film within margins of a quarter of its height and width, as on a screenshot."""
    height, width = (side // 8 for side in x.shape)
    return cv2.copyMakeBorder(x, height, height, width, width, cv2.BORDER_CONSTANT, value=value)


def window(x: Pixels, low: float, high: float) -> Pixels:
    """Return a film with grey values stretched between two quantiles."""
    a, b = np.quantile(x, [low, high])
    return (x - a) / max(b - a, 1e-3)


def whited(x: Pixels) -> Pixels:
    """Return a film with one lung white."""
    side = 1 / (1 + np.exp(-(np.linspace(0, 1, x.shape[1]) - 0.55) / 0.03))
    return x * (1 - side * 0.85) + np.quantile(x, 0.85) * side * 0.85


CHANGES: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {  # expected code, "" to be let through
    "as it is": ("", lambda x: x),
    "histogram equalised": ("", equalized),
    "CLAHE, clip 3": ("", lambda x: equalized(x, 3.0)),
    "gamma 0.5": ("", lambda x: x**0.5),
    "gamma 2": ("", lambda x: x**2),
    "window 10-90 %": ("", lambda x: window(x, 0.1, 0.9)),
    "contrast halved": ("", lambda x: 0.25 + 0.5 * x),
    "black margins": ("", lambda x: with_margins(x, 0.0)),
    "white margins": ("", lambda x: with_margins(x, 1.0)),
    "mirrored": ("", lambda x: x[:, ::-1]),
    "tilted by 10 degrees": ("", lambda x: cv2.warpAffine(
        x, cv2.getRotationMatrix2D((x.shape[1] / 2, x.shape[0] / 2), 10, 1), x.shape[::-1])),
    "64 px": ("", lambda x: cv2.resize(x, (64, 64), interpolation=cv2.INTER_AREA)),
    "one lung white": ("", whited),
    "turned by 90 degrees": ("rotated", lambda x: np.rot90(x, -1)),
    "turned by 180 degrees": ("rotated", lambda x: np.rot90(x, 2)),
    "turned by 270 degrees": ("rotated", lambda x: np.rot90(x, 1)),
    "inverted": ("inverted", lambda x: 1 - x),
    "left half": ("cut-off", lambda x: x[:, : x.shape[1] // 2]),
    "right half": ("cut-off", lambda x: x[:, x.shape[1] // 2 :]),
    "upper half": ("cut-off", lambda x: x[: x.shape[0] // 2]),
    "lower half": ("cut-off", lambda x: x[x.shape[0] // 2 :]),
    "lowest quarter missing": ("cut-off", lambda x: x[: x.shape[0] * 3 // 4]),
    "75 % black": ("overexposed", lambda x: window(x, 0.75, 0.99)),
    "75 % white": ("underexposed", lambda x: window(x, 0.01, 0.25)),
}  # fmt: skip


def measure_gate(data: Path) -> None:
    """Print what the gate refuses of films as they are, of changed films and of phantoms."""
    print("refused, by source")
    found = films_of(data)
    for name, paths in found.items():
        codes, unread = [], 0
        for path in paths:
            try:
                codes += codes_of([read_film(path, min_side_px=READ_PX)])
            except HilumError:
                unread += 1
        said = ", ".join(f"{code} {count}" for code, count in Counter(codes).most_common() if code)
        more = f"; {unread} cannot be read" if unread else ""
        print(f"  {name:24} {rate(sum(map(bool, codes)), len(codes))} {said}{more}", flush=True)
    rng = np.random.default_rng(0)
    for size_px in (64, 96, 256):
        drawn = [draw_phantom(str(rng.choice(PHANTOM_FINDINGS)), rng, size_px=size_px) for _ in range(200)]
        codes = codes_of(radiograph(film / 255) for film in drawn if min(film.shape) >= 64 or size_px > 64)
        print(f"  phantoms of {size_px:3} px        {rate(sum(map(bool, codes)), len(codes))} {Counter(codes)}")
    unseen = found["nih-ozturk"] + found["lung-masks"]
    chosen = [unseen[i] for i in rng.permutation(len(unseen))[:MOST_CHANGED]]
    films = [read_film(path, min_side_px=READ_PX).pixels for path in chosen]
    films = [film for film in films if not refusals(radiograph(film))]
    print(f"changed films of nih-ozturk and lung-masks, {len(films)} that are let through as they are")
    for name, (expected, change) in CHANGES.items():
        codes = codes_of(radiograph(change(film)) for film in films)
        refused = sum(map(bool, codes))
        if expected:
            right = sum(code == expected for code in codes)
            print(
                f"  {name:24} refused {rate(refused, len(codes))}; as {expected} {right / len(codes):.1%}", flush=True
            )
        else:
            said = ", ".join(f"{code} {count}" for code, count in Counter(codes).most_common() if code)
            print(f"  {name:24} refused {rate(refused, len(codes))} {said}", flush=True)


# --- sets and calibration ---------------------------------------------------------------------------------------------


def prepare(data: Path, folder: Path) -> None:
    """Write a manifest of the pool with the four findings in equal shares, and the settings to train with."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "pool"
    if not link.exists():
        link.symlink_to(data / "pool", target_is_directory=True)
    with (data / "pool" / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    rng, kept = np.random.default_rng(0), []
    for finding in FINDINGS:
        those = [row for row in rows if row["finding"] == finding]
        kept += [those[i] for i in rng.permutation(len(those))[:MOST_PER_FINDING]]
    with (folder / "pool.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("path", "finding", "patient", "source"))
        writer.writerows((f"pool/{r['path']}", r["finding"], r["patient"], r["source"]) for r in kept)
    (folder / "run.toml").write_text(TOML, encoding="utf-8")


def judge(classifier: Classifier, paths: Iterable[Path]) -> list[Answer]:
    """Return the answers of films that can be read."""
    return [answer for answer in judge_films(classifier, paths) if isinstance(answer, Answer)]


def is_no(answer: Answer) -> bool:
    """Return whether an answer is anything but one confident finding."""
    return not answer.accepted or len(answer.set) != 1


def resampled_coverage(run: Path, findings: tuple[str, ...]) -> None:
    """Print the coverage of sets made from 300 held-out films a finding on the others, over 100 draws."""
    group_of = {row.path: row.group for row in read_splits(run / "splits.csv")}
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    probabilities = np.array([[float(row[f"probability_{name}"]) for name in findings] for row in rows])
    truth = np.array([findings.index(row["finding"]) for row in rows])
    groups = np.array([group_of[row["path"]] for row in rows])
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        order = {group: place for place, group in enumerate(rng.permutation(np.unique(groups)))}
        places = np.array([order[group] for group in groups])
        used = np.zeros(truth.size, dtype=bool)
        for index in range(len(findings)):  # whole groups, in the order drawn, until 300 films of the finding are there
            mine = np.flatnonzero(truth == index)
            used |= (places <= np.sort(places[mine])[CALIBRATED - 1]) & (truth == index)
        rest = ~used & ~np.isin(groups, groups[used])
        limits = conformal_thresholds(probabilities[used], truth[used], findings)
        figures = set_figures(probabilities[rest], truth[rest], findings, limits)
        parts = [part.num_covered / part.n for part in figures.per_finding.values()]
        found.append((figures.num_covered / figures.n, figures.mean_size, figures.n, *parts))
    low, middle, high = np.quantile(found, [0.025, 0.5, 0.975], axis=0)
    print(f"sets from {CALIBRATED} films a finding, over 100 draws of calibration and test films (95 % of the draws):")
    for name, *values in zip(("coverage", "mean set size", "films judged", *findings), low, middle, high, strict=True):
        print(f"  {name:22} {values[1]:.3f} ({values[0]:.3f}-{values[2]:.3f})")


def measure_sets(data: Path, folder: Path) -> None:
    """Print coverage, set sizes, calibration, and the answers to films with none of the findings."""
    classifier = Classifier(folder / "run" / "model.onnx")
    names, limits = classifier.findings, classifier.metadata.conformal
    sources = {record.path: record.source for record in read_dataset(folder / "pool.csv").records}
    tested = [row for row in read_splits(folder / "run" / "splits.csv") if row.split == "test"]
    answers = judge(classifier, [folder / row.path for row in tested])
    truth = np.array([names.index(row.finding) for row in tested])
    logits = np.array([answer.logits for answer in answers])
    probabilities = np.array([list(answer.probabilities.values()) for answer in answers])
    print(f"accuracy {rate(int((probabilities.argmax(1) == truth).sum()), truth.size)}")
    figures = set_figures(probabilities, truth, names, limits)
    print(f"coverage at {classifier.metadata.coverage:.0%}: {rate(figures.num_covered, figures.n)}; "
          f"mean set size {figures.mean_size:.2f}; one finding {figures.num_single / figures.n:.1%}, "
          f"none {figures.num_empty / figures.n:.1%}")  # fmt: skip
    for name, part in figures.per_finding.items():
        print(f"  {name:22} {rate(part.num_covered, part.n)}, from {limits[name]['n']} films")
    raw = softmax(logits)
    rng, positions = np.random.default_rng(0), np.arange(truth.size)
    for label, scores in (("before", raw), ("after", probabilities)):
        drawn = [rng.choice(positions, truth.size) for _ in range(1000)]
        low, high = np.quantile([expected_calibration_error(scores[d], truth[d]) for d in drawn], [0.025, 0.975])
        error = expected_calibration_error(scores, truth)
        print(f"ECE {label:6} calibration {error:.4f} (bootstrap {low:.4f}-{high:.4f}); "
              f"temperature {classifier.metadata.temperature:.2f}")  # fmt: skip
    resampled_coverage(folder / "run", names)
    known = {"held-out films": answers}
    for source in sorted({sources[row.path] or "" for row in tested}):
        known[f"  of {source}"] = [a for a, row in zip(answers, tested, strict=True) if sources[row.path] == source]
    compare_refusals(data, classifier, known, new_hospital=True)


def measure_chest(data: Path, films: Path) -> None:
    """Print the answers of the chest model that ships, to its held-out films and to films with none of the findings."""
    classifier = Classifier(Path("chest"))
    with films.open(encoding="utf-8", newline="") as lines:
        held_out = [row for row in csv.DictReader(lines) if row["split"] == "test"]
    paths = [Path(row["path"]) for row in held_out if row["finding"] in classifier.findings]
    known = {"held-out films": judge(classifier, paths)}
    compare_refusals(data, classifier, known, new_hospital=False)


def compare_refusals(data: Path, classifier: Classifier, known: dict[str, list[Answer]], *, new_hospital: bool) -> None:
    """Print how often films are not answered with one finding, beside a plain softmax that says no as often.

    Args:
        data: HILUM_DATA.
        classifier: The model.
        known: Answers to films of the findings, those of all held-out films first.
        new_hospital: Whether the model knows no film of lung-masks.
    """
    parts = dict(known)
    masks = list(film_paths([data / "lung-masks" / "images"]))
    pool = read_dataset(data / "pool" / "manifest.csv")
    if new_hospital:
        parts["lung-masks, normal"] = judge(classifier, [path for path in masks if path.stem.endswith("_0")])
    parts["lung-masks, tuberculosis"] = judge(classifier, [path for path in masks if path.stem.endswith("_1")])
    parts["ieee8023, other findings"] = judge(
        classifier, [pool.root / r.path for r in pool.records if r.finding == "Other"]
    )
    pictures = [path for kind in sorted((data / "not-chest").iterdir()) if kind.is_dir() for path in film_paths([kind])]
    parts["not-chest"] = judge(classifier, pictures)
    top = {name: np.array([max(a.probabilities.values()) for a in part]) for name, part in parts.items()}
    pneumonias = set(FINDINGS[2:])
    ways: dict[str, Callable[[Answer], bool]] = {
        "refused": lambda a: not a.accepted,
        "refused, or neither one finding nor the two pneumonias alone": lambda a: is_no(a) and (
            not a.accepted or set(a.set) != pneumonias),
        "refused, or not one finding": is_no,
    }  # fmt: skip
    for way, says_no in ways.items():
        least = float(np.quantile(top["held-out films"], np.mean(list(map(says_no, parts["held-out films"])))))
        print(f"{way}; a plain softmax says no below {least:.3f}, as often of the held-out films")
        for name, part in parts.items():
            no, soft = sum(map(says_no, part)), int((top[name] < least).sum())
            print(f"  {name:26} {rate(no, len(part)):34} softmax {rate(soft, len(part))}")


def main() -> None:
    """Run the part that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("gate", "prepare", "sets", "chest"))
    parser.add_argument("folder", type=Path, nargs="?")
    chosen, data = parser.parse_args(), Path(os.environ["HILUM_DATA"])
    if chosen.part == "gate":
        measure_gate(data)
    elif chosen.folder is None:
        parser.error("name the folder")
    elif chosen.part == "prepare":
        prepare(data, chosen.folder)
    elif chosen.part == "chest":
        measure_chest(data, chosen.folder)
    else:
        measure_sets(data, chosen.folder)


if __name__ == "__main__":
    main()
