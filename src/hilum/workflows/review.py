"""`hilum review`: what an audit or a run doubts, ready for a person to settle."""

from __future__ import annotations

from pathlib import Path

from hilum.data.decisions import Decisions, reviewed_data
from hilum.data.folder import read_dataset
from hilum.data.run_tables import read_splits
from hilum.errors import InputError
from hilum.findings import open_kinds
from hilum.judge.audit.doubts import doubts_of
from hilum.results import json_with
from hilum.run.classifier import Classifier
from hilum.serve.review import Review
from hilum.workflows.audit import read_faults

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
    faults = read_faults(folder / "audit.json")
    filed = {record.path: record.finding for record in dataset.records}
    named = {path for fault in faults for path in fault.paths}
    if named and not named & filed.keys():
        raise InputError(
            f"None of the {len(named):,} films that `{folder / 'audit.json'}` names is in `{data}`.",
            fix="Name the data that was audited: --data DATA",
        )
    splits = folder / "splits.csv"
    drawn = {row.path: row.split for row in read_splits(splits)} if splits.is_file() else {}
    if model is None and (folder / "model.onnx").is_file():
        model = folder
    return Review(
        name=dataset.name,
        root=dataset.root,
        doubts=doubts_of(faults, filed),
        decisions=Decisions(folder, data, dataset),
        findings=tuple(name for name in dataset.findings if not open_kinds(name, dataset.findings)),
        parts=drawn | {record.path: record.split for record in dataset.records if record.split},
        folder=folder,
        who=who,
        classifier=Classifier(model) if model else None,
    )
