"""The files that an audit leaves: report.html and audit.json, and the folder they may lie in."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hilum.data.walk import is_inside
from hilum.errors import InputError
from hilum.files import replace_file
from hilum.judge.audit.all_faults import Audit
from hilum.judge.audit.report import audit_page

__all__ = ["check_audit_folder", "write_audit"]

_FILES = ("audit.json", "report.html")
_OTHERS = ("metrics.json", "config.toml")  # a run's or an evaluation's


def check_audit_folder(out: Path, data: Path, *, overwrite: bool) -> None:
    """Refuse a folder for an audit that lies in the data set, or holds results that must not be replaced.

    Args:
        out: The folder; it need not exist.
        data: The data set.
        overwrite: Whether an earlier audit is replaced. A training run or an evaluation never is.

    Raises:
        InputError: The folder cannot be used.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"Cannot write the audit into `{out}`: it is a file.", fix="Choose another folder.")
    if os.path.isdir(data) and is_inside(os.path.realpath(out), os.path.realpath(data)):  # noqa: PTH112
        raise InputError(f"The audit's folder `{out}` lies in the data set.", fix="Choose another folder for --out.")
    if any((out / name).exists() for name in _OTHERS):
        raise InputError(f"`{out}` holds a run or an evaluation; it was not touched.", fix="Choose another folder.")
    if not overwrite and any((out / name).exists() for name in _FILES):
        raise InputError(
            f"`{out}` holds an earlier audit; it was not touched.", fix="Choose another folder, or add --overwrite."
        )


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
    replace_file(out / "report.html", audit_page(audit))
    replace_file(out / "audit.json", json.dumps(audit.to_dict(), ensure_ascii=False, indent=1) + "\n")
