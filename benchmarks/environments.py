"""Environments for what we are measured against, apart from our own."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def prepare(folder: Path, packages: Sequence[str]) -> None:
    """Make an environment for peers, once."""
    if not (folder / ".ready").exists():
        print(f"Installing {', '.join(packages)} into {folder.name} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin/pip"), "install", "--quiet", *packages], check=True)
        (folder / ".ready").touch()
