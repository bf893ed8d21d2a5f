"""What a training step costs with the C library's memory as it comes and as commands that train set it (run/memory.py).

    python bench/train_step.py [--backbone efficientnet-lite0] [--repeats 5] [--steps 6]

Each repeat runs both in processes of their own, in turns; the films are noise, as the cost does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

BATCH, FINDINGS = 32, 4


def measure(backbone: str, size_px: int, num_steps: int, *, held: bool) -> dict[str, float]:
    """Return seconds a step, on the clock and of the processor in user and system mode, and the peak memory in MB."""
    if held:
        from hilum.run.memory import hold_memory

        hold_memory()
    import keras
    import numpy as np

    from hilum.train.networks import build_network

    model = build_network(backbone, num_findings=FINDINGS, size_px=size_px, weights="none", dropout=0.2).model
    model.compile(optimizer=keras.optimizers.AdamW(1e-4), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    films = np.random.default_rng(0).random((BATCH, size_px, size_px, 1), np.float32)
    targets = np.eye(FINDINGS, dtype=np.float32)[np.arange(BATCH) % FINDINGS]
    for _ in range(2):
        model.train_on_batch(films, targets)
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(num_steps):
        model.train_on_batch(films, targets)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds / num_steps,
        "user_seconds": (after.ru_utime - before.ru_utime) / num_steps,
        "system_seconds": (after.ru_stime - before.ru_stime) / num_steps,
        "peak_mb": after.ru_maxrss / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="efficientnet-lite0")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--measure", choices=["as it comes", "held"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        held = options.measure == "held"
        print(json.dumps(measure(options.backbone, options.size_px, options.steps, held=held)))
        return
    rows: dict[str, list[dict[str, Any]]] = {"as it comes": [], "held": []}
    for repeat in range(options.repeats):
        for way in rows if repeat % 2 else reversed(rows):
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--measure", way], check=True, stdout=subprocess.PIPE
            )
            rows[way].append(json.loads(done.stdout.splitlines()[-1]))
    for way, found in rows.items():
        told = ", ".join(f"{name} {statistics.median(row[name] for row in found):.2f}" for name in found[0])
        print(f"{way}: {told} (medians of {options.repeats})")
    ratios = sorted(
        plain["seconds"] / held["seconds"] for plain, held in zip(rows["as it comes"], rows["held"], strict=True)
    )
    print(f"held is {statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
