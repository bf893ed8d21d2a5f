"""What a run tells a tracker of experiments: TensorBoard, by an event file in the run's folder, or an MLflow store.

Both are told the same under the same names: settings, every epoch of every network, all figures with the limits of
their intervals, what the audit found, the model and the report. Where there is no tracker, nothing is imported or
written. The MLflow store is the one that the user has set (``MLFLOW_TRACKING_URI``), otherwise a file in the run's
folder; only a store that the user has set can be on another computer.

A run that continues tells all its epochs again. The event file is written anew; an MLflow run goes on, and is told
what it does not know.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hilum.errors import ConfigError, InputError, MissingExtra
from hilum.extras import has_extra
from hilum.figures import to_json
from hilum.judge.audit.check import Fault
from hilum.judge.external import RunMetrics
from hilum.judge.history import Row
from hilum.train.config import RunConfig

__all__ = ["NO_TRACKER", "Tracker", "check_log", "tracked"]

_TRACKERS = ("tensorboard", "mlflow")
_CURVES = ("loss", "validation_loss", "validation_accuracy", "learning_rate")
_FILES = ("model.onnx", "report.html", "audit.json", "config.toml", "history.csv", "model-card.md")
_MOST_AT_ONCE = 500  # metrics in one call of MLflow, which takes 1000
_LONGEST_NOTE = 5000  # characters of an MLflow tag


class Tracker:
    """A tracker of experiments; this one is nobody, and is told in vain."""

    def epoch(self, network: str, row: Row) -> None:
        """Tell an epoch of a network (``model``, ``fold-1``, ``source-2``), perhaps not for the first time."""

    def end(self, metrics: RunMetrics, faults: Sequence[Fault]) -> None:
        """Tell the results. All files of the run but metrics.json are written by now."""

    def stop(self) -> None:
        """Tell that the run was stopped before its end."""


NO_TRACKER = Tracker()


def check_log(log: str | None) -> None:
    """Refuse a tracker that does not exist or is not installed.

    Raises:
        ConfigError: There is no such tracker.
        MissingExtra: The extra `track` is not installed.
    """
    if log not in (None, *_TRACKERS):
        raise ConfigError(f"`log` cannot be `{log}`.", fix=f"Known: {', '.join(_TRACKERS)}.")
    if log == "mlflow" and not has_extra("track"):
        raise MissingExtra("Logging to MLflow", "track")


@contextmanager
def tracked(log: str | None, out: Path, config: RunConfig) -> Iterator[Tracker]:
    """Yield what is told of a run while it goes on.

    Args:
        log: ``tensorboard``, ``mlflow`` or None.
        out: The run's folder, begun.
        config: The settings.

    Raises:
        InputError: The MLflow store cannot be used.
    """
    kinds = {"tensorboard": _EventFile, "mlflow": _MlflowRun}
    tracker = kinds[log](out, config) if log else NO_TRACKER
    try:
        yield tracker
    except BaseException:
        tracker.stop()
        raise


class _EventFile(Tracker):
    """The event file of a run: ``tensorboard/`` in its folder."""

    def __init__(self, out: Path, config: RunConfig) -> None:
        import tensorflow as tf

        self.out, self.tf, folder = out, tf, out / "tensorboard"
        folder.mkdir(exist_ok=True)
        for earlier in folder.glob("*.hilum"):
            earlier.unlink()
        self.file = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{int(time.time())}.hilum"))
        self._add(file_version="brain.Event:2")
        lines = [f"| {name} | {value} |" for name, value in _settings(config).items()]
        self._add_text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]))

    def epoch(self, network: str, row: Row) -> None:
        if row["stage"] != "mean":  # it has the number of the last epoch
            self._add_numbers(_curves(network, row), row["epoch"])

    def end(self, metrics: RunMetrics, faults: Sequence[Fault]) -> None:
        self._add_numbers(_figures(metrics, faults), 0)
        self._add_text("faults", _faults_text(faults))
        self._add_text("files", "\n".join(f"- {path}" for path in _files(self.out)))
        self.file.close()

    def stop(self) -> None:
        self.file.close()

    def _add_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        values = [self.tf.compat.v1.Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._add(step=step, summary=self.tf.compat.v1.Summary(value=values))

    def _add_text(self, name: str, text: str) -> None:
        v1 = self.tf.compat.v1
        metadata = v1.SummaryMetadata(plugin_data=v1.SummaryMetadata.PluginData(plugin_name="text"))
        value = v1.Summary.Value(tag=name, metadata=metadata, tensor=self.tf.make_tensor_proto([text]))
        self._add(summary=v1.Summary(value=[value]))

    def _add(self, **content: Any) -> None:
        self.file.write(self.tf.compat.v1.Event(wall_time=time.time(), **content).SerializeToString())
        self.file.flush()


class _MlflowRun(Tracker):
    """A run in an MLflow store. Its number lies in ``.work``, so that an unfinished run goes on in the same one."""

    def __init__(self, out: Path, config: RunConfig) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        import mlflow

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells that it makes tables
        self.out, self.known = out, dict[str, set[int]]()
        own = None if mlflow.is_tracking_uri_set() else out.resolve()
        with _mlflow_errors():
            self.client = mlflow.MlflowClient(f"sqlite:///{(own / 'mlflow.db').as_posix()}" if own else None)
            self.run_id = self._continued() or self._begun(config, own)

    def epoch(self, network: str, row: Row) -> None:
        with _mlflow_errors():
            if network not in self.known:
                told = self.client.get_metric_history(self.run_id, f"{network}/validation_accuracy")
                self.known[network] = {one.step for one in told}
            if row["epoch"] not in self.known[network]:
                self.known[network].add(row["epoch"])
                self._log(_curves(network, row), row["epoch"])

    def end(self, metrics: RunMetrics, faults: Sequence[Fault]) -> None:
        with _mlflow_errors():
            self._log(_figures(metrics, faults), 0)
            self.client.set_tag(self.run_id, "mlflow.note.content", _faults_text(faults)[:_LONGEST_NOTE])
            for path in _files(self.out):
                self.client.log_artifact(self.run_id, str(path))
            self.client.set_terminated(self.run_id, "FINISHED")

    def stop(self) -> None:
        with suppress(InputError), _mlflow_errors():
            self.client.set_terminated(self.run_id, "KILLED")

    def _continued(self) -> str | None:
        """Return the number of the run that an earlier attempt began; None where the store has none."""
        from mlflow.exceptions import MlflowException

        with suppress(FileNotFoundError, MlflowException):
            number = self._number.read_text(encoding="utf-8")
            self.client.update_run(number, status="RUNNING")
            return number
        return None

    def _begun(self, config: RunConfig, own: Path | None) -> str:
        """Begin a run and return its number. The files of a store in the run's folder lie in ``mlflow/``."""
        from mlflow.entities import Param

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "hilum"
        found = self.client.get_experiment_by_name(name)
        place = (own / "mlflow").as_uri() if own else None
        experiment = found.experiment_id if found else self.client.create_experiment(name, artifact_location=place)
        number: str = self.client.create_run(experiment, run_name=self.out.resolve().name).info.run_id
        self.client.log_batch(number, params=[Param(key, value) for key, value in _settings(config).items()])
        self._number.write_text(number, encoding="utf-8")
        return number

    @property
    def _number(self) -> Path:
        return self.out / ".work" / "mlflow-run"

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in numbers.items()]
        for start in range(0, len(metrics), _MOST_AT_ONCE):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + _MOST_AT_ONCE])


@contextmanager
def _mlflow_errors() -> Iterator[None]:
    """Turn what MLflow raises into one sentence; the run itself can continue."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise InputError(
            f"The MLflow store cannot be used: {str(error).splitlines()[0]}",
            fix="Check MLFLOW_TRACKING_URI. Then repeat the command, with or without --log: the run continues.",
        ) from error


def _settings(config: RunConfig) -> dict[str, str]:
    return {".".join(names): str(value) for names, value in _leaves(to_json(config))}


def _curves(network: str, row: Row) -> dict[str, float]:
    """Return the numbers of an epoch; those that it has not, and those of a network that diverged, are left out."""
    return {f"{network}/{name}": row[name] for name in _CURVES if math.isfinite(row[name])}


def _figures(metrics: RunMetrics, faults: Sequence[Fault]) -> dict[str, float]:
    """Return all numbers of metrics.json, ``test/accuracy/value``, ``.../low`` and ``.../high`` among them."""
    figures = {
        "/".join(re.sub(r"[^\w.\- :]", "_", name) for name in names): float(value)
        for names, value in _leaves(to_json(metrics))
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    counts = {kind: sum(one.severity == kind for one in faults) for kind in ("error", "warning", "note")}
    return figures | {f"faults/{kind}": float(count) for kind, count in counts.items()}


def _faults_text(faults: Sequence[Fault]) -> str:
    return "\n".join(f"- {one.severity}: {one.message}" for one in faults) or "The audit found no fault."


def _files(out: Path) -> list[Path]:
    return [out.resolve() / name for name in _FILES if (out / name).exists()]


def _leaves(value: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what nested dictionaries hold, each with the keys that lead to it."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(one, *names, name)
    else:
        yield names, value
