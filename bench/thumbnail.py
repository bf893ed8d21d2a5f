"""What a trivial model scores: an SVM on 8x8-pixel thumbnails of the test films of a data set with train/ and test/.

python bench/thumbnail.py DATA
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from hilum.data.folder import read_dataset
from hilum.judge.metrics import wilson_interval


def main() -> None:
    """Print the accuracy at 8x8 and 16x16 pixels with its interval."""
    dataset = read_dataset(Path(sys.argv[1]))
    splits = np.array([record.split for record in dataset.records])
    findings = np.array([record.finding for record in dataset.records])
    for side in (8, 16):
        thumbnails = []
        for record in dataset.records:
            with Image.open(dataset.root / record.path) as image:
                thumbnails.append(np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX)).ravel())
        x = np.array(thumbnails, dtype=np.float64)
        model = make_pipeline(StandardScaler(), SVC(C=10.0)).fit(x[splits == "train"], findings[splits == "train"])
        right = model.predict(x[splits == "test"]) == findings[splits == "test"]
        low, high = wilson_interval(int(right.sum()), right.size)
        print(
            f"{side}x{side}: {right.sum()} of {right.size} right, {right.mean():.1%} ({100 * low:.1f}-{100 * high:.1f})"
        )


if __name__ == "__main__":
    main()
