"""Fit the table behind hilum.film.lungs on films with manual lung masks, and measure it on films it did not see.

Half of the films fit, half judge; the table that is written is the one that was judged. Needs the extra `train`.

    HILUM_DATA=... python bench/lung_shape.py [--write]
"""

import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge

from hilum.film import lungs
from hilum.film.decode import read_film
from hilum.film.radiograph import Radiograph

NUM_SHAPES = 12
VIEWS = 8  # of a film that fits: as it is, and cut or padded at random, as films of other sets are


def cut(film: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return film and mask with each side moved in by up to 15 % or out, with black, by up to 6 %."""
    height, width = film.shape
    top, bottom, left, right = rng.uniform(-0.06, 0.15, 4) * (height, height, width, width)
    pad = round(0.06 * max(height, width)) + 1
    rows = slice(pad + round(top), pad + height - round(bottom))
    columns = slice(pad + round(left), pad + width - round(right))
    return np.pad(film, pad)[rows, columns], np.pad(mask, pad)[rows, columns]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / max(one.sum() + other.sum(), 1))


def thousandths(values: np.ndarray) -> list:
    return np.rint(1000 * values).astype(int).tolist()


def told(name: str, scores: list[float]) -> None:
    print(f"{name}: Dice {np.mean(scores):.3f}, 5th percentile {np.percentile(scores, 5):.3f}, n = {len(scores)}")


def radiograph(pixels: np.ndarray) -> Radiograph:
    return Radiograph(np.ascontiguousarray(pixels, np.float32), "jpeg", pixels.shape, 8)


def main() -> None:
    cv2.setNumThreads(1)
    root = Path(os.environ["HILUM_DATA"]) / "lung-masks"
    films, masks = [], []
    for path in sorted((root / "images").iterdir()):
        films.append(read_film(path).pixels)
        mask = cv2.imread(str(root / "masks" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE) > 0
        masks.append(mask)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(films))
    fitting, judging = order[: len(films) // 2], order[len(films) // 2 :]

    pairs = [(films[i], masks[i]) for i in fitting]
    pairs += [cut(*pairs[i], rng) for _ in range(VIEWS - 1) for i in range(len(fitting))]
    windows = [lungs.window(radiograph(film)) for film, _ in pairs]
    thumbs = np.stack([lungs.thumbnail(window) for window in windows])
    side = (lungs.SHAPE_PX, lungs.SHAPE_PX)
    truth = [cv2.resize(mask.astype(np.float32), side, interpolation=cv2.INTER_AREA) for _, mask in pairs]
    flat = np.stack(truth).reshape(len(pairs), -1)
    shapes = PCA(NUM_SHAPES, random_state=0).fit(flat)
    ridge = Ridge(alpha=3.0).fit(thumbs, shapes.transform(flat))
    table = {
        "weights": thousandths(ridge.coef_.T),  # (thumbnail, shape)
        "mean": thousandths(shapes.mean_ + ridge.intercept_ @ shapes.components_),
        "shapes": thousandths(shapes.components_),
    }
    rough = [lungs.rough_shape(window, table) for window in windows]
    columns = np.concatenate(
        [lungs.evidence(w, p)[::3, ::3].reshape(-1, lungs.NUM_EVIDENCE) for w, p in zip(windows, rough, strict=True)]
    )
    size = (lungs.WINDOW_PX, lungs.WINDOW_PX)
    full = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)[::3, ::3] for _, mask in pairs]
    target = np.concatenate([one.ravel() for one in full]) > 0.5
    logistic = LogisticRegression(max_iter=500).fit(columns, target)
    table["refine"] = thousandths(np.array([*logistic.coef_[0], logistic.intercept_[0]]))

    shape_only, refined, cut_films = [], [], []
    for i in judging:
        mask = masks[i]
        window = lungs.window(radiograph(films[i]))
        height, width = mask.shape
        rough_mask = cv2.resize(lungs.rough_shape(window, table), (width, height)) > 0.5
        shape_only.append(dice(rough_mask, mask))
        refined.append(dice(lungs.lung_mask(radiograph(films[i]), table), mask))
        film, mask = cut(films[i], masks[i], rng)
        cut_films.append(dice(lungs.lung_mask(radiograph(film), table), mask))
    told("shape alone", shape_only)
    told("refined (lung_mask)", refined)
    told("lung_mask on films cut at random", cut_films)
    if "--write" in sys.argv:
        path = Path(lungs.__file__).with_name("lung_shape.json")
        path.write_text(json.dumps(table, separators=(",", ":")).replace("],[", "],\n[") + "\n", encoding="utf-8")
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
