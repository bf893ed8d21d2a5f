"""Measures hilum against TorchXRayVision's DenseNet-121 on a folder of films, each in its own environment.

    python -m venv XRV && XRV/bin/pip install torch torchvision torchxrayvision
    python bench/torchxrayvision_folder.py --model RUN/model.onnx --python XRV/bin/python FOLDER

The other side is what its own example (scripts/process_image.py) does with a film: read, scaled to [-1024, 1024],
cropped to a square, resized to 224 px, asked alone. The weights are random, since speed does not depend on them, and
answers are not compared. Both write a CSV file; loading the models is not counted. The two take turns, and the one
that begins changes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hilum.data.walk import film_paths
from hilum.run.classifier import Classifier, judge_films
from hilum.run.writing import open_writer

OTHER = r"""
import csv, sys, time, warnings
warnings.filterwarnings("ignore")
import skimage.io, torch
try:
    import torchvision
except RuntimeError:  # its compiled part is of another build of torch; nothing of it is used here
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    import torchvision
import torchxrayvision as xrv
model = xrv.models.DenseNet(num_classes=18).eval()
transform = torchvision.transforms.Compose([xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)])
paths = sys.stdin.readline().rstrip("\n").split("\t")
print(torch.__version__, xrv.__version__, torch.get_num_threads(), flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    with open(line.rstrip("\n"), "w", newline="") as table, torch.no_grad():
        rows = csv.writer(table)
        for path in paths:
            film = skimage.io.imread(path)
            film = xrv.datasets.normalize(film, 255)
            if film.ndim == 3:
                film = film[:, :, :3].mean(2)
            film = torch.from_numpy(transform(film[None, :, :]))
            rows.writerow([path, *model(film[None, ...]).numpy()[0]])
    print(time.perf_counter() - start, flush=True)
"""


def main() -> None:
    """Measure, and print films a second and the ratio."""
    parser = argparse.ArgumentParser(description="Times hilum against TorchXRayVision's DenseNet-121.")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--python", type=Path, required=True, help="of the environment that has TorchXRayVision")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--films", type=int, default=60, metavar="N", help="at most so many of FOLDER, evenly taken")
    arguments = parser.parse_args()
    found = sorted(film_paths([arguments.folder]))
    paths = found[:: max(1, len(found) // arguments.films)][: arguments.films]
    classifier = Classifier(arguments.model)
    mine: list[float] = []
    other: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [arguments.python, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        ) as child,
    ):
        if child.stdin is None or child.stdout is None:
            sys.exit("No pipes.")

        def tell(text: str) -> str:
            child.stdin.write(text + "\n")
            child.stdin.flush()
            return child.stdout.readline().strip() or sys.exit("The other environment's script ended.")

        versions = tell("\t".join(map(str, paths))).split()
        for repeat in range(-1, arguments.repeats):  # the first is not measured
            times = {}
            for who in (0, 1) if repeat % 2 == 0 else (1, 0):
                if who:
                    times[who] = float(tell(f"{folder}/other.csv"))
                else:
                    start = time.perf_counter()
                    judge(classifier, paths, Path(folder, "mine.csv"))
                    times[who] = time.perf_counter() - start
            if repeat >= 0:
                mine.append(times[0])
                other.append(times[1])
        child.stdin.close()
    ratios = [slow / fast for fast, slow in zip(mine, other, strict=True)]
    print(
        f"{len(paths)} films, {os.cpu_count()} cores, medians of {arguments.repeats} repeats; torch {versions[0]}, "
        f"TorchXRayVision {versions[1]} with {versions[2]} threads"
    )
    print(f"hilum           {len(paths) / statistics.median(mine):8.1f} films/s")
    print(f"TorchXRayVision {len(paths) / statistics.median(other):8.1f} films/s")
    print(f"ratio           {statistics.median(ratios):8.1f} ({min(ratios):.1f}-{max(ratios):.1f})")


def judge(classifier: Classifier, paths: list[Path], out: Path) -> None:
    """Write hilum's answers."""
    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = open_writer("csv", stream, out, classifier.findings)
        for answer in judge_films(classifier, paths):
            writer.write(answer.to_dict())
        writer.close()


if __name__ == "__main__":
    main()
