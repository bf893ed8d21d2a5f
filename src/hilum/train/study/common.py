"""What every study shares: its films, its folds, films of other sources, and a folder that a killed study goes on from.

A study compares ways of doing something by cross-validation of the training part, in groups; test films have no part
in it. Films of other sources are answered by the mean of the folds' networks, and judged on the findings in common.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hilum.console import Console
from hilum.data.fingerprint import find_twins
from hilum.errors import InconsistentDataset, InputError
from hilum.figures import json_file_text
from hilum.files import replace_file
from hilum.film.preprocess import Preprocessing
from hilum.train.batches import Films
from hilum.train.prepared import PreparedFilms, prepare_films
from hilum.train.study.settings import StudySettings, check_study
from hilum.train.trial import draw_folds
from hilum.version import __version__

__all__ = ["SEED", "OutsideFilms", "Study", "prepare_outside"]

SEED = 0  # of the folds and of every training in a study


@dataclass(frozen=True, eq=False)
class OutsideFilms:
    """Films of other sources, with findings that the study's films have too.

    Attributes:
        name: Of their data set.
        films: Their pixels; labels count into ``findings``.
        groups: (n,) int.
        findings: Those in common, in hilum's order.
        columns: (C,) int, where they stand among the study's findings.
        left_out: How many were left out: ``other_findings``, ``twins`` of the study's films.
    """

    name: str
    films: Films
    groups: np.ndarray
    findings: tuple[str, ...]
    columns: np.ndarray
    left_out: Mapping[str, int]


class Study:
    """One study's folder and identity.

    Args:
        kind: Its name on the command line.
        data: The data set.
        out: Where its results go.
        settings: How thoroughly it looks.
        external: Films of other sources.
        overwrite: Whether an earlier study in the folder is replaced.
        console: Where messages and progress go.

    Raises:
        InputError: The folder or the data set cannot be used.
        ConfigError: A setting cannot be met.
    """

    def __init__(
        self,
        kind: str,
        data: Path,
        out: Path,
        settings: StudySettings,
        *,
        external: Path | None = None,
        overwrite: bool = False,
        console: Console | None = None,
    ) -> None:
        self.kind, self.data, self.out, self.settings, self.external = kind, data, out, settings, external
        self.console = console or Console()
        self.overwrite = overwrite
        self.work = out / ".work"
        check_study(kind, data, out, settings, external=external, overwrite=overwrite)

    def open(self, prepared: PreparedFilms, outside: OutsideFilms | None, plan: Mapping[str, Any]) -> None:
        """Start the study's folder, or go on with the unfinished study in it.

        Args:
            prepared: Its films.
            outside: Those of other sources.
            plan: All else that decides its results, as JSON.

        Raises:
            InputError: The folder holds an unfinished study of other films or settings.
        """
        prints = zip(prepared.scan.fingerprints, prepared.records, strict=True)
        hashes = sorted(f"{one.file_sha256} {record.path} {record.split}" for one, record in prints)
        digest = hashlib.sha256("\n".join(hashes).encode("utf-8", "surrogateescape"))
        if outside is not None:
            digest.update(outside.films.pixels.tobytes())
        identity = {
            "study": self.kind,
            "films": digest.hexdigest(),
            "folds": self.settings.folds,
            "epochs": self.settings.epochs,
            "plan": dict(plan),
            "hilum": __version__,
        }
        marker = self.work / "study.json"
        if marker.exists() and not self.overwrite:
            if json.loads(marker.read_text(encoding="utf-8")) != json.loads(json.dumps(identity)):
                raise InputError(
                    f"`{self.out}` holds an unfinished study with other settings or films.",
                    fix="Repeat its own command to go on with it, or add --overwrite to begin anew.",
                )
            self.console.say(f"Going on with the unfinished study in {self.out}.")
            return
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        replace_file(marker, json.dumps(identity))

    def folder(self, *names: str) -> Path:
        """Return a folder of one variant's work, made where it does not exist."""
        folder = self.work.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def folds(self, prepared: PreparedFilms) -> np.ndarray:
        """Return the fold of each film, (n,) int; -1 for films of a test part."""
        return draw_folds(prepared, num_folds=self.settings.folds, seed=SEED)

    def remembered(self, make: Callable[[], dict[str, Any]], *names: str) -> dict[str, Any]:
        """Return what was made before under a name, or make it and keep it for a resume."""
        kept = self.folder(*names[:-1]) / f"{names[-1]}.json"
        if not kept.exists():
            replace_file(kept, json_file_text(make()))
        return json.loads(kept.read_text(encoding="utf-8"))

    def finish(self, figures: Mapping[str, Any], page: str) -> None:
        """Write study.json and report.html, and remove what only a resume needs."""
        replace_file(self.out / "report.html", page)
        replace_file(self.out / "study.json", json_file_text(figures))
        shutil.rmtree(self.work)

    def facts(self, prepared: PreparedFilms, outside: OutsideFilms | None) -> dict[str, Any]:
        """Return what study.json says of its films and its thoroughness."""
        used = self.folds(prepared) >= 0
        labels = prepared.films.labels[used]
        told = {
            "study": self.kind,
            "hilum": __version__,
            "data": {
                "name": prepared.scan.dataset.name,
                "n": int(used.sum()),
                "groups": len(np.unique(prepared.scan.groups[used])),
                "findings": {name: int((labels == at).sum()) for at, name in enumerate(prepared.findings)},
            },
            "external": None,
            "seeds": 1,  # earlier versions could repeat the cross-validation
            "folds": self.settings.folds,
        }
        if outside is not None:
            counts = np.bincount(outside.films.labels, minlength=len(outside.findings))
            told["external"] = {
                "name": outside.name,
                "n": len(outside.films),
                "groups": len(np.unique(outside.groups)),
                "findings": dict(zip(outside.findings, counts.tolist(), strict=True)),
                "left_out": dict(outside.left_out),
            }
        return told


def prepare_outside(
    path: Path, prepared: PreparedFilms, preprocessing: Preprocessing, *, console: Console | None = None
) -> OutsideFilms:
    """Return films of other sources, without those that the study's films hold too.

    Args:
        path: A folder of class folders or a CSV manifest; its split does not matter.
        prepared: The study's films.
        preprocessing: The same as theirs.
        console: Where messages and progress go.

    Raises:
        InconsistentDataset: Fewer than two findings are in common.
    """
    others = prepare_films(path, preprocessing, console=console)
    common = tuple(name for name in prepared.findings if name in others.findings)
    if len(common) < 2:
        raise InconsistentDataset(
            f"The films of `{path}` have {len(common)} findings in common with the study's "
            f"({', '.join(prepared.findings)}); an AUROC needs two.",
            fix="Rename its findings in a manifest, or leave --external out.",
        )
    num_own = len(prepared.records)
    twins = find_twins([*prepared.scan.fingerprints, *others.scan.fingerprints])
    twin = np.zeros(len(others.records), dtype=bool)
    for pair in twins:
        low, high = sorted((pair.first, pair.second))
        if low < num_own <= high:
            twin[high - num_own] = True
    named = np.array([others.findings[label] for label in others.films.labels], dtype=object)
    shared = np.isin(named, common)
    kept = np.flatnonzero(shared & ~twin)
    labels = np.array([common.index(name) for name in named[kept]], dtype=np.int64)
    if len(np.unique(labels)) < len(common):
        raise InconsistentDataset(
            f"All films of one finding of `{path}` are also among the study's films.", fix="Give others."
        )
    return OutsideFilms(
        name=others.scan.dataset.name,
        films=Films(others.films.pixels[kept], labels),
        groups=others.scan.groups[kept],
        findings=common,
        columns=np.array([prepared.findings.index(name) for name in common]),
        left_out={"other_findings": int((~shared).sum()), "twins": int((shared & twin).sum())},
    )
