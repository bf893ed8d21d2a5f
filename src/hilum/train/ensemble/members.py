"""The members of an ensemble: finished runs, or the folds of runs, and what each has said of films it had not seen.

An argument is a run's folder, whose model.onnx then is a member, or its folder ``folds``, whose models all are. A
film's held-out answer comes from a model that saw neither it nor its group: of a run with folds the out-of-fold one.
The folds of a run give one such answer a film, by the fold that had left it out.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from hilum.data.folder import read_dataset
from hilum.data.run_tables import SavedPredictions, SplitRow, read_predictions, read_splits
from hilum.errors import InconsistentDataset, InputError
from hilum.run.modelfile import Metadata, read_model_file
from hilum.train.ensemble.merge import GraphPart

__all__ = ["Films", "Member", "Source", "common_films", "read_sources"]

FOLDS = "folds"
_FIX = "Give folders that `hilum train` left, or their folders `folds`."


@dataclass(frozen=True, eq=False)
class Member:
    """One model file of an ensemble.

    Attributes:
        name: The run's name, with the fold's behind it.
        path: The file.
        sha256: Of the file.
        metadata: What it says of itself.
    """

    name: str
    path: Path
    sha256: str
    metadata: Metadata

    def graph_part(self, findings: Sequence[str]) -> GraphPart:
        """Return the member as the merged graph needs it, for findings in this order."""
        own = self.metadata.findings
        order = tuple(own.index(name) for name in findings)
        return GraphPart(onnx.load(self.path), self.metadata.temperature, self.metadata.preprocessing.size_px, order)


@dataclass(frozen=True, eq=False)
class Source:
    """A run that one or more members come from.

    Attributes:
        name: The run's name.
        folder: The run's folder.
        members: Its model, or its folds.
        is_folds: Whether the members are its folds.
        judged: Its answers.
        splits: Its splits.csv.
        backbone: As in its config.toml.
        seed: As in its config.toml.
        fingerprint: Of the films it was not tested on.
    """

    name: str
    folder: Path
    members: tuple[Member, ...]
    is_folds: bool
    judged: SavedPredictions
    splits: tuple[SplitRow, ...]
    backbone: str
    seed: int
    fingerprint: str

    @property
    def has_folds(self) -> bool:
        """Whether the run has answered every film of its train and validation parts out of fold."""
        return "cross_validation" in self.judged.parts

    @property
    def held_out_part(self) -> str:
        """Return the part of predictions.csv whose films the answering model had not learned from."""
        return "cross_validation" if self.has_folds else "validation"

    def held_out_models(self) -> list[tuple[Path, list[str]]]:
        """Return each model file with the paths of the films it had left out, in the order of predictions.csv.

        Raises:
            InputError: The folds cannot be told apart.
        """
        paths = list(self.judged.parts.get(self.held_out_part, {}))
        if not self.has_folds:
            return [(self.folder / "model.onnx", paths)]
        place = {row.path: position for position, row in enumerate(self.splits)}
        folds: list[list[str]] = []
        for path in paths:  # films rise in a fold, so a step back begins the next one
            if not folds or place[path] < place[folds[-1][-1]]:
                folds.append([])
            folds[-1].append(path)
        files = _fold_files(self.folder / FOLDS)
        if len(files) != len(folds):
            raise InputError(
                f"`{self.folder}` has {len(files)} fold models, but its predictions.csv shows {len(folds)} folds.",
                fix="Train it again with --overwrite. If it starts from hilum-chest, every fold needs films that those "
                "weights were not learned from.",
            )
        return list(zip(files, folds, strict=True))


@dataclass(frozen=True, eq=False)
class Films:
    """The films of the data set that all members come from.

    Attributes:
        rows: One a film, in the order of splits.csv; ``split`` is the ensemble's: test where no run had it in train or
            validation, validation where no model learned from it, else train.
        findings: K names.
        truth: (n,) int.
        groups: (n,) int.
    """

    rows: tuple[SplitRow, ...]
    findings: tuple[str, ...]
    truth: np.ndarray
    groups: np.ndarray

    def probabilities(self, source: Source, part: str) -> np.ndarray:
        """Return a run's answers (n, K) on a part; NaN for the films that are not in it."""
        values = np.full((len(self.rows), len(self.findings)), np.nan)
        answers = source.judged.parts.get(part, {})
        for position, row in enumerate(self.rows):
            if row.path in answers:
                answer = answers[row.path]
                values[position] = [float(answer[f"probability_{name}"]) for name in self.findings]
        return values

    def mask(self, split: str) -> np.ndarray:
        """Return which films (n,) are in a split."""
        return np.array([row.split == split for row in self.rows], dtype=bool)

    def root_in(self, data: Path) -> Path:
        """Return the folder of a data set that the films' paths are relative to.

        Raises:
            InconsistentDataset: It lacks a film, or labels it with another finding.
        """
        dataset = read_dataset(data)
        found = {record.path: record.finding for record in dataset.records}
        for row in self.rows:
            if found.get(row.path) != row.finding:
                raise InconsistentDataset(
                    f"`{data}` is not the data set of these runs: `{row.path}` is "
                    f"{'missing' if row.path not in found else 'labelled with another finding'}.",
                    fix="Give the folder or CSV that they were trained on.",
                )
        return dataset.root


def read_sources(folders: Sequence[Path]) -> tuple[Source, ...]:
    """Return the runs behind an ensemble, known to fit together.

    One run alone stands for its folds.

    Args:
        folders: Runs, or their folders ``folds``.

    Raises:
        InputError: A folder holds no finished run, one is named twice, or there are fewer than two members.
        InconsistentDataset: The members tell other findings apart, or prepare films otherwise.
        ModelFileError: A model file cannot be used.
    """
    named = [folder.resolve() for folder in folders]
    if twice := [str(folder) for folder in folders if named.count(folder.resolve()) > 1]:
        raise InputError(f"`{twice[0]}` is named twice.", fix="Name every member once.")
    if len(named) == 1 and not _is_folds(named[0]):
        if not (named[0] / FOLDS).is_dir():
            raise InputError(
                f"`{folders[0]}` alone is not enough: an ensemble needs two runs or more, or one run with folds.",
                fix="Add runs, or train it with --folds 5.",
            )
        named = [named[0] / FOLDS]
    sources = tuple(_read_source(folder) for folder in named)
    members = [member for source in sources for member in source.members]
    if len(members) < 2:
        raise InputError("An ensemble needs two members or more.", fix=_FIX)
    first = members[0]
    for member in members[1:]:
        if set(member.metadata.findings) != set(first.metadata.findings):
            raise InconsistentDataset(
                f"`{member.name}` knows {', '.join(member.metadata.findings)}, but `{first.name}` knows "
                f"{', '.join(first.metadata.findings)}. Members must know the same findings.",
                fix="Leave it out.",
            )
        settings = [dict(dataclasses.asdict(one.metadata.preprocessing), size_px=0) for one in (first, member)]
        if settings[0] != settings[1]:
            differing = next(key for key in settings[0] if settings[0][key] != settings[1][key])
            raise InconsistentDataset(
                f"`{member.name}` has the preprocessing {differing} = {settings[1][differing]}, `{first.name}` "
                f"{settings[0][differing]}. Only size_px may differ between members.",
                fix="Leave it out, or train it with the same preprocessing.",
            )
    return sources


def common_films(sources: Sequence[Source]) -> Films:
    """Return the films of the one data set that the runs were trained on.

    Raises:
        InconsistentDataset: The runs were not trained on the same data set.
    """
    first = sources[0]
    labels = {row.path: row.finding for row in first.splits}
    seen = {row.path for row in first.splits if row.split != "test"}
    for source in sources[1:]:
        other = {row.path: row.finding for row in source.splits}
        is_seen_alike = {row.path for row in source.splits if row.split != "test"} == seen
        if other != labels or (is_seen_alike and source.fingerprint != first.fingerprint):
            differing = sorted(set(other.items()) ^ set(labels.items()))
            what = f"`{differing[0][0]}` is not the same in both" if differing else "films of the same name differ"
            raise InconsistentDataset(
                f"`{source.name}` and `{first.name}` were not trained on the same data set: {what}.",
                fix="Train the members on one data set.",
            )
    splits = [{row.path: row.split for row in source.splits} for source in sources]
    rows = []
    for row in first.splits:
        roles = {split[row.path] for split in splits}
        learned = any(
            split[row.path] == "train"
            or (source.is_folds and split[row.path] != "test")
            or (split[row.path] == "test" and row.path not in source.judged.parts.get("test", {}))  # by first weights
            for split, source in zip(splits, sources, strict=True)
        )
        joint = "train" if learned else "test" if roles == {"test"} else "validation"
        rows.append(SplitRow(row.path, row.finding, joint, row.group))
    findings = first.members[0].metadata.findings
    truth = np.array([findings.index(row.finding) for row in rows], dtype=np.int64)
    return Films(tuple(rows), findings, truth, np.array([row.group for row in rows], dtype=np.int64))


def _read_source(folder: Path) -> Source:
    is_folds = _is_folds(folder)
    run = folder.parent if is_folds else folder
    try:
        settings = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"`{folder}` holds no finished run of `hilum train`.", fix=_FIX) from error
    if "backbone" not in settings or not isinstance(metrics, Mapping):
        raise InputError(
            f"`{folder}` was not made by `hilum train`. An ensemble cannot be a member of another one.", fix=_FIX
        )
    judged = read_predictions(run)
    files = _fold_files(folder) if is_folds else [run / "model.onnx"]
    if is_folds and "cross_validation" not in judged.parts:
        raise InputError(f"`{run}` has no out-of-fold answers.", fix="Train it with --folds 5.")
    members = tuple(_read_member(path, f"{run.name}/{path.stem}" if is_folds else run.name) for path in files)
    whole = members[0].metadata if not is_folds else read_model_file(run / "model.onnx").metadata
    return Source(
        name=f"{run.name}/{FOLDS}" if is_folds else run.name,
        folder=run,
        members=members,
        is_folds=is_folds,
        judged=judged,
        splits=read_splits(run / "splits.csv"),
        backbone=str(settings["backbone"]),
        seed=int(settings.get("seed", 0)),
        fingerprint=str(whole.training_data.get("fingerprint", "")),
    )


def _read_member(path: Path, name: str) -> Member:
    model = read_model_file(path)
    return Member(name, path, model.sha256, model.metadata)


def _is_folds(folder: Path) -> bool:
    return folder.name == FOLDS and not (folder / "config.toml").exists()


def _fold_files(folder: Path) -> list[Path]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise InputError(f"Cannot read the folder `{folder}`: {error.strerror}.", fix=_FIX) from error
    numbers = sorted(
        int(name[5:-5])
        for name in names
        if name.startswith("fold-") and name.endswith(".onnx") and name[5:-5].isdigit()
    )
    return [folder / f"fold-{number}.onnx" for number in numbers]
