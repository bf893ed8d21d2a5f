"""Sealing an ensemble: the merged graph and its metadata as one model file, checked against its members on films."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.data.fingerprint import joined_hashes
from hilum.data.phantom import draw_phantom
from hilum.errors import ModelFileError
from hilum.figures import left_out_if_none, to_json
from hilum.film.decode import read_film
from hilum.film.preprocess import Preprocessing, preprocess
from hilum.film.radiograph import Radiograph
from hilum.judge.calibration import Calibration
from hilum.run.answer import softmax
from hilum.run.core import openvino_core
from hilum.run.engine import Engine
from hilum.run.gate import MIN_SIDE_PX, side_px_of
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.ensemble.combination import Combination
from hilum.train.ensemble.members import Films, Member
from hilum.train.ensemble.merge import GraphPart, input_graph, merge_graphs
from hilum.train.ensemble.out_of_bag import HeldOut
from hilum.train.graph_file import write_model
from hilum.version import __version__

__all__ = ["LARGEST_DIFFERENCE", "seal_ensemble"]

LARGEST_DIFFERENCE = 1e-5  # in probability, between the sealed graph and its members
_CHECKED_FILMS = 32


def seal_ensemble(path: Path, held: HeldOut, calibration: Calibration, *, root: Path | None) -> Metadata:
    """Write the members as one model file, and return what it says of itself.

    Args:
        path: The file to write.
        held: The members, and how they are combined.
        calibration: Of the ensemble.
        root: The folder of the films, on which graph and members are then compared; drawn films where there is none.

    Raises:
        ModelFileError: The members cannot be merged, or the merged graph says something else than they do.
    """
    members = [member for source in held.sources for member in source.members]
    parts = [member.graph_part(held.films.findings) for member in members]
    preprocessing = max((member.metadata.preprocessing for member in members), key=lambda one: one.size_px)
    graph = merge_graphs(parts, held.combination, size_px=preprocessing.size_px, equalize=preprocessing.equalize)
    first = members[0].metadata
    metadata = Metadata(
        name=f"{first.training_data.get('name', 'films')}-ensemble",
        findings=held.films.findings,
        preprocessing=preprocessing,
        temperature=calibration.temperature,
        operating_thresholds=calibration.operating_thresholds,
        conformal=calibration.conformal,
        coverage=max(member.metadata.coverage for member in members),
        snomed_ct=first.snomed_ct,
        training_data=_training_data(held),
        ensemble=to_json(_facts(held, calibration)),
        hilum_version=__version__,
    )
    graph.producer_name, graph.producer_version = "hilum", __version__
    write_model(path, graph, metadata)
    films = _films_to_check(preprocessing, held.films, root)
    largest = _largest_difference(path, members, parts, held.combination, films)
    if not largest <= LARGEST_DIFFERENCE:
        raise ModelFileError(
            f"Not sealed: the merged graph and its members differ by {largest:.2g} in probability on {len(films)} "
            f"films; at most {LARGEST_DIFFERENCE:g} is allowed.",
            fix="Please report these backbones together with the versions of onnx and openvino.",
        )
    agreement = {"largest_difference": largest, "n": len(films), "unit": "probability, against the members"}
    metadata = dataclasses.replace(metadata, agreement=agreement)
    write_model(path, graph, metadata)
    return metadata


def _training_data(held: HeldOut) -> dict[str, Any]:
    films = held.films
    learned = ~films.mask("test")
    counts = np.bincount(films.truth[learned], minlength=len(films.findings))
    fingerprints = sorted({source.fingerprint for source in held.sources})
    hashes = ""
    side_px = max(side_px_of(member.metadata.training_data) for source in held.sources for member in source.members)
    for source in held.sources:
        for member in source.members:
            hashes = joined_hashes(hashes, member.metadata.training_data.get("dhash256"))
    return {
        "name": held.sources[0].members[0].metadata.training_data.get("name", ""),
        "num_films": dict(zip(films.findings, counts.tolist(), strict=True)),
        **({"least_side_px": side_px} if side_px < MIN_SIDE_PX else {}),
        **({"dhash256": hashes} if hashes else {}),
        "fingerprint": "+".join(fingerprints),
    }


@dataclass(frozen=True)
class _MemberFacts:
    name: str
    sha256: str
    backbone: str
    seed: int
    size_px: int
    temperature: float


@dataclass(frozen=True, eq=False)
class _StackFacts:
    coefficients: np.ndarray
    penalty: float | None


@dataclass(frozen=True)
class _EnsembleFacts:
    method: str
    mirror: bool  # earlier versions could judge mirror images too
    members: tuple[_MemberFacts, ...]
    calibration: Mapping[str, Any]
    stack: _StackFacts | None = left_out_if_none()


def _facts(held: HeldOut, calibration: Calibration) -> _EnsembleFacts:
    combination = held.combination
    members = tuple(
        _MemberFacts(
            member.name,
            member.sha256,
            source.backbone,
            source.seed,
            member.metadata.preprocessing.size_px,
            member.metadata.temperature,
        )
        for source in held.sources
        for member in source.members
    )
    stacked = combination.coefficients
    stack = None if stacked is None else _StackFacts(stacked, combination.penalty)
    return _EnsembleFacts(combination.method, False, members, calibration.facts, stack)


def _largest_difference(
    path: Path,
    members: list[Member],
    parts: list[GraphPart],
    combination: Combination,
    films: np.ndarray,
) -> float:
    """Return how far the sealed graph is from its members, each run on its own and combined outside the graph."""
    found = Engine(read_model_file(path)).run(films)
    sizes = [part.size_px for part in parts]
    entry = input_graph(sizes, size_px=films.shape[-1], equalize=members[0].metadata.preprocessing.equalize)
    core = openvino_core()
    reduced = core.compile_model(core.read_model(entry.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    views = reduced(films)
    answers = []
    for index, (member, part) in enumerate(zip(members, parts, strict=True)):
        engine, view = Engine(read_model_file(member.path)), np.array(views[f"film_{index}"])
        answers.append(softmax(engine.run(view).logits[:, list(part.order)], part.temperature))
    probabilities = np.stack(answers)  # (M, N, K)
    return float(
        max(
            np.abs(np.asarray(found.members).transpose(1, 0, 2) - probabilities).max(),
            np.abs(softmax(found.logits) - softmax(combination.logits(probabilities))).max(),
        )
    )


def _films_to_check(preprocessing: Preprocessing, films: Films, root: Path | None) -> np.ndarray:
    """Return (N, 1, S, S) real films, or drawn ones where there are none."""
    if root is None:
        drawn = [draw_phantom("Normal", np.random.default_rng(seed), size_px=256) for seed in range(_CHECKED_FILMS)]
        radiographs = [
            Radiograph(np.float32(1 / 255) * film.astype(np.float32), "png", (film.shape[0], film.shape[1]), 8)
            for film in drawn
        ]
    else:
        step = max(1, len(films.rows) // _CHECKED_FILMS)
        paths = [root / row.path for row in films.rows[::step]][:_CHECKED_FILMS]
        radiographs = [read_film(path, min_side_px=preprocessing.decoded_px) for path in paths]
    return np.stack([preprocess(radiograph, preprocessing) for radiograph in radiographs])
