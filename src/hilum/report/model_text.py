"""What a model file holds, in lines for the terminal."""

from __future__ import annotations

from hilum.console import count_of
from hilum.judge.parts import PARTS, distinct_parts, parts_from_json
from hilum.report.verdict import saved_verdict_lines
from hilum.run.modelfile import Metadata
from hilum.text import interval_words, percent_text, range_text

__all__ = ["model_lines"]


def model_lines(metadata: Metadata, sha256: str) -> list[str]:
    """Return what a model knows, if it can be believed and why, what it learned from, and its limits."""
    lines = [f"{metadata.name} knows {count_of(len(metadata.findings), 'finding')}: {', '.join(metadata.findings)}."]
    lines += saved_verdict_lines(metadata.figures)
    for part, figures in distinct_parts(parts_from_json(metadata.figures)).items():
        accuracy = figures.accuracy
        lines.append(
            f"{PARTS[part][0]}: {percent_text(accuracy.value)} of {count_of(figures.n, 'film')} right"
            f"{interval_words(range_text(accuracy))}"
        )
    lines += [*_origin(metadata), _refusal(metadata)]
    lines.append(
        f"The set of possible findings is made to hold the true one for {percent_text(metadata.coverage, 0)} of films "
        "like those that the model learned from."
    )
    for name in metadata.findings:
        limit = metadata.conformal.get(name)
        known = f"; in the set from {1 - limit['threshold']:.3f} ({limit['n']} films)" if limit else ""
        threshold = metadata.operating_thresholds.get(name, 0.5)
        lines.append(f"  {name}: present from a probability of {threshold:.3f}{known}")
    lines += [
        f"Temperature: {metadata.temperature:.3f}. Film size: {metadata.preprocessing.size_px} pixels a side.",
        f"File: format {metadata.format_version}, film decoder {metadata.decoder_version}, made by hilum "
        f"{metadata.hilum_version or 'of an unknown version'}. SHA-256: {sha256}",
    ]
    return [*lines, *([metadata.notice] if metadata.notice else [])]


def _origin(metadata: Metadata) -> list[str]:
    """Return which films the model learned from, and which models it was made of."""
    training = metadata.training_data
    counts = ", ".join(f"{name} {count:,}" for name, count in dict(training.get("num_films") or {}).items())
    name = training.get("name") or "a data set without a name"
    lines = [f"It learned from {name}{f': {counts} films' if counts else ''}."]
    if adapted := metadata.adaptation:
        films = count_of(int(adapted["n"]), "film")
        lines.append(f"It was adapted from {adapted['parent']['name']} with {films} of {adapted['data']}.")
    if members := metadata.ensemble.get("members"):
        lines.append(f"It is an ensemble of {count_of(len(members), 'model')}.")
    return lines


def _refusal(metadata: Metadata) -> str:
    if not metadata.gate:
        return "It refuses no film for being unlike those that it learned from."
    share = percent_text(metadata.gate["refused_fraction"])
    return f"It refuses films unlike those that it learned from. Of films like them, it also refuses about {share}."
