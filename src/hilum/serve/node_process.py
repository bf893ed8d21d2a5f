"""The process behind `hilum node`: it runs a node until it is told to end."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

from hilum.console import Console
from hilum.errors import ConfigError
from hilum.run.classifier import Classifier
from hilum.serve.dicom_node import Node, NodeSettings
from hilum.serve.node_log import NodeLog, libraries_kept_quiet
from hilum.serve.sending import checked_ae_title
from hilum.serve.spool import Spool

__all__ = ["run_node"]

_NOTICE = "Research software, not a medical device."


def run_node(model: Path, settings: NodeSettings, *, spool: Path, console: Console) -> None:
    """Run a node until SIGTERM or Ctrl-C; what is under way is finished first.

    Args:
        model: The model file.
        settings: Titles and addresses.
        spool: The folder in which films and results wait.
        console: Where messages go.

    Raises:
        ConfigError, InputError: A setting is wrong, the address is taken, or another node works in the spool.
        ModelFileError: The model file cannot be used.
    """
    checked_ae_title(settings.ae_title)
    if not 0 <= settings.port <= 65535:
        raise ConfigError(f"{settings.port} is no port; expected 0 to 65535.")
    classifier = Classifier(model)
    ended = threading.Event()
    log = NodeLog(console.say, as_json=settings.log_as_json)

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with libraries_kept_quiet(log):
            kept = Spool(spool, classifier.identity["sha256"])
            try:
                node = Node(classifier, kept, settings, console)
            except BaseException:
                kept.close()
                raise
            log.info(f"{settings.ae_title} listens on {settings.host}, port {node.port}. {_NOTICE}")
            if settings.archive is None:
                log.info(f"No --send-to: results stay in {spool / 'outgoing'}.")
            if not settings.accept_from:
                log.info("No --accept-from: whoever reaches the port may send films.")
            ended.wait()
            log.info("Ending: finishing what is under way.")
            node.stop()
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
