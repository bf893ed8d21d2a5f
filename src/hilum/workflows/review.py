"""`hilum review`: what an audit or a run doubts, ready for a person to settle."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from hilum.data.decisions import Decisions, reviewed_data
from hilum.data.folder import read_dataset
from hilum.errors import InputError
from hilum.figures import from_json
from hilum.findings import open_kinds
from hilum.judge.audit.check import SEVERITIES, Fault
from hilum.judge.audit.doubts import doubts_of
from hilum.results import json_with
from hilum.run.classifier import Classifier
from hilum.serve.review import Review
from hilum.text import plain_path

__all__ = ["open_review"]


def open_review(folder: Path, *, data: Path | None, who: str, model: Path | None = None) -> Review:
    """Return what is to be reviewed; earlier decisions are gone on with.

    Args:
        folder: The folder of `hilum audit --out` or of `hilum train`. The decisions are kept in it.
        data: The data set that was audited; None: the one of the review that is gone on with.
        who: The person who decides.
        model: The model for heat maps; by default the model.onnx in the folder, where there is one.

    Raises:
        InputError: The folder holds no audit, the data set is not given or another one, or a file cannot be written.
        ModelFileError: The model file cannot be used.
    """
    if not json_with(folder / "audit.json", ("faults", "figures")):
        raise InputError(
            f"`{folder}` holds no audit.json.", fix="Give the folder of `hilum audit DATA --out DIR`, or of a run."
        )
    data = data or reviewed_data(folder)
    if data is None:
        raise InputError("Runs and audits do not keep where their films are.", fix="Name them: --data DATA")
    dataset = read_dataset(data)
    faults = _faults(folder / "audit.json")
    filed = {record.path: record.finding for record in dataset.records}
    named = {path for fault in faults for path in fault.paths}
    if named and not named & filed.keys():
        raise InputError(
            f"None of the {len(named):,} films that `{folder / 'audit.json'}` names is in `{data}`.",
            fix="Name the data that was audited: --data DATA",
        )
    if model is None and (folder / "model.onnx").is_file():
        model = folder
    return Review(
        name=dataset.name,
        root=dataset.root,
        doubts=doubts_of(faults, filed),
        decisions=Decisions(folder, data, dataset),
        findings=tuple(name for name in dataset.findings if not open_kinds(name, dataset.findings)),
        parts=_parts(folder) | {record.path: record.split for record in dataset.records if record.split},
        folder=folder,
        who=who,
        classifier=Classifier(model) if model else None,
    )


def _faults(path: Path) -> list[Fault]:
    """Return the faults in an audit.json.

    Raises:
        InputError: It is not as hilum writes it.
    """
    try:
        faults = [from_json(Fault, one) for one in json.loads(path.read_text(encoding="utf-8"))["faults"]]
        if not all(fault.severity in SEVERITIES and isinstance(fault.paths, tuple) for fault in faults):
            raise ValueError("a severity or paths")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"`{path}` is not as `hilum audit` writes it.", fix="Audit the films again.") from error
    return faults


def _parts(folder: Path) -> dict[str, str]:
    """Return the part that a run drew for each film; nothing of an audit."""
    splits = folder / "splits.csv"
    if not splits.is_file():
        return {}
    with splits.open(encoding="utf-8", newline="") as lines:
        return {plain_path(row["path"]): row["split"] for row in csv.DictReader(lines)}
