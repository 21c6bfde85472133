"""The dashboard's files, as the gateway sends them."""

import gzip
import os

import pytest

from api.dashboard import AWS, Dashboard
from core.buckets import Bucket
from core.keys import Keys

PAGE, SCRIPT = b"<!doctype html><title>Trainyard</title>", b"console.log(1)"


@pytest.fixture
def dist(tmp_path):
    """A dashboard as a build leaves it."""
    assets = tmp_path / "dist" / "assets"
    assets.mkdir(parents=True)
    (assets.parent / "index.html").write_bytes(PAGE)
    (assets.parent / "docs.html").write_bytes(PAGE)
    (assets / "main-A1.js").write_bytes(SCRIPT)
    (assets / "main-A1.js.gz").write_bytes(gzip.compress(SCRIPT, mtime=0))
    (assets / "main-A1.js.br").write_bytes(b"small")
    return assets.parent


@pytest.fixture
def served(client, dist):
    client.app.state.dashboard = Dashboard(dist, None)
    return client


def test_the_page_is_asked_for_each_time_and_its_parts_once(served):
    page, part = served.get("/"), served.get("/assets/main-A1.js")
    assert (page.content, page.headers["cache-control"]) == (PAGE, "no-cache")
    assert page.headers["content-type"].startswith("text/html")
    assert (part.content, part.headers["content-type"]) == (SCRIPT, "text/javascript; charset=utf-8")
    assert part.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/", "/docs", "/assets/main-A1.js"])
def test_what_a_browser_has_is_not_sent_again(served, path):
    tag = served.get(path).headers["etag"]
    again = served.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("identity", None), ("", None)],
)
def test_a_part_comes_in_the_smallest_form_that_the_browser_reads(served, accepted, encoding):
    with served.stream("GET", "/assets/main-A1.js", headers={"Accept-Encoding": accepted}) as answer:
        sent = b"".join(answer.iter_raw())
    assert answer.headers.get("content-encoding") == encoding
    assert sent == {"br": b"small", "gzip": gzip.compress(SCRIPT, mtime=0), None: SCRIPT}[encoding]
    assert answer.headers["vary"] == "Accept-Encoding"


def test_a_page_may_run_and_fetch_only_what_comes_from_here(served):
    headers = served.get("/").headers
    rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "font-src", "connect-src")} == {"'self'"}
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("public", "origin"), [("https://s3.example.org:9000/x", "https://s3.example.org:9000"), (None, AWS)]
)
def test_a_page_may_fetch_from_the_storage_that_downloads_are_sent_on_to(dist, monkeypatch, public, origin):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    policy = Dashboard(dist, Bucket("s3://bucket", public)).headers["Content-Security-Policy"]
    assert f"connect-src 'self' {origin};" in policy


def test_a_dashboard_that_is_not_built_says_how_to_build_it_and_is_found_once_it_is(client, tmp_path):
    client.app.state.dashboard = Dashboard(tmp_path / "later", None)
    missing = client.get("/")
    assert missing.status_code == 404
    assert "python -m dashboard" in missing.text

    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "index.html").write_bytes(PAGE)
    assert client.get("/").content == PAGE


def test_what_is_built_anew_is_served_without_a_restart(served, dist):
    served.get("/")
    (dist / "assets" / "main-B2.js").write_bytes(b"new")
    (dist / "index.html").write_bytes(PAGE * 2)
    os.utime(dist / "index.html", ns=(1, 1))
    assert served.get("/assets/main-B2.js").content == b"new"
    assert served.get("/").content == PAGE * 2


def test_nothing_beside_what_was_built_can_be_fetched(served):
    for path in ("/assets/none.js", "/assets/..%2Findex.html", "/assets/../../pyproject.toml", "/assets/main-A1.js.br"):
        assert served.get(path).status_code == 404


def test_pages_open_without_a_key_and_the_api_does_not(served, wiring):
    with wiring.sessions.begin() as session:
        Keys(session).create("laptop")
    assert served.get("/").status_code == 200
    assert served.head("/").content == b""
    assert served.get("/v1/jobs").status_code == 401
