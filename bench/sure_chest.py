"""Which films does the lung segmenter alone refuse, and how sure is the gate's network that they show a chest?

    python bench/sure_chest.py [--films 160] [--seed 3]

A film that the gate's network is sure of is not searched for lungs (`hilum.run.gate`). That is right only as long
as the search never refuses such a film. So films are taken as they are, and spoilt in ways that leave no lung or one.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hilum.data.walk import film_paths
from hilum.film.decode import read_film
from hilum.film.radiograph import Radiograph
from hilum.run.gate import gate_view, load_gate
from hilum.run.lungs import both_lungs, lung_scores

FOLDERS = ("not-chest", "covid19-image-dataset", "lung-masks/images", "hospitals", "pool", "four-class")
Film = NDArray[np.float32]


def spoilt(film: Film) -> Iterator[tuple[str, Film]]:
    """Yield a film (H, W) as it is, and changed."""
    height, width = film.shape
    middle = slice(height // 5, height * 4 // 5), slice(width // 8, width * 7 // 8)
    left = middle[0], slice(width // 8, width // 2)
    yield "as it is", film
    for share in (0.5, 0.6, 0.7):
        yield f"left {share:.0%}", film[:, : int(width * share)]
        yield f"right {share:.0%}", film[:, -int(width * share) :]
    yield "upper half", film[: height // 2]
    yield "lower half", film[height // 2 :]
    places = {
        "left half": np.s_[:, : width // 2],
        "right half": np.s_[:, width // 2 :],
        "lungs": middle,
        "a lung": left,
    }
    for name, place in places.items():
        for shade in (0.0, 0.7, 0.9):
            changed = film.copy()
            changed[place] = shade
            yield f"{name} covered with {shade}", changed
    for blur in (20, 12):
        yield f"blurred by 1/{blur} of its width", cv2.GaussianBlur(film, (0, 0), width / blur)
    edge = (height // 2, height // 2, width // 2, width // 2)
    yield "in a black frame", cv2.copyMakeBorder(film, *edge, cv2.BORDER_CONSTANT, value=0)
    yield "noisy", np.clip(film + np.random.default_rng(0).normal(0, 0.3, film.shape), 0, 1)
    yield "bright", film**0.4
    yield "dark", film**2.5


def main() -> None:
    """Print, for each change, how many films pass the gate's network, and how many of these have no two lungs."""
    parser = argparse.ArgumentParser(description="Is every film with a sure chest one with two lungs?")
    parser.add_argument("--films", type=int, default=160, metavar="N", help="of each folder, at most")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    data, draw = Path(os.environ["HILUM_DATA"]), random.Random(arguments.seed)
    passed: dict[str, list[tuple[float, bool]]] = {}
    for folder in FOLDERS:
        paths = list(film_paths([data / folder]))
        for path in draw.sample(paths, min(arguments.films, len(paths))):
            for change, pixels in spoilt(read_film(path, min_side_px=320).pixels):
                film = np.ascontiguousarray(pixels, np.float32)
                probabilities = load_gate().probabilities(gate_view(film))
                if load_gate().reason(probabilities) is None:
                    has_lungs = both_lungs(lung_scores(Radiograph(film, "png", film.shape, 8))).any()
                    passed.setdefault(change, []).append((float(probabilities[0]), bool(has_lungs)))
    print(f"{'change':34}{'pass':>6}{'without lungs':>15}{'of these most sure':>20}{'sure':>7}")
    for change, films in passed.items():
        without = [sure for sure, has_lungs in films if not has_lungs]
        sure = sum(one >= 0.98 for one, _ in films)
        print(f"{change:34}{len(films):6}{len(without):15}{max(without, default=0):20.3f}{sure:7}")


if __name__ == "__main__":
    main()
