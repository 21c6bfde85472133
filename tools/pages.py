"""What MkDocs does to the pages of docs/ on their way to the site: files that are not on it are named, not linked."""

import re
from typing import Any

NOTE = re.compile(r'^(\[\d+\]): \.\./(\S+) "(.+)"$', re.MULTILINE)
OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links out of docs/ into the names of their files; in the repository they stay links."""
    return OUTSIDE.sub(_named, NOTE.sub(r"- \1 `\2`: `\3`", markdown))


def _named(link: re.Match[str]) -> str:
    text, path = link.groups()
    return f"`{path}`" if text.strip("`") in path else f"{text} (`{path}`)"
