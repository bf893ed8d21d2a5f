"""Does the graph of `hilum model export` give the answers of the model file? On real films of HILUM_DATA.

    HILUM_DATA=... python bench/pixels_graph.py [--model M] [--films N] [--seed N]

Each film is read from its file in full size, as 8-bit pixels, and given to both. "As a file" compares with
`hilum predict`, which reads a large JPEG at reduced scale, and films of more than 8 bits with all of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from openvino import Core

from hilum.data.folder import read_dataset
from hilum.errors import HilumError
from hilum.film.decode import read_film
from hilum.run.classifier import Classifier
from hilum.workflows.export import export_model


def real_films(data: Path, num: int, seed: int) -> list[Path]:
    """Return films drawn at random: as many of every source of the pool, the hospitals and the sets of large films."""
    rng, films = np.random.default_rng(seed), []
    by_source: dict[str, list[Path]] = {}
    pools, large = ("pool/manifest.csv", "hospitals/manifest.csv"), ("covid19-image-dataset", "four-class")
    for place in (*pools, *large):
        dataset = read_dataset(data / place)
        for record in dataset.records:
            by_source.setdefault(record.source or place, []).append(dataset.root / record.path)
    for paths in by_source.values():
        films += [paths[place] for place in rng.permutation(len(paths))[: -(-num // len(by_source))]]
    return [films[place] for place in sorted(rng.permutation(len(films))[:num])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("chest"))
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pixels.onnx"
        export_model(arguments.model, path)
        session = onnxruntime.InferenceSession(path)
        compiled = Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    classifier = Classifier(arguments.model)
    rows, sizes = [], []
    for film in real_films(Path(os.environ["HILUM_DATA"]), arguments.films, arguments.seed):
        try:
            pixels = np.rint(read_film(film).pixels * 255).astype(np.uint8)
            answers = [classifier.predict(one).probabilities for one in (pixels, film)]
        except HilumError as error:
            print(f"left out: {error.message}")
            continue
        given = {"pixels": pixels}
        found = (session.run(["probabilities"], given)[0], compiled(given)["probabilities"])
        rows.append([*(list(answer.values()) for answer in answers), *found])
        sizes.append(min(pixels.shape))
    probabilities = np.array(rows)  # (films, 4, K)
    print(f"{len(rows)} films, shorter side {min(sizes)} to {max(sizes)} pixels")
    for name, one, other in (
        ("onnxruntime", 0, 2),
        ("OpenVINO", 0, 3),
        ("onnxruntime, as a file", 1, 2),
    ):
        differences = np.abs(probabilities[:, one] - probabilities[:, other]).max(axis=1)
        others = int(np.sum(probabilities[:, one].argmax(axis=1) != probabilities[:, other].argmax(axis=1)))
        print(
            f"{name:24} largest difference {differences.max():.2g}, median {np.median(differences):.2g}, 99th of 100 "
            f"{np.quantile(differences, 0.99):.2g}; other answers {others}"
        )


if __name__ == "__main__":
    main()
