"""How many changed copies of real films are found as twins, and which pairs are found besides.

    HILUM_DATA=... python bench/twin_recall.py [--films N] [--copies 60] [--seed 7]

Of the pool's films some are copied, each changed in one way and recompressed as JPEG of quality 90; all copies and all
films are searched at once. The pairs found besides are listed to be looked at.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from hilum.data.fingerprint import Fingerprint, find_twins, fingerprint
from hilum.data.folder import read_dataset
from hilum.film.decode import decode

Change = Callable[[np.ndarray], np.ndarray]


def cut(left: float, right: float, top: float, bottom: float) -> Change:
    """Return what cuts shares of the width and height off the four sides."""

    def change(film: np.ndarray) -> np.ndarray:
        height, width = film.shape
        rows = slice(round(top * height), height - round(bottom * height))
        return film[rows, round(left * width) : width - round(right * width)]

    return change


def pad(share: float, value: int, *, below_only: bool = False) -> Change:
    """Return what adds margins."""

    def change(film: np.ndarray) -> np.ndarray:
        high, wide = (round(share * side) for side in film.shape)
        top, side = (0, 0) if below_only else (high, wide)
        return cv2.copyMakeBorder(film, top, high, side, side, cv2.BORDER_CONSTANT, value=value)

    return change


def jpeg(film: np.ndarray, quality: int) -> np.ndarray:
    """Return a film after JPEG compression."""
    return cv2.imdecode(cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def stretch(film: np.ndarray) -> np.ndarray:
    """Return a film whose 3rd and 97th percentile became black and white."""
    low, high = np.percentile(film, (3, 97))
    return np.clip((film - low) / max(1, high - low) * 255, 0, 255).astype(np.uint8)


def clahe(clip: float) -> Change:
    """Return what equalises in 8 x 8 tiles."""
    return lambda film: cv2.createCLAHE(clip, (8, 8)).apply(np.ascontiguousarray(film))


CHANGES: dict[str, Change] = {
    "mirrored": lambda film: film[:, ::-1],
    "JPEG quality 30": lambda film: jpeg(film, 30),
    "contrast stretch": stretch,
    "gamma 0.6": lambda film: (255 * (film / 255) ** 0.6).astype(np.uint8),
    "gamma 1.6": lambda film: (255 * (film / 255) ** 1.6).astype(np.uint8),
    "CLAHE, clip 2": clahe(2),
    "CLAHE, clip 4": clahe(4),
    "2 % off, top left": cut(0.02, 0, 0.02, 0),
    "2 % off, all round": cut(0.01, 0.01, 0.01, 0.01),
    "5 % off, top left": cut(0.05, 0, 0.05, 0),
    "5 % off, bottom right": cut(0, 0.05, 0, 0.05),
    "5 % off, all round": cut(0.025, 0.025, 0.025, 0.025),
    "10 % off, top left": cut(0.1, 0, 0.1, 0),
    "10 % off, top right": cut(0, 0.1, 0.1, 0),
    "10 % off, bottom left": cut(0.1, 0, 0, 0.1),
    "10 % off, bottom right": cut(0, 0.1, 0, 0.1),
    "10 % off, all round": cut(0.05, 0.05, 0.05, 0.05),
    "10 % off, bottom": cut(0, 0, 0, 0.1),
    "black margins, 3 % a side": pad(0.03, 0),
    "black margins, 5 % a side": pad(0.05, 0),
    "white margins, 5 % a side": pad(0.05, 255),
    "black margin, 8 % at the bottom": pad(0.08, 0, below_only=True),
    "mirrored, 5 % off, JPEG quality 30": lambda film: jpeg(cut(0.05, 0, 0, 0.05)(film[:, ::-1]), 30),
    "10 % off each of the four sides": cut(0.1, 0.1, 0.1, 0.1),
    "10 % off and CLAHE, clip 2": lambda film: clahe(2)(cut(0.03, 0.07, 0.05, 0.05)(film)),
}


def main() -> None:
    """Print recall by change, then the other pairs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--films", type=int, help="search among so many films of the pool only")
    options.add_argument("--copies", type=int, default=60, help="of each kind")
    options.add_argument("--seed", type=int, default=7)
    given = options.parse_args()
    dataset = read_dataset(Path(os.environ["HILUM_DATA"]) / "pool" / "manifest.csv")
    rng = np.random.default_rng(given.seed)
    records = [dataset.records[one] for one in rng.permutation(len(dataset.records))[: given.films]]
    sources = {name: set(rng.choice(len(records), given.copies, replace=False).tolist()) for name in CHANGES}

    def read(position: int) -> list[tuple[str, int, Fingerprint]]:
        record = records[position]
        data = (dataset.root / record.path).read_bytes()
        film = decode(data, name=record.path)
        made = [("", position, fingerprint(data, film))]
        grey = np.round(film.pixels * 255).astype(np.uint8)
        for name, change in CHANGES.items():
            if position in sources[name]:
                changed = cv2.imencode(".jpg", np.ascontiguousarray(change(grey)), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
                made.append((name, position, fingerprint(changed.tobytes(), decode(changed.tobytes()))))
        return made

    with ThreadPoolExecutor(2) as pool:
        films = [one for made in pool.map(read, range(len(records))) for one in made]
    found: Counter[str] = Counter()
    others = []
    for twin in find_twins([one for _, _, one in films]):
        (first, one, _), (second, other, _) = films[twin.first], films[twin.second]
        if one == other and not (first and second):
            found[first or second] += 1
        elif one != other and not (first or second):
            others.append((twin.correlation, twin.likeness, records[one].path, records[other].path))
    for name in CHANGES:
        print(f"{name:36} {found[name]:4} of {given.copies}  {found[name] / given.copies:.3f}")
    print(f"\n{len(others)} pairs of films besides:")
    for correlation, likeness, one, other in sorted(others):
        print(f"  {correlation:.3f} {likeness:9} {one}  {other}")


if __name__ == "__main__":
    main()
