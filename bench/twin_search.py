"""Time and memory of the search for twins, by the number of films.

    python bench/twin_search.py [--most 100000]

Fingerprints are drawn: a shading common to all, random detail as coarse and fine as that of films, and of every
hundredth film a mirrored, cropped copy, which must be found. Each number of films runs in a process of its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import cv2
import numpy as np

from hilum.data.fingerprint import Fingerprint, find_twins

COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000)


def draw(count: int) -> tuple[list[Fingerprint], set[tuple[int, int]]]:
    """Return fingerprints, and which pairs of them are planted."""
    rng = np.random.default_rng(0)
    shading = 80 * np.outer(np.sin(np.linspace(0, np.pi, 96)), np.cos(np.linspace(-3, 3, 96)))
    films, planted = [], set()
    num_films = count - count // 100
    for number in range(num_films):
        film = 128 + shading
        for size in (6, 12, 24, 48):
            film = film + 14 * cv2.resize(rng.standard_normal((size, size)), (96, 96), interpolation=cv2.INTER_CUBIC)
        film = np.clip(film, 0, 255).astype(np.uint8)
        films.append(_fingerprint(film, number, rng))
        if number % 100 == 0 and len(planted) < count // 100:
            copy = np.ascontiguousarray(film[5:, 4:-3][:, ::-1])
            planted.add((number, num_films + len(planted)))
            films.append(_fingerprint(copy, -number - 1, rng))
    originals = [film for film in films if not film.file_sha256.startswith("-")]
    copies = [film for film in films if film.file_sha256.startswith("-")]
    return originals + copies, planted


def _fingerprint(film: np.ndarray, name: int, rng: np.random.Generator) -> Fingerprint:
    words = rng.integers(0, 2**64, 4, dtype=np.uint64)
    return Fingerprint(str(name), words, cv2.resize(film, (64, 64), interpolation=cv2.INTER_AREA))


def main() -> None:
    """Print the table and the exponent."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--most", type=int, default=COUNTS[-1])
    options.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.one:
        films, planted = draw(given.one)
        wall, cpu = time.perf_counter(), time.process_time()
        twins = {(twin.first, twin.second) for twin in find_twins(films)}
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(given.one, wall, cpu, peak, len(twins & planted) / len(planted), len(twins - planted))
        return
    print("   films   seconds  CPU s  peak MiB  found  others")
    rows = []
    for count in (one for one in COUNTS if one <= given.most):
        command = [sys.executable, __file__, "--one", str(count)]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        row = [float(word) for word in line.split()]
        rows.append(row)
        print(f"{count:8,} {row[1]:9.1f} {row[2]:6.1f} {row[3]:9.0f} {row[4]:6.3f} {row[5]:7.0f}", flush=True)
    if len(rows) > 1:
        table = np.log(np.array(rows)[:, :3])
        print(f"CPU time grows with the power {np.polyfit(table[:, 0], table[:, 2], 1)[0]:.2f} of the number of films")


if __name__ == "__main__":
    main()
