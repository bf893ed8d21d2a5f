"""All checks of the audit: hilum's own, and those that other packages add by the entry point group ``hilum.checks``.

A package adds checks by an entry point that is a `Check`, or a list of them:

    [project.entry-points."hilum.checks"]
    hospital = "our_package.checks:CHECKS"
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from hilum.errors import InputError, nearest_name
from hilum.judge.audit import ages, associations, films, provenance, suspects, trivial_scores
from hilum.judge.audit.check import SEVERITIES, Check
from hilum.judge.shortcuts import verdict

__all__ = ["HILUM_CHECKS", "all_checks", "check_ignored", "check_of"]

HILUM_CHECKS: tuple[Check, ...] = (
    *provenance.CHECKS,
    *suspects.CHECKS,
    *associations.CHECKS,
    *trivial_scores.CHECKS,
    *ages.CHECKS,
    *verdict.CHECKS,
    *films.CHECKS,
)
GROUP = "hilum.checks"


@cache
def all_checks() -> tuple[Check, ...]:
    """Return hilum's checks and those of plug-ins, in the order in which a report shows them.

    A plug-in that cannot be used is a check that cannot be applied and says why; it stops nothing.
    """
    checks = {check.code: check for check in HILUM_CHECKS}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        origin = f"`{entry.dist.name if entry.dist else entry.value}`"
        try:
            found = _loaded(entry, origin, checks)
        except Exception as error:  # noqa: BLE001 - whatever somebody else's package does
            name = entry.name if entry.name not in checks else f"{entry.name} of {origin}"
            found = [_unusable(name, origin, f"{type(error).__name__}: {error}")]
        checks.update((check.code, check) for check in found)
    return tuple(checks.values())


def check_of(code: str) -> Check:
    """Return the check with a code; one that is not installed here is named by its code alone."""
    known = next((check for check in all_checks() if check.code == code), None)
    return known or Check(code, code.replace("-", " ").capitalize(), "note", "", "", lambda _: None)


def check_ignored(codes: Iterable[str]) -> tuple[str, ...]:
    """Return codes to ignore, each once, in the order of the checks.

    Raises:
        InputError: There is no such check.
    """
    chosen, known = set(codes), [check.code for check in all_checks()]
    for code in sorted(chosen - set(known)):
        raise InputError(f"`{code}` is no kind of fault.", fix=nearest_name(code, known))
    return tuple(code for code in known if code in chosen)


def _loaded(entry: EntryPoint, origin: str, known: Iterable[str]) -> Sequence[Check]:
    """Return the checks of an entry point.

    Raises:
        ValueError: It is no check, or has the code of another.
        Exception: Whatever the package raises.
    """
    loaded = entry.load()
    found = [loaded] if isinstance(loaded, Check) else list(loaded)
    for check in found:
        if not isinstance(check, Check) or check.severity not in SEVERITIES:
            raise ValueError(f"expected hilum.judge.audit.check.Check with a severity of {SEVERITIES}, got {check!r}")
        if check.code in known:
            raise ValueError(f"there is a check with the code `{check.code}` already")
    return [dataclasses.replace(check, comes_from=origin) for check in found]


def _unusable(name: str, origin: str, error: str) -> Check:
    why = f"The checks of {origin} cannot be loaded: {error}"
    return Check(name, name, "note", "", "", lambda _: None, (lambda _: why,), comes_from=origin)
