"""The chest model, from films to the files in the package, by hilum's own commands.

    HILUM_DATA=... python recipes/chest.py --out DIR            list the films, train, judge
    HILUM_DATA=... python recipes/chest.py --out DIR --ship     the same, then put the result into the package

The figures of chest_figures.py go to DIR/figures.txt and into the model card. If a run was interrupted, the same
command continues it. Held out: 12 % of the groups of every source and finding, and the test parts of
covid19-image-dataset and four-class with all that is near them (chest_films.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
from chest_figures import held_out, judge

from hilum.judge.drift import evaluation_of
from hilum.report.card import TO_FILL_IN
from hilum.run.classifier import Classifier
from hilum.run.modelfile import read_model_file
from hilum.run.models import SHIPPED
from hilum.train.graph_file import write_metadata
from hilum.train.networks import weight_key

SAID = {  # what only people can know, as the card asks for it
    "Responsible for the model": "the hilum project",
    "Licence of the weights": "Apache-2.0, as the package; the films' own licences stand under Sources, and some allow "
    "research or non-commercial use only",
    "Intended users and setting": "people who study or teach how films are classified, on films whose truth is known",
    "Ages and sexes of the patients": "ages under Faults of the data, where they are known; sexes were not looked at",
    "Hospitals and devices": "see Sources; devices are not known",
    "Whether the findings come from different sources (children in one, adults in another)": "they do, see Sources",
    "Origin, period, inclusion and licence of the training films": "see Sources",
    "Reference standard (who labelled the training films, and how)": "the sources' own, see Limits of this model",
    "Origin, period, inclusion and licence of the evaluation films": "held out of the same sources, see Sources",
    "Reference standard (who labelled the evaluation films, and how)": "the sources' own, see Limits of this model",
    "Tested on films of another hospital": "no; what sources held out say stands under Limits of this model",
}
HERE = Path(__file__).parent
PACKAGE = HERE.parent / "src" / "hilum"


def ship(run: Path, films: Path, package: Path) -> None:
    """Put a run's model file and its backbone's weights into a package, and the hash into its registry."""
    model = package / "run" / SHIPPED["chest"].file
    metadata = read_model_file(run / "model.onnx").metadata
    told = metadata.model_card.replace(f"# Model card: {metadata.name}", "# Model card: hilum-chest", 1)
    told = told.replace(
        f"{TO_FILL_IN}. `hilum evaluate` judges", "See Limits of this model. `hilum evaluate` judges", 1
    )
    for asked, said in SAID.items():
        told = told.replace(f"{asked}: {TO_FILL_IN}", f"{asked}: {said}", 1)
    if TO_FILL_IN in told:
        raise SystemExit(f"The card asks for something more: {told.partition(TO_FILL_IN)[0][-200:]}")
    card = [told, (HERE / "chest_card.md").read_text(encoding="utf-8")]
    if (figures := run.parent / "figures.txt").exists():
        card.append(f"\n## Figures by source\n\n```\n{figures.read_text(encoding='utf-8')}```\n")
    counted = metadata.evaluation
    if "exposure" not in counted.get("counts", {}):  # of an earlier hilum
        counted = evaluation_of(test=judge(Classifier(run / "model.onnx"), held_out(films, run)))
    shutil.copyfile(run / "model.onnx", model)
    told = "".join(card)
    write_metadata(model, dataclasses.replace(metadata, name="hilum-chest", model_card=told, evaluation=counted))
    network = keras.models.load_model(run / "model.keras", compile=False)
    backbone = next(
        layer for layer in network.layers if isinstance(layer, keras.Model) and layer.name.endswith("backbone")
    )
    weights = {weight_key(weight): np.asarray(weight).astype(np.float16) for weight in backbone.weights}
    if len(weights) != len(backbone.weights):
        raise SystemExit("Two weights of the backbone have one name.")
    np.savez_compressed(package / "train" / "chest_backbone.npz", allow_pickle=False, **weights)
    registry = package / "run" / "models.py"
    text = registry.read_text(encoding="utf-8")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    registry.write_text(re.sub(r'("chest\.onnx",\s*)"[0-9a-f]*"', rf'\1"{digest}"', text), encoding="utf-8")
    print(f"{model} is shipped, SHA-256 {digest}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the list of films and the run go")
    parser.add_argument("--ship", action="store_true", help="put the model into the package")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    films = options.out / "chest.csv"
    if not films.exists():
        subprocess.run([sys.executable, HERE / "chest_films.py", "--out", films], check=True)
    run = options.out / "run"
    if not (run / "metrics.json").exists():
        words = ["train", films, "--out", run, "--config", HERE / "chest.toml"]
        subprocess.run([sys.executable, "-m", "hilum", *map(str, words)], check=True)
    figures = options.out / "figures.txt"
    if not figures.exists():
        words = [HERE / "chest_figures.py", "--films", films, "--model", run / "model.onnx", "--run", run]
        told = subprocess.run([sys.executable, *map(str, words)], check=True, stdout=subprocess.PIPE)
        figures.write_bytes(told.stdout)
    if options.ship:
        ship(run, films, PACKAGE)


if __name__ == "__main__":
    main()
