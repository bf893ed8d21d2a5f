"""Whether the chest model may be served in bf16 or int8: right answers by source, and milliseconds, beside float32.

    HILUM_DATA=... python recipes/chest_precision.py --films DIR/chest.csv [--int8]

The held-out films of chest_films.py and the test parts. bf16 is also judged with its mean shift of the logits, over 300
films of its training and validation, taken off. ``--int8`` quantises with those 300 films and needs the package nncf,
which hilum does not install. A precision is shipped where no source's accuracy moves by more than half a point.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openvino
from chest_figures import held_out, seed_test
from chest_films import four_class_films

from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import read_model_file

CALIBRATION_FILMS = 300
MOST_MOVED = 0.005


def views(classifier: Classifier, paths: list[str]) -> np.ndarray:
    """Return preprocessed films (n, 1, S, S)."""
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(lambda path: classifier.preprocess(classifier.read(Path(path))), paths)))


def answers(graph: openvino.Model, films: np.ndarray, precision: str) -> tuple[np.ndarray, float]:
    """Return logits (n, K), and the milliseconds of processor time a film takes on one thread."""
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
    request.infer([films[:1]])
    start = time.process_time()
    logits = np.stack([request.infer([film[np.newaxis]])["logits"][0].copy() for film in films])
    return logits, (time.process_time() - start) / len(films) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=Path, required=True, help="the manifest of chest_films.py")
    parser.add_argument("--model", type=Path, default=Path("chest"))
    parser.add_argument("--int8", action="store_true")
    options = parser.parse_args()
    data, classifier = Path(os.environ["HILUM_DATA"]).resolve(), Classifier(options.model)
    records = {
        "held out": held_out(options.films),
        "covid19-image-dataset": [record for record, _ in seed_test(data)],
        "four-class": four_class_films(data, "test"),
    }
    names = list(classifier.findings)
    known = [(part, record) for part, some in records.items() for record in some if record.finding in names]
    truth = np.array([names.index(record.finding) for _, record in known])
    source = np.array([(record.source or part) if part == "held out" else part for part, record in known])
    films = views(classifier, [record.path for _, record in known])
    with options.films.open(encoding="utf-8", newline="") as lines:
        learned = [row["path"] for row in csv.DictReader(lines) if row["split"] != "test"]
    rng = np.random.default_rng(0)
    calibration = views(classifier, [learned[i] for i in rng.permutation(len(learned))[:CALIBRATION_FILMS]])
    graph = openvino.Core().read_model(read_model_file(options.model).data)
    graph.reshape([1, *films.shape[1:]])
    exact, milliseconds = answers(graph, films, "f32")
    half, half_milliseconds = answers(graph, films, "bf16")
    shift = (answers(graph, calibration, "bf16")[0] - answers(graph, calibration, "f32")[0]).mean(axis=0)
    ways = {"bf16": (half, half_milliseconds), "bf16, shift taken off": (half - shift, half_milliseconds)}
    if options.int8:
        import nncf

        calls = nncf.Dataset([film[np.newaxis] for film in calibration])
        small = nncf.quantize(
            graph, calls, preset=nncf.QuantizationPreset.MIXED, subset_size=len(calibration), fast_bias_correction=False
        )
        ways["int8"] = answers(small, films, "f32")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        print("This processor has no bf16: what follows is imitated, and its times say nothing.")
    print(f"float32: {milliseconds:.2f} ms; mean shift of the logits by bf16 {np.round(shift, 3)}")
    right = exact.argmax(axis=1) == truth
    for name, (logits, taken) in ways.items():
        changed = logits.argmax(axis=1) != exact.argmax(axis=1)
        far = np.abs(
            softmax(logits, classifier.metadata.temperature) - softmax(exact, classifier.metadata.temperature)
        ).max(axis=1)
        print(f"{name}: {taken:.2f} ms; answers changed {changed.sum()} of {len(truth)}; largest change of a "
              f"probability {far.mean():.4f} on average, {far.max():.3f} at most")  # fmt: skip
        ships = True
        for one in sorted(set(source)):
            here = source == one
            before, after = int(right[here].sum()), int((logits.argmax(axis=1) == truth)[here].sum())
            ships &= abs(before - after) / here.sum() <= MOST_MOVED
            print(f"  {one}: {before} right before, {after} after, of {here.sum()}")
        print("  within half a point on every source" if ships else "  not within half a point on every source")


if __name__ == "__main__":
    main()
