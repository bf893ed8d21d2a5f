"""`hilum audit`: check a data set, leave report.html and audit.json, and write a corrected list of the films."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hilum.console import Console
from hilum.data.run_tables import read_predictions
from hilum.errors import InputError, MissingExtra, nearest_name
from hilum.extras import is_installed
from hilum.figures import from_json, json_file_text
from hilum.files import replace_files, writing_into
from hilum.judge.audit.audit import Audit, audit_data, check_ignored
from hilum.judge.audit.check import SEVERITIES, Fault
from hilum.judge.audit.suspects import SUSPECT, judge_unseen
from hilum.report.audit_page import audit_page
from hilum.results import ResultFolder
from hilum.run.classifier import Classifier
from hilum.workflows.repair import DROPPED_ON_REQUEST, check_place, write_repair

__all__ = ["AuditPlaces", "AuditRun", "audit_command", "check_audit_folder", "read_faults", "write_audit"]

_FOLDER = ResultFolder(
    of="audit",
    finished="an earlier audit",
    files=("audit.json", "report.html"),
    marks={"audit.json": frozenset({"faults", "figures"})},
    others=("metrics.json", "config.toml"),
)


@dataclass(frozen=True)
class AuditPlaces:
    """Where an audit writes.

    Attributes:
        out: The folder for report.html and audit.json; None: nothing is written.
        repair: The corrected list of the films, a .csv; None: none is written.
        overwrite: Whether an earlier audit and an earlier list there are replaced.
        drop: Kinds of faults whose films the corrected list leaves out on request: `DROPPED_ON_REQUEST`.
    """

    out: Path | None = None
    repair: Path | None = None
    overwrite: bool = False
    drop: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class AuditRun:
    """What `hilum audit` did.

    Attributes:
        audit: What was found.
        num_kept: Films in the corrected list; 0 where none was asked for.
        num_dropped: Films that it leaves out.
    """

    audit: Audit
    num_kept: int = 0
    num_dropped: int = 0


def audit_command(
    data: Path,
    places: AuditPlaces,
    *,
    model: Path | None = None,
    ignore: Iterable[str] = (),
    console: Console | None = None,
) -> AuditRun:
    """Audit a data set and write what was asked for. Every place is checked before the first film is read.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV manifest.
        places: Where to write.
        model: A model file or the folder of a run, to find wrong labels. Films that the model was trained on are judged
            by the run's folds, where it has any.
        ignore: Kinds of faults that do not count.
        console: Where progress goes; nowhere by default.

    Raises:
        InputError: The data set or a place cannot be used, or there is no such kind of fault.
        ModelFileError: The model file cannot be used.
        MissingExtra: scikit-learn is not installed.
    """
    if not is_installed("sklearn"):
        raise MissingExtra("The audit", "train")
    ignored = check_ignored(ignore)
    if places.out is not None:
        check_audit_folder(places.out, data, overwrite=places.overwrite)
    if places.repair is not None:
        check_place(places.repair, data, overwrite=places.overwrite)
    _check_drop(places, model, ignored)
    console = console or Console()
    judge = partial(judge_unseen, Classifier(model), _crossed(model), console=console) if model else None
    audit = audit_data(data, judge=judge, ignore=ignored, console=console)
    for outcome in audit.results.of_status("not_applicable"):
        if outcome.check.comes_from:
            console.say(f"The check {outcome.check.code} was not applied: {outcome.why}")
    if places.out is not None:
        write_audit(audit, places.out)
    if places.repair is None:
        return AuditRun(audit)
    return AuditRun(audit, *write_repair(audit, places.repair, data, overwrite=places.overwrite, drop=places.drop))


def _crossed(model: Path) -> Mapping[str, Mapping[str, str]]:
    """Return path to line of predictions.csv of the films that the folds of a run judged; nothing of a lone model."""
    is_run = model.is_dir() and (model / "predictions.csv").is_file()
    return read_predictions(model).parts.get("cross_validation", {}) if is_run else {}


def _check_drop(places: AuditPlaces, model: Path | None, ignored: Collection[str]) -> None:
    """Refuse kinds of faults whose films cannot be left out, or would not be found.

    Raises:
        InputError: It is so.
    """
    for kind in places.drop:
        if kind not in DROPPED_ON_REQUEST:
            raise InputError(
                f"Films of the kind `{kind}` cannot be left out on request.", fix=nearest_name(kind, DROPPED_ON_REQUEST)
            )
        if places.repair is None:
            raise InputError("`--drop` needs `--repair OUT.csv`.", fix="Say where to write the corrected list.")
        if kind in ignored:
            raise InputError(f"`{kind}` is both ignored and to be dropped.", fix="Choose one of the two.")
        if kind == SUSPECT and model is None:
            raise InputError(f"`--drop {kind}` needs a model that judges the films.", fix="Give one with `--model`.")


def check_audit_folder(out: Path, data: Path, *, overwrite: bool) -> None:
    """Refuse a folder for an audit that lies in the data set, or holds results that must not be replaced.

    Args:
        out: The folder; it need not exist.
        data: The data set.
        overwrite: Whether an earlier audit is replaced. A training run or an evaluation never is.

    Raises:
        InputError: The folder cannot be used.
    """
    _FOLDER.check(out, overwrite=overwrite, data=data)


def write_audit(audit: Audit, out: Path) -> None:
    """Write report.html and audit.json.

    Args:
        audit: What was found.
        out: The folder; made where it does not exist.

    Raises:
        InputError: The folder cannot be written to.
    """
    with writing_into(out):
        out.mkdir(parents=True, exist_ok=True)
    replace_files({out / "report.html": audit_page(audit), out / "audit.json": json_file_text(audit.contents())})


def read_faults(path: Path) -> list[Fault]:
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
