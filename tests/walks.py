"""A reader who does what a page says, block after block, and compares what comes of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guides import ROOT, blocks_of

#: What parts one block's output from the next one's.
END = "\x1f"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
COMMANDS = {
    "python": f'exec {sys.executable} -W error "$@"',
    "trainyard": f"exec {sys.executable} -c 'from trainyard.cli import app; app()' \"$@\"",
}


def equip(folder: Path) -> None:
    """Put into a folder the commands that an installation has in `.venv/bin`."""
    place = folder / ".venv/bin"
    place.mkdir(parents=True)
    for name, command in COMMANDS.items():
        (place / name).write_text(f"#!/bin/sh\n{command}\n")
        (place / name).chmod(0o755)


def paste(script: str, folder: Path, url: str) -> str:
    """Paste into a shell that stops at the first thing that fails; return what it printed."""
    path = f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        cwd=folder,
        env=os.environ | {"TRAINYARD_URL": url, "PYTHONPATH": str(ROOT), "PATH": path, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout


def walk(page: str, folder: Path, url: str) -> list[str]:
    """Do what the blocks of a page say, in their order, in one shell; return what each printed.

    Commands are pasted; a program, or a job, is saved under the name that the text before it gives; what stands as
    text must have been printed by the block before it.
    """
    blocks = blocks_of(page)
    printed = paste("".join(map(_script, blocks)), folder, url).split(END)[:-1]
    assert len(printed) == len(blocks)
    for block, before in zip(blocks[1:], printed, strict=False):
        if block.kind == "text":
            compare(block.text, before)
    return printed


def _script(block) -> str:
    if block.kind == "bash":
        did = block.text
    elif block.kind == "text":
        did = ""
    else:
        did = f"cat > {_name_of(block)} <<'END OF BLOCK'\n{block.text}END OF BLOCK\n"
    return f"{did}printf '{END}'\n"


def _name_of(block) -> str:
    suffix = {"python": "py", "json": "json"}[block.kind]
    names = re.findall(rf"`(\w+\.{suffix})`", block.told)
    assert names, f"{block}: the text before it must say what it is to be saved as"
    return names[-1]


def compare(expected: str, printed: str) -> None:
    """Hold what was printed against what the page shows: line by line, `…` being anything, and numbers nearly."""
    rest = iter(printed.splitlines())
    for line in expected.splitlines():
        assert any(_is_like(line, each) for each in rest), f"{line!r} is not among, or out of its order in:\n{printed}"


def _is_like(line: str, printed: str) -> bool:
    pattern = re.escape(NUMBER.sub("\0", line)).replace("\0", f"({NUMBER.pattern})").replace("…", ".*")
    found = re.fullmatch(pattern, printed)
    numbers = [float(each) for each in NUMBER.findall(line)]
    return found is not None and [float(each) for each in found.groups()] == pytest.approx(numbers, rel=0.1, abs=0.1)


def documents(text: str):
    """Read JSON documents that stand one after the other."""
    decoder, rest = json.JSONDecoder(), text.lstrip()
    while rest:
        value, end = decoder.raw_decode(rest)
        yield value
        rest = rest[end:].lstrip()
