"""A worker's log: to standard error, in UTC, saying which process speaks."""

import logging
import sys
import time

from core.settings import Settings


def set_up_logging(settings: Settings) -> None:
    """Log what the operator asked for, and of others' libraries only warnings."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(process)d %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for ours in ("worker", "engine", "core"):
        logging.getLogger(ours).setLevel(settings.log_level.upper())
