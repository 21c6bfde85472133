"""A real S3 store (SeaweedFS)."""

import os
import sysconfig
from pathlib import Path

import httpx

from tests.servers.process import Server, free_ports

KEY, SECRET, BUCKET = "trainyard-tests", "a-secret-of-the-tests", "trainyard"
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
