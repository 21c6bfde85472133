"""Where compiled code is kept on a machine, for the jobs that come after."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of compiled steps, which is ours alone: what lies in it is run as it is."""
    folder = Path(tempfile.gettempdir()) / f"trainyard-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or folder.is_symlink():
        return Path(tempfile.mkdtemp(prefix="trainyard-"))
    return folder
