"""The functions of the Python API. Each calls the workflow of its command; paths are str or Path alike.

Results lie in the folder ``out``, as the command would leave them. Without one they lie in a temporary folder, and
``save`` copies them. Nothing that exists is written over, unless ``overwrite`` says that an earlier result of the same
kind is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.api.places import AnyPath, console_of, data_path, out_folder
from hilum.api.results import AdaptResult, AuditResult, EvaluateResult, Model, TrainResult, model_path
from hilum.errors import InputError
from hilum.figures import to_json
from hilum.workflows.training_extra import check_training, load_training

if TYPE_CHECKING:
    import keras
    import numpy as np

__all__ = ["adapt", "audit", "cross_validate", "evaluate", "train"]


def audit(
    data: AnyPath,
    *,
    out: AnyPath | None = None,
    repair: AnyPath | None = None,
    model: Model | None = None,
    drop: Collection[str] = (),
    ignore: Collection[str] = (),
    column: Mapping[str, str] | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> AuditResult:
    """Return what is wrong with a data set before a model is trained on it. Nothing in the data is changed.

    Args:
        data: A folder of class folders, one with train/ and test/ of such, or a CSV file with the columns path and
            finding and optionally split, patient, source, group, age.
        out: The folder for report.html and audit.json.
        repair: A new CSV file: the list of the films without the faults that can be mended automatically.
        model: Also look for wrong labels: those that this model contradicts, on films that it was not trained on.
        drop: Kinds of faults whose films the repaired list leaves out: ``["suspect-label"]``.
        ignore: Kinds of faults that do not count.
        column: Names of the columns of a CSV file, if hilum does not know them: ``{"path": "file", "finding": "dx"}``.
        overwrite: Whether earlier results of an audit are replaced.
        verbose: Whether messages and progress go to standard error.

    Raises:
        InputError: The data set or a place cannot be used, or there is no such kind of fault.
        MissingExtra: The extra `train` is not installed.

    Example:
        >>> found = hilum.audit("films/")  # doctest: +SKIP
        >>> [fault.message for fault in found.faults if fault.severity == "error"]  # doctest: +SKIP
    """
    from hilum.workflows.audit import AuditPlaces, audit_command

    folder = out_folder(out, "audit")
    places = AuditPlaces(folder, Path(repair) if repair is not None else None, overwrite=overwrite, drop=drop)
    judge = None if model is None else model_path(model)
    found = audit_command(
        data_path(data, column), places, model=judge, ignore=ignore, console=console_of(verbose=verbose)
    ).audit
    return AuditResult(folder, found.faults, found.data.figures, to_json(found.contents()))


def train(
    data: AnyPath,
    /,
    *,
    out: AnyPath | None = None,
    backbone: str | keras.Model | Callable[[tuple[int, int, int]], keras.Model] | None = None,
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    log: str | None = None,
    config: AnyPath | None = None,
    column: Mapping[str, str] | None = None,
    overwrite: bool = False,
    verbose: bool = False,
    **settings: Any,
) -> TrainResult:
    """Return a model that was trained on a data set and judged on its test films.

    Args:
        data: As for `audit`.
        out: The folder of the run. An unfinished run with the same films and settings is continued.
        backbone: The network: a name as for ``hilum train --backbone``, or a network of your own. Your own takes films
            (N, S, S, 1) or (N, S, S, 3), float32 in [0, 1], bone bright, and returns feature maps (N, h, w, D); hilum
            adds pooling and a linear head. Give a ``keras.Model``, whose weights are the starting weights, or a
            function that takes the input shape (S, S, 1) and returns a new one. All of it is trained from where it
            starts; with ``weights="imagenet"`` first a head is fitted on its features, then its upper layers train too.
            Scaling and normalising belong into the network.
        augment: Your own augmentation, in place of the settings': it takes a batch of training films (n, S, S, 1),
            float32 in [0, 1], bone bright, and a NumPy random generator, and returns films of the same shape and
            range. It is called by several threads. It is not applied in the last fifth of the steps, nor to other
            films.
        callbacks: Keras callbacks, the same for all folds. An epoch's logs hold ``val_loss`` and ``val_accuracy``.
        log: ``"tensorboard"`` or ``"mlflow"``: settings, curves, figures, faults, model and report go there too; see
            docs/how-to/train.md.
        config: A file with settings, run.toml.
        column: As for `audit`.
        overwrite: Whether an earlier run in the folder is replaced.
        verbose: Whether messages and progress go to standard error.
        settings: The words of run.toml: ``seed=1``, ``folds=5``, ``weights="none"``, ``by_source=True``, and sections
            as dictionaries: ``fit={"epochs": 5}``, ``preprocessing={"size_px": 64}``. They win over the file.

    Raises:
        InputError: The data set cannot be used, or the folder holds something else.
        ConfigError: A setting is unknown or out of range, or the network does not fit.
        MissingExtra: The extra `train` is not installed, or `track` for MLflow.

    Example:
        >>> run = hilum.train("films/", seed=0)  # doctest: +SKIP
        >>> run.metrics.test.accuracy.value, run.model.predict("film.png").finding  # doctest: +SKIP
        (0.96, 'Normal')
    """
    check_training()
    source, folder = data_path(data, column), out_folder(out, "train")
    load_training()
    from hilum.api.own_parts import chosen_config, own_parts
    from hilum.workflows.train import train_model

    chosen = chosen_config(source, Path(config) if config is not None else None, backbone, settings)
    own = own_parts(backbone, augment, callbacks, chosen, log=log)
    run = train_model(source, folder, chosen, overwrite=overwrite, console=console_of(verbose=verbose), extensions=own)
    return TrainResult(run.folder, run.metrics, run.num_unread, run.faults)


def cross_validate(data: AnyPath, /, *, folds: int = 5, **words: Any) -> TrainResult:
    """Return a training run whose training films are also judged by networks that did not learn from them.

    The films are divided into folds, those of a patient together. ``metrics.cross_validation`` has the figures, and the
    table the answers (part ``cross_validation``). The model of the run is trained as well.

    Args:
        data: As for `audit`.
        folds: Number of folds.
        words: All that `train` takes.

    Raises:
        InputError, ConfigError, MissingExtra: As `train`.

    Example:
        >>> run = hilum.cross_validate("films/", folds=5, backbone="plain-cnn")  # doctest: +SKIP
        >>> run.metrics.cross_validation.accuracy  # doctest: +SKIP
    """
    return train(data, folds=folds, **words)


def evaluate(
    model: Model,
    data: AnyPath,
    *,
    out: AnyPath | None = None,
    map: Mapping[str, str] | None = None,  # the word of the command line
    shortcuts: bool = False,
    prevalence: float | None = None,
    column: Mapping[str, str] | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> EvaluateResult:
    """Return how good a model is on films with known findings. If the data have a test part, only that is used.

    Args:
        model: The path or name of a model as for `load`, what `load` returned, or the result of `train` or `adapt`.
        data: As for `audit`.
        out: The folder for metrics.json, predictions.csv, splits.csv and report.html.
        map: Names of findings in the data set to the model's names for them: ``{"Pneumonia": "Viral Pneumonia"}``.
        shortcuts: Also test for shortcuts, into report and shortcuts.json. It takes at least half a minute.
        prevalence: The share of films that have a finding, for what the answers are worth there: predictive values,
            in ``metrics.at_prevalence``.
        column: As for `audit`.
        overwrite: Whether earlier results are replaced.
        verbose: Whether messages and progress go to standard error.

    Raises:
        InputError: The data set cannot be used, or the results cannot be written.
        ModelFileError: The model file cannot be used.

    Example:
        >>> found = hilum.evaluate("run", "other-hospital/")  # doctest: +SKIP
        >>> found.metrics.test.accuracy.value  # doctest: +SKIP
        0.91
    """
    from hilum.workflows.evaluate import EvaluateOptions, evaluate_model

    options = EvaluateOptions(mapping=_pairs(map), overwrite=overwrite, shortcuts=shortcuts, prevalence=prevalence)
    source, folder = data_path(data, column), out_folder(out, "evaluate")
    metrics, num_unread = evaluate_model(
        model_path(model), source, folder, options=options, console=console_of(verbose=verbose)
    )
    return EvaluateResult(folder, metrics, num_unread)


def adapt(
    model: Model,
    local: AnyPath,
    *,
    out: AnyPath | None = None,
    map: Mapping[str, str] | None = None,  # the word of the command line
    ignore: Collection[str] = (),
    unlabelled: bool = False,
    column: Mapping[str, str] | None = None,
    coverage: float | None = None,
    overwrite: bool = False,
    verbose: bool = False,
) -> AdaptResult:
    """Return a model adapted to one hospital with 20 to 500 films of it. It takes seconds and needs no extra.

    Args:
        model: As for `evaluate`. It is not changed.
        local: Films of the place with findings, as for `audit`.
        out: The folder for the new model.onnx, metrics.json, report.html, predictions.csv and config.toml.
        map: As for `evaluate`.
        ignore: Kinds of faults that do not count: ``["class-by-source"]`` where the findings come from different
            places.
        unlabelled: The films have no findings. Only their mix is estimated, and used where checks say that it helps.
        column: As for `audit`.
        coverage: Share of local films whose set of possible findings is made to hold the true one; 0.9 by default.
        overwrite: Whether an earlier adapted model in the folder is replaced.
        verbose: Whether messages and progress go to standard error.

    Raises:
        InputError: The films cannot be used or are too few, or the folder holds other results.
        ModelFileError: The model file cannot be used.

    Example:
        >>> ours = hilum.adapt("chest", "our-films/", out="ours")  # doctest: +SKIP
        >>> ours.model.predict("film.png").finding  # doctest: +SKIP
        'Normal'
    """
    path, films = model_path(model), data_path(local, column)
    folder, console = out_folder(out, "adapt"), console_of(verbose=verbose)
    if unlabelled:
        if map or ignore or coverage is not None:
            raise InputError(
                "`map`, `ignore` and `coverage` need findings; unlabelled films have none.", fix="Leave them out."
            )
        from hilum.report.adaptation import mix_words
        from hilum.workflows.adapt_unlabelled import adapt_unlabelled

        mix = adapt_unlabelled(path, films, folder, overwrite=overwrite, console=console)
        return AdaptResult(folder, mix.adaptation, mix_words(mix.adaptation), is_written=mix.is_written)
    from hilum.report.adaptation import verdict_words
    from hilum.workflows.adapt import adapt_model
    from hilum.workflows.local_films import AdaptOptions

    options = AdaptOptions(_pairs(map), tuple(ignore), overwrite=overwrite, coverage=coverage)
    made = adapt_model(path, films, folder, options=options, console=console)
    adaptation = made.metrics.adaptation
    return AdaptResult(folder, adaptation, verdict_words(adaptation), made.metrics, made.notes)


def _pairs(names: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return a mapping of findings as the command line has it."""
    return tuple(f"{theirs}={ours}" for theirs, ours in (names or {}).items())
