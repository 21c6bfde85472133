"""The pages of docs/ as a site."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: What makes a browser fetch something by itself.
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` builds it: a link that leads nowhere or a page that nobody finds is a failure."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    """What a page loads, where it leads, and what it has to lead to."""

    def __init__(self, path):
        super().__init__()
        self.loaded, self.links, self.anchors = [], [], set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        its = dict(attrs)
        self.anchors.add(its.get("id"))
        if its.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(its.get(LOADING.get(tag)))
        if tag == "a" and "href" in its:
            self.links.append(its["href"])


def test_every_page_is_on_the_site(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {"index", "tutorial", "reference"} < pages
    assert pages == {path.stem for path in site.glob("*.html")} - {"404"}


def test_nothing_of_the_site_is_loaded_from_elsewhere(site):
    loaded = [each for path in site.glob("*.html") for each in Page(path).loaded if each]
    assert any(each.endswith(".js") for each in loaded)
    assert any(each.endswith(".css") for each in loaded)
    assert [each for each in loaded if "//" in each] == []

    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)]+", styles) == []


def test_every_link_within_the_site_leads_to_a_page_and_a_place_on_it(site):
    pages = {path.name: Page(path) for path in site.glob("*.html")}
    for name, page in pages.items():
        for link in page.links:
            there, _, place = link.partition("#")
            if name == "404.html" or ":" in link or link.startswith("/"):
                continue
            target = there.removeprefix("./") or name
            if target == ".":
                continue
            assert (site / target).exists(), (name, link)
            assert not place or target not in pages or place in pages[target].anchors, (name, link)


def test_a_file_that_is_not_on_the_site_is_named_there(site):
    text = (site / "guarantees.html").read_text()
    assert "<code>tests/chaos/test_chaos.py</code>" in text
    assert 'href="../' not in text
