"""A real S3 store (SeaweedFS)."""

import itertools
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.process import Server, free_ports

KEY, SECRET, BUCKET = "trainyard-tests", "a-secret-of-the-tests", "trainyard"
#: The tests of one server, so that it is started in one test process and not in each.
ON_S3 = pytest.mark.xdist_group("s3")
#: What listens besides the S3 gateway; each takes a gRPC port 10,000 above its own as well.
PARTS = ("master", "volume", "filer", "admin", "s3")


class Seaweed(Server):
    """An object store with one bucket, on one machine.

    Args:
        folder: Holds its data and its log.
    """

    def __init__(self, folder: Path) -> None:
        ports = dict(zip(PARTS, free_ports(len(PARTS)), strict=True))
        self.port = ports["s3"]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        data = folder / "seaweed"
        data.mkdir(parents=True, exist_ok=True)
        super().__init__(
            [
                Path(sysconfig.get_path("scripts")) / "weed",
                *("mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"),
                *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                *(f"-{part}.port={port}" for part, port in ports.items()),
            ],
            folder / "seaweed.log",
            self._has_bucket,
            env=os.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a gateway and a worker must be told to use it."""
        return {
            "TRAINYARD_STORAGE_URL": f"s3://{BUCKET}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def _has_bucket(self) -> bool:
        try:
            return httpx.head(f"{self.endpoint}/{BUCKET}", timeout=2.0).status_code in (200, 403)
        except httpx.TransportError:
            return False


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    server = Seaweed(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    # Told to end it takes several seconds, and nobody needs what it has.
    server.kill()


_numbers = itertools.count()


@pytest.fixture
def s3_url(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place in the bucket that no other test has, with the environment to reach it by."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/test-{next(_numbers)}"


@pytest.fixture(params=["folder", pytest.param("s3", marks=ON_S3)])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on both kinds of storage."""
    return request.getfixturevalue("s3_url") if request.param == "s3" else f"file://{tmp_path}/blobs"
