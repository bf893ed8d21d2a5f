"""`hilum adapt --unlabelled`: the mix of findings of one place, from films without findings, put into a model."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console, count_of
from hilum.data.filmlist import list_films
from hilum.data.folder import Dataset, FilmRecord
from hilum.data.scan import scan_films
from hilum.errors import InconsistentDataset
from hilum.figures import json_file_text, to_json
from hilum.files import make_folder, replace_files
from hilum.judge.adaptation import MixAdaptation, Parent, ShareFigures
from hilum.judge.calibration import SCORE_EDGES
from hilum.judge.conformal import LEAST_FINDING_FILMS
from hilum.judge.predictions import LabelledPredictions, judge_records
from hilum.report.adaptation import mix_card, mix_page
from hilum.run.answer import softmax
from hilum.run.classifier import Classifier
from hilum.run.modelfile import Metadata, read_model_file
from hilum.text import printable
from hilum.train.correction import Correction
from hilum.train.graph_file import seal_corrected
from hilum.train.label_shift import LabelShift, estimate_shift
from hilum.version import __version__
from hilum.workflows.local_films import ADAPTED_FOLDER, LEAST_FILMS, sample_films, trained_films

__all__ = ["MixAdapted", "adapt_unlabelled"]


@dataclass(frozen=True, eq=False)
class MixAdapted:
    """What `hilum adapt --unlabelled` found.

    Attributes:
        adaptation: The mix of findings, and the checks.
        is_written: Whether there is a new model: only where the checks say that it helps.
        num_unread: Films that cannot be read or show no chest.
    """

    adaptation: MixAdaptation
    is_written: bool
    num_unread: int


def adapt_unlabelled(
    model: Path, films: Path, out: Path, *, overwrite: bool = False, console: Console | None = None
) -> MixAdapted:
    """Estimate the mix of findings among films, and write a model for it where that helps.

    Args:
        model: A model file, the folder of a run, or the name of a model that ships. It is not changed.
        films: A folder of films, or a list; findings are neither needed nor used.
        out: The folder for the new model. Nothing is written where the checks speak against it.
        overwrite: Whether an earlier adapted model in the folder is replaced.
        console: Where messages and progress go; nowhere by default.

    Raises:
        InputError: The films are too few or cannot be listed, or the folder holds other results.
        ModelFileError: The model file cannot be used.
    """
    console = console or Console()
    ADAPTED_FOLDER.check(out, overwrite=overwrite, data=films if films.is_dir() else None, reads=(model, films))
    parent, classifier = read_model_file(model), Classifier(model)
    judged, groups, num_unread = _judge(classifier, films, console)
    shift = estimate_shift(
        judged.probabilities,
        _known_mix(parent.metadata),
        groups,
        scores=_scores(parent.metadata),
        num_unfamiliar=sum(any(one.code == "unfamiliar" for one in answer.reasons) for answer in judged.answers),
    )
    made = _figures(Parent(parent.metadata.name, parent.sha256), films, judged, shift)
    if shift.reason:
        return MixAdapted(made, False, num_unread)
    temperature = parent.metadata.temperature
    correction = Correction("constants", temperature, shift.log_ratios * temperature)
    after = softmax(judged.logits + correction.constants, temperature)
    metadata = _metadata(parent.metadata, made, after, shift)
    pictures, places = sample_films(classifier, Path(), judged.records)
    with tempfile.TemporaryDirectory(prefix="hilum-adapt-") as folder:
        path = Path(folder) / "model.onnx"
        expected = (judged.logits + correction.constants)[places]
        seal_corrected(path, parent, correction, metadata, (pictures, expected))
        sealed = path.read_bytes()
    make_folder(out)
    parts: dict[str, Any] = dict.fromkeys(("test", "test_clean", "validation", "cross_validation"))
    replace_files(
        {
            out / "report.html": mix_page(made),
            out / "model.onnx": sealed,
            out / "metrics.json": json_file_text({**parts, "adaptation": made}),
        }
    )
    return MixAdapted(made, True, num_unread)


def _judge(classifier: Classifier, films: Path, console: Console) -> tuple[LabelledPredictions, np.ndarray, int]:
    """Return what the model says of the films it was not trained on, their groups, and how many cannot be read.

    Raises:
        InconsistentDataset: Too few films are left.
    """
    records = tuple(FilmRecord(str(path), "", None) for path in list_films([films]))
    with console.bar(f"Reading {count_of(len(records), 'film')}", 1.0) as done:
        scan = scan_films(Dataset(Path(), films.stem, records), done=done)
    kept = np.flatnonzero(~trained_films(classifier, scan))
    if left_out := len(scan.groups) - len(kept):
        console.say(f"Left out, since the model was trained on them: {count_of(left_out, 'film')}.")
    if len(kept) < LEAST_FILMS:
        raise InconsistentDataset(
            f"{count_of(len(kept), 'film')} of `{films}` can be used; expected at least {LEAST_FILMS}.",
            fix="Add films of your own.",
        )
    part = scan.part(kept)
    judged = judge_records(classifier, Path(), part.dataset.records, known_only=False, console=console)
    return judged, part.groups, len(scan.unread)


def _known_mix(metadata: Metadata) -> np.ndarray:
    """Return the mix (K,) of the films that a model was calibrated on; an even one where its file does not say."""
    counts = [float(metadata.conformal.get(name, {}).get("n", 0)) for name in metadata.findings]
    values = np.array(counts) + 1.0
    return np.asarray(values / values.sum())


def _scores(metadata: Metadata) -> np.ndarray | None:
    """Return the distribution of the calibration films' probabilities (K, K, B); None in files that lack it."""
    try:
        counts = np.array(metadata.calibration["scores"], np.float64)
    except (KeyError, ValueError):
        return None
    num = len(metadata.findings)
    return counts if counts.shape == (num, num, len(SCORE_EDGES) + 1) else None


def _figures(parent: Parent, films: Path, judged: LabelledPredictions, shift: LabelShift) -> MixAdaptation:
    return MixAdaptation(
        parent=parent,
        data=printable(films.resolve().stem),
        n=len(judged.records),
        shares={
            name: ShareFigures(float(before), interval)
            for name, before, interval in zip(judged.findings, shift.before, shift.intervals, strict=True)
        },
        p_shift=shift.p_shift,
        p_fit=shift.p_fit,
        reason=shift.reason,
    )


def _metadata(shipped: Metadata, made: MixAdaptation, after: np.ndarray, shift: LabelShift) -> Metadata:
    """Return the metadata of the new file: limits and thresholds by what the probabilities (n, K) say of these films.

    The limit of a finding takes in the films that make up the model's coverage of its expected number. Sensitivity plus
    specificity is then largest where a finding is as probable as it is frequent.
    """
    conformal = {}
    for index, name in enumerate(shipped.findings):
        misfit = 1 - after[:, index]
        order = np.argsort(misfit)
        share = np.cumsum(after[order, index]) / after[:, index].sum()
        limit = misfit[order][min(int(np.searchsorted(share, shipped.coverage)), len(order) - 1)]
        conformal[name] = {"threshold": float(limit), "n": round(float(after[:, index].sum()))}
        if conformal[name]["n"] < LEAST_FINDING_FILMS:  # too few to go by
            conformal[name] = dict(shipped.conformal.get(name, conformal[name]))
    return dataclasses.replace(
        shipped,
        name=f"{shipped.name}-adapted",
        operating_thresholds=dict(zip(shipped.findings, shift.after.tolist(), strict=True)),
        conformal=conformal,
        figures={},
        evaluation={},
        adaptation=to_json(made),
        model_card=shipped.model_card + mix_card(made),
        hilum_version=__version__,
    )
