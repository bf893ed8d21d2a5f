"""The files that an audit leaves: report.html and audit.json, and the folder they may lie in."""

from __future__ import annotations

from pathlib import Path

from hilum.errors import InputError
from hilum.figures import json_file_text
from hilum.files import replace_files
from hilum.judge.audit.all_faults import Audit
from hilum.report.audit_page import audit_page
from hilum.results import ResultFolder

__all__ = ["check_audit_folder", "write_audit"]

_FOLDER = ResultFolder(
    of="audit",
    finished="an earlier audit; it was",
    files=("audit.json", "report.html"),
    marks={"audit.json": frozenset({"faults", "figures"})},
    others=("metrics.json", "config.toml"),
)


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
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write into `{out}`: {error.strerror}.", fix="Choose another folder.") from error
    replace_files(
        {
            out / "report.html": audit_page(audit),
            out / "audit.json": json_file_text(audit.to_dict()),
        }
    )
