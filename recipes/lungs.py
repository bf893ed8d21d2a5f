"""Train the lung segmenter from HILUM_DATA/lung-masks, and measure it on the hospital that it has not seen.

    HILUM_DATA=... python recipes/lungs.py --out DIR             trains on both hospitals and writes DIR/lungs.onnx
    HILUM_DATA=... python recipes/lungs.py --inside Shenzhen --out DIR    the file that ships: a fifth of Shenzhen held
                                                                 out to choose settings, all of Montgomery to test
    HILUM_DATA=... python recipes/lungs.py --cross Shenzhen      trains on one hospital and tests on the other
    HILUM_DATA=... python recipes/lungs.py --gate                counts films without two lungs, by the file that ships

The films are the Montgomery County and Shenzhen sets of the US National Library of Medicine with manual masks. The
same seed gives the same network on the same machine. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import cv2
import keras
import numpy as np

from hilum.data.folder import read_dataset
from hilum.data.walk import film_paths
from hilum.film.decode import read_film
from hilum.film.preprocess import preprocess
from hilum.judge.intervals import grouped_mean, wilson_interval
from hilum.run.gate import refusals
from hilum.run.lungs import LUNGS_PREPROCESSING, both_lungs, lung_scores, outline
from lungs_films import LungFilms, MaskedFilm, draw_lung_bank, make_lung_view, read_masked_films, square
from lungs_training import fit_lungs, lung_logits, seal_lungs

HOSPITALS = {"Shenzhen": "CHNCXR", "Montgomery": "MCUCXR"}
NUM_DRAWN, DRAWN_SEED = 1500, 5
STEPS = 4000
FILMS_A_SOURCE = 200  # of the pool
SEALED_ON = 100  # films that engine and Keras are compared on
SOURCE = (
    "{} chest radiographs of the US National Library of Medicine, with manual lung masks (Jaeger et al. 2014; Candemir "
    "et al. 2014); phantoms and drawings by hilum"
)


def views_of(films: list[MaskedFilm]) -> np.ndarray:
    """Return films as the network sees them, (N, 1, 128, 128)."""
    return np.stack([preprocess(film.radiograph, LUNGS_PREPROCESSING) for film in films])


def fit(films: list[MaskedFilm], *, steps: int, seed: int) -> keras.Model:
    """Return a network fitted to films with masks."""
    started = time.perf_counter(), time.process_time()
    bank = LungFilms(
        films=np.array([square(film.radiograph.pixels) for film in films]),
        masks=np.array([square(film.mask) for film in films]),
        **draw_lung_bank(np.random.default_rng(DRAWN_SEED), num=NUM_DRAWN),
    )
    model = fit_lungs(lambda rng: make_lung_view(bank, rng), num_steps=steps, seed=seed)
    wall, processor = time.perf_counter() - started[0], time.process_time() - started[1]
    print(f"  trained on {len(films)} films: {wall:.0f} s, {processor:.0f} s of the processor", flush=True)
    return model


def dice(model: keras.Model, films: list[MaskedFilm]) -> np.ndarray:
    """Return the Dice coefficient of each film at its own size, (N,)."""
    found = []
    for scores, film in zip(lung_logits(model, views_of(films)), films, strict=True):
        mask = outline(scores, film.mask.shape)
        found.append(2 * (mask & film.mask).sum() / max(mask.sum() + film.mask.sum(), 1))
    return np.array(found)


def figures(scores: np.ndarray) -> dict[str, float]:
    """Return mean with its 95 % interval (bootstrap over films), 5th percentile and number."""
    mean = grouped_mean(scores, np.arange(scores.size))
    return {**mean, "fifth_percentile": float(np.percentile(scores, 5)), "n": scores.size}


def told(name: str, scores: np.ndarray) -> None:
    """Print the figures."""
    found = figures(scores)
    print(
        f"{name}: Dice {found['value']:.4f} ({found['low']:.4f}-{found['high']:.4f}), 5th percentile "
        f"{found['fifth_percentile']:.3f}, n = {found['n']}",
        flush=True,
    )


def count_refused(data: Path) -> None:
    """Print how many films of the pool, and pictures of something else, show fewer than two lungs."""
    pool = read_dataset(data / "pool" / "manifest.csv")
    rng = np.random.default_rng(2)
    paths = {}
    for source in sorted({str(record.source) for record in pool.records}):
        films = [pool.root / record.path for record in pool.records if record.source == source]
        paths[source] = [films[i] for i in rng.permutation(len(films))[:FILMS_A_SOURCE]]
    for folder in sorted(path for path in (data / "not-chest").iterdir() if path.is_dir()):
        paths[folder.name] = list(film_paths([folder]))
    for name, named in paths.items():
        films = [read_film(path) for path in named]
        alone = [not both_lungs(lung_scores(film)).any() for film in films]
        every = [bool(refusals(film)) for film in films]
        words = []
        for label, found in (("segmenter alone", alone), ("whole gate", every)):
            low, high = wilson_interval(sum(found), len(found))
            words.append(f"{label} {np.mean(found):.1%} ({low:.1%}-{high:.1%}, {sum(found)} of {len(found)})")
        print(f"{name}: {'; '.join(words)}", flush=True)


def main() -> None:
    """Train, measure, and write the file where a folder is named."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--cross", choices=HOSPITALS)
    arguments.add_argument("--gate", action="store_true")
    arguments.add_argument("--inside", choices=HOSPITALS)
    arguments.add_argument("--steps", type=int, default=STEPS)
    arguments.add_argument("--seed", type=int, default=0)
    chosen = arguments.parse_args()
    cv2.setNumThreads(1)
    settings = {"steps": chosen.steps, "seed": chosen.seed}
    data = Path(os.environ["HILUM_DATA"])
    if chosen.gate:
        count_refused(data)
    every = read_masked_films(data / "lung-masks")
    by_hospital = {name: [film for film in every if film.stem.startswith(stem)] for name, stem in HOSPITALS.items()}
    known = chosen.inside or chosen.cross
    films, tests = by_hospital[known] if known else every, {}
    if known:
        (other,) = set(HOSPITALS) - {known}
        tests[f"{known} -> {other}"] = by_hospital[other]
    if chosen.inside:
        order = np.random.default_rng(0).permutation(len(films))
        tests[f"inside {known}"] = [films[i] for i in order[: len(films) // 5]]
        films = [films[i] for i in order[len(films) // 5 :]]
    if known or chosen.out:
        model = fit(films, **settings)
        for name, test in tests.items():
            told(name, dice(model, test))
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        facts = {"source": SOURCE.format(known or " and ".join(HOSPITALS)), "films": len(films), **settings}
        size = seal_lungs(model, views_of(every[::7])[:SEALED_ON], chosen.out / "lungs.onnx", facts)
        print(f"{chosen.out / 'lungs.onnx'}: {size} bytes")


if __name__ == "__main__":
    main()
