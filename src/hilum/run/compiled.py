"""Compiled networks, kept in the user's cache folder: a fresh process then answers without compiling them again.

A kept network is used only if it was made of the same file, with the same settings, by the same OpenVINO on the same
processor, and if its checksum holds. A folder that cannot be read or written changes nothing but the time.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import openvino

__all__ = ["cache_folder", "compiled_network"]

_MOST_KEPT = 12  # networks; the least recently used ones are removed
_CHECKSUM_BYTES = 32


def cache_folder() -> Path:
    """Return the folder for compiled networks: in XDG_CACHE_HOME if it is set, else in the system's usual place."""
    places = {"win32": os.environ.get("LOCALAPPDATA"), "darwin": "~/Library/Caches"}
    place = os.environ.get("XDG_CACHE_HOME") or places.get(sys.platform) or "~/.cache"
    return Path(place).expanduser() / "hilum" / "networks"


def compiled_network(
    core: openvino.Core, data: bytes, settings: Mapping[str, Any], read: Callable[[], openvino.Model]
) -> openvino.CompiledModel:
    """Return a network for the CPU, from the cache folder or compiled and kept there.

    Args:
        core: The core.
        data: The bytes of its ONNX file.
        settings: How it is compiled.
        read: Returns the graph to compile, with fixed shapes. It must depend on `data` alone.

    Raises:
        RuntimeError: OpenVINO cannot compile it.
    """
    processor = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    made_of = (openvino.__version__, *processor, sorted(settings.items()))
    key = hashlib.sha256(data + repr(made_of).encode()).hexdigest()
    try:
        path = cache_folder() / f"{key}.network"
    except RuntimeError:  # this user has no home folder
        return core.compile_model(read(), "CPU", dict(settings))
    kept = _kept(path)
    if kept is not None:
        with contextlib.suppress(RuntimeError):
            return core.import_model(io.BytesIO(kept), "CPU", dict(settings))
    network = core.compile_model(read(), "CPU", dict(settings))
    with contextlib.suppress(OSError, RuntimeError):
        _keep(path, network)
    return network


def _kept(path: Path) -> bytes | None:
    """Return a kept network whose checksum holds, or None."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        checksum, network = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        if hashlib.sha256(path.name.encode() + network).digest() == checksum:
            with contextlib.suppress(OSError):
                os.utime(path)
            return network
    return None


def _keep(path: Path, network: openvino.CompiledModel) -> None:
    """Write a network in one step, so that no other process reads a part of it; remove the oldest ones."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    blob = network.export_model().getvalue()
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(path.name.encode() + blob).digest())
            file.write(blob)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
    networks = sorted(path.parent.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for old in networks[_MOST_KEPT:]:
        old.unlink()
