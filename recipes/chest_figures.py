"""What the chest model scores on films that it has not learned from, by source.

    HILUM_DATA=... python recipes/chest_figures.py --films DIR/chest.csv [--model MODEL] [--run DIR/run]
    HILUM_DATA=... python recipes/chest_figures.py --films DIR/chest.csv [--model MODEL] --validation DIR/run

The held-out films of the manifest (chest_films.py); the test parts of covid19-image-dataset, with the findings of their
sources, and of four-class; the answers with the lungs hidden. Intervals: Wilson for shares, a bootstrap of films for
AUROC. With `--run`, the folder of the run, no film counts that the starting weights have learned from. With
`--validation`, the folder of a run, its validation films alone: by these one model is chosen from several. Needs the
extra `train`.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from chest_films import FINDING_AT_SOURCE, four_class_films
from sklearn.metrics import roc_auc_score

from hilum.data.folder import FilmRecord, read_dataset
from hilum.data.run_tables import read_splits
from hilum.findings import standard_name
from hilum.judge.intervals import wilson_interval
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.judge.shortcuts.occlusion import CUES, cue_films, without_shift
from hilum.run.classifier import Classifier

COVID, NORMAL, VIRAL, BACTERIAL = "Covid-19", "Normal", "Viral Pneumonia", "Bacterial Pneumonia"
OTHER = "Other abnormality"
RESAMPLES = 1000
SEED_SET = "covid19-image-dataset"
ADULTS = ("siim", "nih-ozturk", "nih-effusion", "montgomery", "shenzhen")  # sources whose Normal films are adults'


def share(right: int, films: int) -> str:
    """Return a share with its interval."""
    if not films:
        return "no films"
    low, high = wilson_interval(right, films)
    return f"{right} of {films} = {right / films:.1%} ({low:.1%} to {high:.1%})"


def area(positive: np.ndarray, scores: np.ndarray) -> str:
    """Return an AUROC with its interval."""
    rng = np.random.default_rng(0)
    sides = np.flatnonzero(positive), np.flatnonzero(~positive)
    if not all(len(side) for side in sides):
        return "one side only"
    drawn = [np.concatenate([rng.choice(side, len(side)) for side in sides]) for _ in range(RESAMPLES)]
    low, high = np.quantile([roc_auc_score(positive[one], scores[one]) for one in drawn], (0.025, 0.975))
    return f"{roc_auc_score(positive, scores):.3f} ({low:.3f} to {high:.3f}, {len(sides[0])} against {len(sides[1])})"


def judge(classifier: Classifier, records: Sequence[FilmRecord]) -> LabelledPredictions:
    """Return the model's answers."""
    return judge_records(classifier, Path("/"), records, known_only=False)


def held_out(films: Path, run: Path | None = None) -> list[FilmRecord]:
    """Return the films of the manifest that were held out; of these, where a run is given, those that it counts."""
    with films.open(encoding="utf-8", newline="") as lines:
        held = [
            FilmRecord(row["path"], row["finding"], None, row["patient"] or None, row["source"])
            for row in csv.DictReader(lines)
            if row["split"] == "test"
        ]
    if run is None:
        return held
    root = read_dataset(films).root
    with (run / "predictions.csv").open(encoding="utf-8", newline="") as lines:
        counted = {str(root / row["path"]) for row in csv.DictReader(lines) if row["part"] == "test"}
    return [record for record in held if record.path in counted]


def validated(films: Path, run: Path) -> list[FilmRecord]:
    """Return the films of the manifest that a run validated on."""
    dataset = read_dataset(films)
    chosen = {row.path for row in read_splits(run / "splits.csv") if row.split == "validation"}
    found = [
        dataclasses.replace(record, path=str(dataset.root / record.path))
        for record in dataset.records
        if record.path in chosen
    ]
    if len(found) != len(chosen):
        raise SystemExit(f"{run} validated on {len(chosen)} films; {films} lists {len(found)} of them.")
    return found


def seed_test(data: Path) -> list[tuple[FilmRecord, str]]:
    """Return the test films of the seed set: the record with its source's finding, and the finding by its folder."""
    found = []
    with (data / "provenance" / f"{SEED_SET}.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["path"].startswith("test/"):
                nominal = standard_name(row["path"].split("/")[1])
                said = FINDING_AT_SOURCE.get(row["source_finding"], "") if row["matched"] == "1" else ""
                record = FilmRecord(str(data / SEED_SET / row["path"]), said or nominal, None)
                found.append((record, nominal))
    return found


def at_threshold(called: np.ndarray, findings: np.ndarray) -> str:
    """Return how many Covid-19 films are called so at the shipped threshold, and how many Normal films are not."""
    sick, well = called[findings == COVID], ~called[findings == NORMAL]
    return f"{share(int(sick.sum()), len(sick))} Covid-19 films, {share(int(well.sum()), len(well))} Normal films"


def by_source(verdicts: LabelledPredictions, threshold: float) -> None:
    """Print the figures of each source and those across sources; the threshold is that of Covid-19."""
    sources = np.array([record.source for record in verdicts.records])
    names, findings = list(verdicts.findings), np.array([record.finding for record in verdicts.records])
    scores, likeliest = verdicts.probabilities, verdicts.probabilities.argmax(axis=1)
    for source in sorted(set(sources)):
        here = (sources == source) & (verdicts.truth >= 0)
        print(f"{source}: {share(int((likeliest[here] == verdicts.truth[here]).sum()), int(here.sum()))} right")
        covid_or_normal = here & np.isin(findings, (COVID, NORMAL))
        if len(set(findings[covid_or_normal])) == 2:
            log_ratio = np.log(scores[:, names.index(COVID)]) - np.log(scores[:, names.index(NORMAL)])
            found = area(findings[covid_or_normal] == COVID, log_ratio[covid_or_normal])
            print(f"  Covid-19 against Normal, AUROC: {found}")
        normal = here & (findings == NORMAL)
        if normal.any():
            called = int((likeliest[normal] == names.index(COVID)).sum())
            print(f"  Normal films called Covid-19: {share(called, int(normal.sum()))}")
    called = scores[:, names.index(COVID)] >= threshold
    print(f"right at the shipped threshold of Covid-19: {at_threshold(called, findings)}")
    largest = sources == "radiography-db"
    print(f"  within radiography-db: {at_threshold(called[largest], findings[largest])}")
    adults = np.isin(sources, ADULTS) & (findings == NORMAL)
    said = int((likeliest[adults] == names.index(COVID)).sum())
    print(f"Normal films of {', '.join(ADULTS)} called Covid-19: {share(said, int(adults.sum()))}")
    other_diseases(verdicts, sources, findings)
    kermany = sources == "kermany"
    found = area(findings[kermany] != NORMAL, 1 - scores[kermany, names.index(NORMAL)])
    print(f"kermany, pneumonia against Normal, AUROC: {found}")
    typed = kermany & np.isin(findings, (VIRAL, BACTERIAL))
    ratio = np.log(scores[:, names.index(BACTERIAL)]) - np.log(scores[:, names.index(VIRAL)])
    print(f"kermany, bacterial against viral, AUROC: {area(findings[typed] == BACTERIAL, ratio[typed])}")


def in_all(verdicts: LabelledPredictions) -> None:
    """Print how many answers are right, how many sets hold the truth, and how many films are refused."""
    known = [
        (answer, verdicts.findings[truth])
        for answer, truth in zip(verdicts.answers, verdicts.truth, strict=True)
        if truth >= 0
    ]
    right = sum(answer.likeliest == truth for answer, truth in known)
    held = sum(truth in answer.set for answer, truth in known)
    size = np.mean([len(answer.set) for answer, _ in known])
    print(f"all: {share(right, len(known))} right")
    print(f"  the finding is in the set: {share(held, len(known))}; mean size of a set {size:.2f}")
    print(f"  refused: {share(sum(not answer.accepted for answer, _ in known), len(known))}")


def other_diseases(verdicts: LabelledPredictions, sources: np.ndarray, findings: np.ndarray) -> None:
    """Print how films that show none of the named findings are answered, by source."""
    for source in sorted(set(sources[findings == OTHER])):
        answers = [verdicts.answers[i] for i in np.flatnonzero((sources == source) & (findings == OTHER))]
        named = sum(answer.accepted and len(answer.set) == 1 and answer.likeliest != OTHER for answer in answers)
        called = {name: sum(answer.likeliest == name for answer in answers) for name in (OTHER, COVID)}
        refused = sum(not answer.accepted for answer in answers)
        print(
            f"{source}, {OTHER}: called so {share(called[OTHER], len(answers))}; Covid-19 "
            f"{share(called[COVID], len(answers))}; accepted with one named finding {share(named, len(answers))}; "
            f"refused {share(refused, len(answers))}"
        )


def hidden_lungs(classifier: Classifier, verdicts: LabelledPredictions) -> None:
    """Print balanced accuracy for each way of showing less, as answered and without the shift common to all films."""
    known = np.flatnonzero(verdicts.truth >= 0)
    preprocessing = classifier.metadata.preprocessing
    logits = np.stack(
        [
            classifier.engine.run(cue_films(classifier.read(Path(verdicts.records[i].path)), preprocessing)).logits
            for i in known
        ]
    )  # (n, V, K)
    truth = verdicts.truth[known]
    for position, cue in enumerate(CUES):
        balanced = [
            float(
                np.mean(
                    [(values[:, position].argmax(axis=1) == truth)[truth == label].mean() for label in np.unique(truth)]
                )
            )
            for values in (logits.astype(float), without_shift(logits.astype(float)))
        ]
        aligned = f"without the common shift {balanced[1]:.3f}"
        print(f"{cue.name}: balanced accuracy {balanced[0]:.3f}, {aligned} (n = {len(truth)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="the manifest of chest_films.py")
    parser.add_argument("--model", default="chest", help="a model.onnx or a model's name")
    parser.add_argument("--run", type=Path, help="count only the held-out films that the figures of this run count")
    parser.add_argument("--validation", type=Path, metavar="RUN", help="the validation films of this run, nothing else")
    options = parser.parse_args()
    classifier = Classifier(Path(options.model))
    if options.validation:
        verdicts = judge(classifier, validated(options.films, options.validation))
        likely = verdicts.probabilities[np.arange(len(verdicts.truth)), verdicts.truth]
        right = int((verdicts.probabilities.argmax(axis=1) == verdicts.truth).sum())
        print(f"validation films: {share(right, len(likely))} right, cross-entropy {-np.log(likely).mean():.3f}")
        hidden_lungs(classifier, verdicts)
        return
    data = Path(os.environ["HILUM_DATA"]).resolve()
    verdicts = judge(classifier, held_out(options.films, options.run))
    in_all(verdicts)
    by_source(verdicts, classifier.metadata.operating_thresholds[COVID])
    seeds = seed_test(data)
    answers = judge(classifier, [record for record, _ in seeds])
    right = int((answers.probabilities.argmax(axis=1) == answers.truth).sum())
    print(f"{SEED_SET} test, findings of the sources: {share(right, len(seeds))} right")
    told = [classifier.findings[i] for i in answers.probabilities.argmax(axis=1)]
    nominal = sum(
        finding == name or {finding, name} == {VIRAL, BACTERIAL} for (_, name), finding in zip(seeds, told, strict=True)
    )
    print(f"  by its folders, viral and bacterial taken together: {share(nominal, len(seeds))} right")
    four = judge(classifier, four_class_films(data, "test"))
    right = int((four.probabilities.argmax(axis=1) == four.truth).sum())
    print(f"four-class test: {share(right, len(four.truth))} right")
    hidden_lungs(classifier, verdicts)


if __name__ == "__main__":
    main()
