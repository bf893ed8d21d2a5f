"""Train the gate's network from HILUM_DATA, and measure it on sources and kinds that it has not seen.

Chest films to learn from: radiography-db, kermany and ieee8023 of the pool. Never learned from: nih-ozturk and
lung-masks, on which the shipped file is judged (bench/answers.py). Pictures of something else: not-chest, and drawings.

    HILUM_DATA=... python recipes/gate.py --out src/hilum/run/gate.onnx   trains the file that ships
    HILUM_DATA=... python recipes/gate.py --leave-out kermany              measures it, trained without a source or kind
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from gate_films import SIDE_PX, GateFilms, draw_bank, make_view
from gate_training import fit_gate, gate_probabilities, seal_gate
from hilum.data.folder import read_dataset
from hilum.data.walk import film_paths
from hilum.film.decode import read_film
from hilum.judge.intervals import wilson_interval
from hilum.run.gate import KINDS, gate_view

SOURCES = ("radiography-db", "kermany", "ieee8023")
HELD_OUT = ("nih-ozturk", "lung-masks")
LEAST_CHEST, MOST_CUT_OFF = 0.5, 0.9  # chosen on sources and kinds left out, and on films with one lung whitened
VALIDATED = 10  # every tenth film of a source is not learned from
CHUNK = 5000


def read(paths: list[Path]) -> np.ndarray:
    """Return films as (n, 128, 128) uint8."""
    films = [cv2.resize(read_film(p, min_side_px=160).pixels, (SIDE_PX, SIDE_PX), interpolation=3) for p in paths]
    return np.rint(np.array(films) * 255).astype(np.uint8)


def read_all(data: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return chest films by source and other pictures by kind."""
    pool = read_dataset(data / "pool" / "manifest.csv")
    named = {s: [pool.root / r.path for r in pool.records if r.source == s] for s in (*SOURCES, HELD_OUT[0])}
    named["lung-masks"] = list(film_paths([data / "lung-masks" / "images"]))
    kinds = sorted(path for path in (data / "not-chest").iterdir() if path.is_dir())
    return {s: read(p) for s, p in named.items()}, {k.name: read(list(film_paths([k]))) for k in kinds}


def views_of(job: tuple[dict[str, np.ndarray], dict[str, np.ndarray], int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return some views for training and their kinds."""
    chest, other, number, num = job
    cv2.setNumThreads(1)
    rng = np.random.default_rng([7, number])
    films = GateFilms(chest=chest, other=other, **draw_bank(rng, num=1500))
    made = [make_view(films, rng) for _ in range(num)]
    return np.rint(255 * np.array([m[0] for m in made])).astype(np.uint8), np.array([m[1] for m in made])


def refused(found: np.ndarray) -> str:
    """Return the share that is refused with its interval, and the reasons, from probabilities (n, 10)."""
    cut_off = found[:, KINDS.index("cut-off")]
    out = (cut_off > MOST_CUT_OFF) | (found[:, 0] < LEAST_CHEST * (1 - cut_off))
    low, high = wilson_interval(int(out.sum()), out.size)
    said = np.bincount(found[out, 1:].argmax(axis=1), minlength=len(KINDS) - 1)
    words = ", ".join(f"{KINDS[1 + i]} {said[i]}" for i in np.argsort(-said) if said[i])
    return f"refused {out.mean():7.2%} ({low:.2%}-{high:.2%}, {out.sum()} of {out.size}) {words}"


def main() -> None:
    """Train, say what is refused, and write the file where one is named."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path)
    arguments.add_argument("--leave-out", action="append", default=[])
    arguments.add_argument("--views", type=int, default=40_000)
    arguments.add_argument("--epochs", type=int, default=5)
    chosen = arguments.parse_args()
    chest, other = read_all(Path(os.environ["HILUM_DATA"]))
    known = {s: np.delete(chest[s], np.s_[::VALIDATED], axis=0) for s in SOURCES if s not in chosen.leave_out}
    told = {kind: films for kind, films in other.items() if kind not in chosen.leave_out}
    jobs = [(known, told, number, CHUNK) for number in range(-(-chosen.views // CHUNK))]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(views_of, jobs))
    views = np.concatenate([part[0] for part in parts]).astype(np.float32) / np.float32(255)
    model = fit_gate(views, np.concatenate([part[1] for part in parts]), epochs=chosen.epochs, seed=0)

    def look(films: np.ndarray) -> np.ndarray:
        seen = np.array([gate_view(film.astype(np.float32) / np.float32(255)) for film in films])
        return gate_probabilities(model, seen)

    print(f"left out: {', '.join(chosen.leave_out) or 'nothing'}")
    for source, films in chest.items():
        part = films[::VALIDATED] if source in known else films
        print(f"  {source:16} {'validation' if source in known else 'not learned from'}: {refused(look(part))}")
    for kind, films in other.items():
        print(f"  {kind:16} {'learned from' if kind in told else 'not learned from'}: {refused(look(films))}")
    if chosen.out:
        size = seal_gate(model, views[:200], chosen.out, least_chest=LEAST_CHEST, most_cut_off=MOST_CUT_OFF)
        print(f"{chosen.out}: {size} bytes")


if __name__ == "__main__":
    main()
