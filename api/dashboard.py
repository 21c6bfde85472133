"""The dashboard and the API's own page: files that are the same for everybody, served before anybody needs a key."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from api.watching import is_known
from core.buckets import Bucket

INDEX, DOCS = "index.html", "docs.html"
#: How a file may lie there once more, smallest first.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
#: All that a build makes; what machines know of types differs.
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
#: A name with a hash never means anything else; pages, which name them, are asked for each time.
FOREVER, EACH_TIME = "public, max-age=31536000, immutable", "no-cache"
#: Where AWS itself answers, if the storage has no other address.
AWS = "https://*.amazonaws.com"
UNBUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Trainyard</title>
<h1>The dashboard has not been built</h1>
<p>The gateway runs; only these pages are missing. Build them with <code>make install</code>, or with
<code>python -m dashboard</code>, and load this page again.</p>
<p>The API describes itself at <a href="/openapi.json">/openapi.json</a>.</p></html>
"""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """A file, as it is and compressed."""

    media_type: str
    cache: str
    bodies: Mapping[str, bytes]
    etag: str

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """Send it in the smallest form that the client reads, unless the client has it."""
        encoding = self._encoding(request.headers.get("accept-encoding", ""))
        tag = f'"{self.etag}-{encoding}"' if encoding else f'"{self.etag}"'
        sent = {**headers, "ETag": tag, "Cache-Control": self.cache, "Vary": "Accept-Encoding"}
        if is_known(request.headers.get("if-none-match"), tag):
            return Response(status_code=304, headers=sent)
        if encoding:
            sent["Content-Encoding"] = encoding
        return Response(self.bodies[encoding], headers=sent, media_type=self.media_type)

    def _encoding(self, accepted: str) -> str:
        given = [part.partition(";q=") for part in accepted.lower().replace(" ", "").split(",")]
        readable = {name for name, sign, weight in given if not sign or weight.strip("0.")}
        return next((name for name in ENCODINGS if name in readable and name in self.bodies), "")


def read_assets(dist: Path) -> Iterator[tuple[str, Asset]]:
    """Read what was built, by its path below `dist`."""
    for path in sorted(dist.rglob("*")):
        if path.is_dir() or path.suffix in ENCODINGS.values():
            continue
        name, content = path.relative_to(dist).as_posix(), path.read_bytes()
        bodies = {"": content}
        for encoding, suffix in ENCODINGS.items():
            if (small := path.with_name(path.name + suffix)).exists():
                bodies[encoding] = small.read_bytes()
        cache = EACH_TIME if path.suffix == ".html" else FOREVER
        yield name, Asset(TYPES[path.suffix], cache, bodies, hashlib.sha256(content).hexdigest()[:20])


@dataclass
class Dashboard:
    """What was built, read once and kept.

    Args:
        dist: Where it lies, if it has been built.
        bucket: Where downloads are sent on to, if they are.
    """

    dist: Path
    bucket: Bucket | None
    assets: dict[str, Asset] = field(default_factory=dict)
    read_at: int = 0

    def find(self, name: str) -> Asset | None:
        """Look a file up; what was built since the last time is found without a restart."""
        if name in (INDEX, DOCS) or name not in self.assets:
            self._refresh()
        return self.assets.get(name)

    def _refresh(self) -> None:
        index = self.dist / INDEX
        built_at = index.stat().st_mtime_ns if index.exists() else 0
        if built_at != self.read_at:
            self.assets, self.read_at = dict(read_assets(self.dist)), built_at

    @property
    def headers(self) -> dict[str, str]:
        """Say what a page may do: run and fetch what comes from here, and nothing else."""
        connect = " ".join(("'self'", *self._storage()))
        policy = {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "font-src": "'self'",
            # Swagger's own icons are written into its style.
            "img-src": "'self' data:",
            "connect-src": connect,
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        return {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }

    def _storage(self) -> Iterator[str]:
        if self.bucket is None:
            return
        parts = urlsplit(self.bucket.public_url or AWS)
        yield f"{parts.scheme}://{parts.netloc}"


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """Answer with the page that all the dashboard happens on."""
    return _page(request, INDEX)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(request: Request) -> Response:
    """Answer with the API's description of itself, to read and to try out."""
    return _page(request, DOCS)


def _page(request: Request, name: str) -> Response:
    dashboard: Dashboard = request.app.state.dashboard
    found = dashboard.find(name)
    if found is None:
        return Response(UNBUILT, 404, dashboard.headers, "text/html")
    return found.answer(request, dashboard.headers)


@router.api_route("/assets/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request) -> Response:
    """Answer with a script, a style, a font."""
    dashboard: Dashboard = request.app.state.dashboard
    found = dashboard.find(f"assets/{name}")
    if found is None:
        return Response(f"There is no {name[:80]!r} here; load the page again.", 404, dashboard.headers, "text/plain")
    return found.answer(request, dashboard.headers)
