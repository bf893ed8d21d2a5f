"""One thing that is wrong with a data set, in one shape for every part of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["SEVERITIES", "Fault"]

SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a data set.

    Attributes:
        kind: What kind of fault, one word for programs.
        severity: ``error`` (do not train on it as it is), ``warning`` or ``note``.
        message: What was found, for people.
        paths: The films it is about, relative to the data set; of a leak the test film, then its twins.
        figure: The number behind it, or None.
    """

    kind: str
    severity: str
    message: str
    paths: tuple[str, ...] = ()
    figure: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fault as it stands in audit.json."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "paths": list(self.paths),
            "figure": self.figure,
        }
