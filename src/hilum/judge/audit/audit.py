"""The audit of a data set: read the films, measure what could mislead a model, and run all checks.

Other packages add checks by an entry point that is a `Check`, or a list of them:

    [project.entry-points."hilum.checks"]
    hospital = "our_package.checks:CHECKS"
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from hilum.console import Console, count_of
from hilum.data.folder import read_dataset
from hilum.data.scan import Scan, scan_films
from hilum.errors import InputError, nearest_name
from hilum.judge.audit import ages, associations, films, provenance, suspects, trivial_scores
from hilum.judge.audit.ages import age_confound
from hilum.judge.audit.associations import associate_traits
from hilum.judge.audit.check import SEVERITIES, AuditData, Check, CheckResults, Fault, JudgedFilms, run_checks
from hilum.judge.audit.figures import AuditFigures
from hilum.judge.audit.traits import TraitCollector
from hilum.judge.audit.trivial_scores import score_trivial_models
from hilum.judge.shortcuts import verdict

__all__ = [
    "HILUM_CHECKS",
    "Audit",
    "AuditContents",
    "all_checks",
    "audit_data",
    "audit_films",
    "check_ignored",
    "check_of",
    "count_films",
    "measure_films",
]


@dataclass(frozen=True, eq=False)
class AuditContents:
    """What audit.json holds.

    Attributes:
        faults: What is wrong, errors first.
        figures: The numbers behind it.
        checks: What came of each check: ``code``, ``status``, ``why``.
        ignored: The codes of the checks that the user ignores.
    """

    faults: tuple[Fault, ...]
    figures: AuditFigures
    checks: Sequence[Mapping[str, str]]
    ignored: Sequence[str]


@dataclass(frozen=True, eq=False)
class Audit:
    """What the audit of a data set found.

    Attributes:
        data: The films, and the numbers behind the faults.
        results: What came of each check.
    """

    data: AuditData
    results: CheckResults

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults, errors first; those that the user ignores are left out."""
        return self.results.faults

    @property
    def num_errors(self) -> int:
        """Return how many faults forbid training on the data set as it is."""
        return sum(fault.severity == "error" for fault in self.faults)

    def with_films(self, films: Mapping[str, Mapping[str, int]]) -> Audit:
        """Return the audit with other counts of films by split and finding: those of the split that a run draws."""
        figures = dataclasses.replace(self.data.figures, films=films)
        return dataclasses.replace(self, data=dataclasses.replace(self.data, figures=figures))

    def with_answers(self, judged: JudgedFilms) -> Audit:
        """Return the audit with what models say of the films; checks that could not be applied are tried again."""
        data = dataclasses.replace(self.data, judged=judged)
        again = run_checks(data, [outcome.check for outcome in self.results.of_status("not_applicable")]).outcomes
        by_code = {outcome.check.code: outcome for outcome in (*self.results.outcomes, *again)}
        return Audit(data, CheckResults(tuple(by_code.values())))

    def contents(self) -> AuditContents:
        """Return what audit.json holds."""
        return AuditContents(
            self.faults,
            self.data.figures,
            checks=[outcome.to_dict() for outcome in self.results.outcomes],
            ignored=[outcome.check.code for outcome in self.results.of_status("ignored")],
        )


def audit_data(
    data: Path,
    *,
    judge: Callable[[Scan], JudgedFilms] | None = None,
    ignore: Iterable[str] = (),
    console: Console | None = None,
) -> Audit:
    """Audit a data set as it lies on disk; nothing is written.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV manifest.
        judge: Returns what models say of films that they did not learn from, to find wrong labels.
        ignore: Kinds of faults that do not count.
        console: Where progress goes; nowhere by default.

    Raises:
        InputError: The data set cannot be used, or there is no such kind of fault.
        MissingExtra: scikit-learn is not installed.
    """
    console, ignore = console or Console(), check_ignored(ignore)
    dataset = read_dataset(data)
    look = TraitCollector(len(dataset.records))
    with console.bar(f"Reading {count_of(len(dataset.records), 'film')} of {dataset.name}", 1.0) as done:
        scan = scan_films(dataset, look=look, done=done)
    splits = tuple(record.split or "train" for record in scan.dataset.records)
    films = AuditData(scan, splits, look.of(scan), judged=judge(scan) if judge else None)
    with console.bar("Checking whether the finding can be guessed without seeing the lungs", 1.0) as done:
        return audit_films(films, ignore=ignore, done=done)


def audit_films(
    films: AuditData, *, ignore: Iterable[str] = (), done: Callable[[float], None] = lambda _: None
) -> Audit:
    """Measure films that were read, and run all checks on them.

    Args:
        films: The films, without figures.
        ignore: Kinds of faults that do not count.
        done: Called with the share of the work that has been done since the last call.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    measured = dataclasses.replace(films, figures=measure_films(films, done=done))
    return Audit(measured, run_checks(measured, all_checks(), ignore=ignore))


def measure_films(films: AuditData, *, done: Callable[[float], None] = lambda _: None) -> AuditFigures:
    """Return the numbers of audit.json: films, groups and findings by split, trivial models, traits and ages.

    Args:
        films: The films; without traits the figures are counts only.
        done: Called with the share of the work that has been done since the last call.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    scan, stated = films.scan, films.stated
    examined = bool(films.traits)
    return AuditFigures(
        num_films=len(scan.dataset.records),
        num_unreadable=scan.num_unread,
        num_refused=scan.num_refused,
        num_groups=len(set(scan.groups.tolist())),
        num_twin_pairs=len(scan.twins),
        films=count_films(scan, films.splits),
        trivial_models=score_trivial_models(stated, done=done) if examined else None,
        traits=associate_traits(stated) if examined else None,
        ages=age_confound(stated) if examined else None,
    )


def count_films(scan: Scan, splits: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of films of each finding, by split."""
    counts = Counter((split, record.finding) for split, record in zip(splits, scan.dataset.records, strict=True))
    return {
        split: {finding: counts[split, finding] for finding in scan.dataset.findings}
        for split in ("train", "validation", "test")
    }


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
