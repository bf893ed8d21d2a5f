"""The chest model that ships, calibrated and judged anew without training.

    HILUM_DATA=... python recipes/chest_calibration.py --out DIR [--ship]

For when hilum reads films in a new way, or keeps more of a model's evaluation. The network stays as it is. Its films
are divided as they were in training; temperature, thresholds, sets and the statistics of unfamiliar films are fitted to
the validation films, and the figures are taken again on the test films that no starting weights have learned from.

DIR is the folder of chest.py, where the model was trained. Prints what changed and the figures by source; --ship puts
the result into the package.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from hilum.data.fingerprint import seen_films
from hilum.data.run_tables import read_splits
from hilum.data.scan import Scan
from hilum.figures import to_json
from hilum.film.decode import DECODER_VERSION
from hilum.judge.drift import evaluation_of
from hilum.judge.external import RunMetrics
from hilum.judge.predictions import figures_of, judge_records
from hilum.report.card import model_card_text
from hilum.report.predictions import sets_fact
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata
from hilum.run.models import SHIPPED
from hilum.train.calibration import calibrated, gate_statistics
from hilum.train.config_file import read_config
from hilum.train.graph_file import write_metadata
from hilum.train.prepared import prepare_films

HERE = Path(__file__).parent
MEASURED = ("Quantitative analyses", "Calibration and refusal")  # sections of the card


def card_anew(card: str, fresh: str, printed: str) -> str:
    """Return the model card with measured sections of a fresh one, its decoder, what people say, and the figures."""
    for title in MEASURED:
        section = re.compile(rf"^## {title}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
        found = section.search(fresh)
        if found is None or section.search(card) is None:
            raise SystemExit(f"The card has no section {title!r}.")
        card = section.sub(found.group().replace("\\", r"\\"), card, count=1)
    card = re.sub(r"\| decoder version \| \d+ \|", f"| decoder version | {DECODER_VERSION} |", card, count=1)
    written, _, _ = card.partition("\n## Sources\n")
    said = (HERE / "chest_card.md").read_text(encoding="utf-8")
    return f"{written}{said}\n## Figures by source\n\n```\n{printed}```\n"


def by_source(out: Path, model: Path) -> str:
    """Return what chest_figures.py prints of a model."""
    words = [HERE / "chest_figures.py", "--films", out / "chest.csv", "--model", model, "--run", out / "run"]
    done = subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def known_films(scan: Scan, model: Metadata) -> np.ndarray:
    """Return which films (n,) bool, or films of their groups, a model or its starting weights have learned from."""
    known = seen_films(scan.fingerprints, model.training_data["dhash256"])
    if known is None:
        raise SystemExit(f"{model.name} does not say which films it has learned from.")
    return np.isin(scan.groups, scan.groups[known])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder in which chest.py trained the model")
    parser.add_argument("--ship", action="store_true", help="put the model into the package")
    options = parser.parse_args()
    shipped, config = SHIPPED["chest"], read_config(HERE / "chest.toml")
    old = Classifier(Path("chest")).metadata
    prepared = prepare_films(options.out / "chest.csv", config.preprocessing)
    groups, records, root = prepared.scan.groups, prepared.records, prepared.scan.dataset.root
    split_of = {row.path: row.split for row in read_splits(options.out / "run" / "splits.csv")}
    splits = np.array([split_of.get(record.path, "") for record in records])
    taught = Counter(record.finding for record, split in zip(records, splits, strict=True) if split != "test")
    if taught != old.training_data["num_films"] or not all(splits):
        raise SystemExit(f"These are not the films that the model was trained on: {taught}.")
    tested, validated = (splits == "test") & ~known_films(prepared.scan, old), splits == "validation"
    print(f"{validated.sum()} validation films and {tested.sum()} test films that no starting weights learned from.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / shipped.file
        shutil.copyfile(shipped.path, path)
        parts = [prepared.films.subset(np.flatnonzero(part)) for part in (splits == "train", validated)]
        metadata = dataclasses.replace(old, decoder_version=DECODER_VERSION, coverage=config.coverage)
        write_metadata(path, dataclasses.replace(metadata, gate={}))
        gate = gate_statistics(path, *parts, seed=config.seed)
        chosen = [[records[i] for i in np.flatnonzero(part)] for part in (tested, validated)]
        validation = judge_records(Classifier(path), root, chosen[1])
        metadata = calibrated(dataclasses.replace(metadata, gate=gate), validation, groups[validated], None)
        write_metadata(path, metadata)
        classifier = Classifier(path)
        judged = judge_records(classifier, root, chosen[0])
        test = figures_of(judged, groups[tested], classifier, seed=config.seed)
        validation = judge_records(classifier, root, chosen[1])
        again = figures_of(validation, groups[validated], classifier, seed=config.seed)
        taken = RunMetrics(test, test, again)
        fresh = model_card_text(metadata=json.loads(metadata.to_json()), metrics=taken, facts=[], faults=[])
        figures = {**old.figures, "test": to_json(test), "test_clean": to_json(test), "validation": to_json(again)}
        printed = by_source(options.out, path)
        card = card_anew(old.model_card, fresh, printed)
        card = re.sub(r"\| Temperature \| [\d.]+ \|", f"| Temperature | {metadata.temperature:.3f} |", card, count=1)
        card = re.sub(r"\| coverage \|.*", f"| coverage | {metadata.coverage} |", card, count=1)
        card = re.sub(r"\| Conformal sets \|.*", f"| Conformal sets | {sets_fact(metadata)} |", card, count=1)
        card = re.sub(r"temperature [\d.]+, set on", f"temperature {metadata.temperature:.3f}, set on", card)
        metadata = dataclasses.replace(
            metadata, figures=figures, model_card=card, evaluation=evaluation_of(test=judged, validation=validation)
        )
        write_metadata(path, metadata)
        for name in ("temperature", "operating_thresholds", "conformal"):
            print(name, getattr(old, name), getattr(metadata, name), sep="\n  ")
        print("outlier_score", old.gate["threshold"], metadata.gate["threshold"], sep="\n  ")
        for part in ("test", "validation"):
            print(part, *(one.figures[part]["accuracy"] for one in (old, metadata)), sep="\n  ")
            print("  calibration error", *(one.figures[part]["ece"] for one in (old, metadata)))
        print(printed)
        if options.ship:
            ship(path)


def ship(path: Path) -> None:
    """Put the model file into the package, and its hash into the registry."""
    shipped = SHIPPED["chest"]
    registry = HERE.parent / "src" / "hilum" / "run" / "models.py"
    text, digest = registry.read_text(encoding="utf-8"), hashlib.sha256(path.read_bytes()).hexdigest()
    shutil.copyfile(path, shipped.path)
    registry.write_text(text.replace(shipped.sha256, digest), encoding="utf-8")
    print(f"{shipped.path} is shipped, SHA-256 {digest}.")


if __name__ == "__main__":
    main()
