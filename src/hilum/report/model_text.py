"""What a model file holds, in lines for the terminal."""

from __future__ import annotations

from hilum.console import count_of
from hilum.judge.parts import PARTS, parts_from_json
from hilum.report.verdict import saved_verdict_lines
from hilum.run.modelfile import Metadata
from hilum.text import percent_text, range_text

__all__ = ["model_lines"]


def model_lines(metadata: Metadata, sha256: str) -> list[str]:
    """Return what a model is, what it learned from, what it refuses, its figures and its thresholds."""
    training = metadata.training_data
    counts = ", ".join(f"{name} {count}" for name, count in dict(training.get("num_films") or {}).items())
    lines = [
        f"{metadata.name}: {', '.join(metadata.findings)}",
        f"SHA-256 {sha256}",
        f"Format {metadata.format_version}, film decoder {metadata.decoder_version}, made by hilum "
        f"{metadata.hilum_version or 'of an unknown version'}; films of {metadata.preprocessing.size_px} pixels a side",
        f"Learned from: {training.get('name') or 'not stated'}{f' ({counts})' if counts else ''}",
    ]
    if adapted := metadata.adaptation:
        films = count_of(int(adapted["n"]), "film")
        lines.append(f"Adapted from {adapted['parent']['name']} with {films} of {adapted['data']}")
    if members := metadata.ensemble.get("members"):
        lines.append(f"An ensemble of {count_of(len(members), 'model')}")
    lines.append(
        "Refuses films unlike those that it learned from: "
        f"{percent_text(metadata.gate['refused_fraction'])} of similar films"
        if metadata.gate
        else "Refuses no film for being unlike those that it learned from"
    )
    lines += saved_verdict_lines(metadata.figures)
    for part, figures in parts_from_json(metadata.figures).items():
        accuracy = figures.accuracy
        lines.append(
            f"{PARTS[part][0]}: {percent_text(accuracy.value)} of {count_of(figures.n, 'film')} right "
            f"({range_text(accuracy)})"
        )
    lines.append(f"Temperature {metadata.temperature:.3f}; sets hold the truth of {percent_text(metadata.coverage, 0)}")
    for name in metadata.findings:
        limit = metadata.conformal.get(name)
        known = f"; in the set from {1 - limit['threshold']:.3f} ({limit['n']} films)" if limit else ""
        threshold = metadata.operating_thresholds.get(name, 0.5)
        lines.append(f"  {name}: present from a probability of {threshold:.3f}{known}")
    return [*lines, *([metadata.notice] if metadata.notice else [])]
