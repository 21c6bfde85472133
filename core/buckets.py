"""What S3 does for clients themselves: URLs signed for one act and a short time, and uploads in parts."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlsplit

from core.blobs import StorageFailed

#: As many parts as one answer lists and one listing shows; S3 itself allows ten times as many.
MAX_PARTS = 1_000
#: S3 takes no smaller part, but for the last.
MIN_PART_BYTES = 5 * 2**20
#: How S3 says that an upload in parts has been joined, aborted or never was.
NO_UPLOAD = "NoSuchUpload"


@dataclass(frozen=True)
class Begun:
    """An upload in parts that nobody has joined or aborted yet."""

    key: str
    upload_id: str
    at: datetime


class Bucket:
    """One bucket, as clients reach it.

    Args:
        url: `s3://bucket/prefix`, with AWS_* variables for the rest.
        public_url: The endpoint for URLs that clients get; the workers' own unless they reach it elsewhere.
    """

    def __init__(self, url: str, public_url: str | None = None) -> None:
        parts = urlsplit(url)
        self.name, self.prefix = parts.netloc, parts.path.strip("/")
        self.endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        self.public_url = public_url or self.endpoint

    def put_url(self, key: str, size: int, seconds: float) -> str:
        """Sign a PUT of so many bytes, not one more."""
        return self._sign("put_object", key, seconds, ContentLength=size)

    def get_url(self, key: str, seconds: float, filename: str, media_type: str) -> str:
        """Sign a GET that is answered as a file to be saved."""
        disposition = f'attachment; filename="{filename}"'
        named = {"ResponseContentDisposition": disposition, "ResponseContentType": media_type}
        return self._sign("get_object", key, seconds, **named)

    def part_url(self, key: str, upload_id: str, number: int, size: int, seconds: float) -> str:
        """Sign a PUT of one part; parts count from 1."""
        return self._sign("upload_part", key, seconds, UploadId=upload_id, PartNumber=number, ContentLength=size)

    def begin(self, key: str) -> str:
        """Begin an upload in parts; return its id."""
        with _talking(key):
            upload_id: str = self._inside.create_multipart_upload(**self._place(key))["UploadId"]
        return upload_id

    def parts(self, key: str, upload_id: str) -> dict[int, tuple[str, int]] | None:
        """List the parts that have arrived, as number: (etag, bytes); None once they are joined or aborted."""
        with _talking(key):
            try:
                found = self._inside.list_parts(**self._place(key), UploadId=upload_id, MaxParts=MAX_PARTS)
            except self._inside.exceptions.ClientError as error:
                if _code(error) == NO_UPLOAD:
                    return None
                raise
        return {each["PartNumber"]: (each["ETag"], each["Size"]) for each in found.get("Parts", [])}

    def join(self, key: str, upload_id: str, etags: Mapping[int, str]) -> None:
        """Make one blob of the parts; no signed URL reaches it from then on."""
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
        with _talking(key):
            self._inside.complete_multipart_upload(
                **self._place(key), UploadId=upload_id, MultipartUpload={"Parts": listed}
            )

    def abort(self, key: str, upload_id: str) -> None:
        """Drop the parts of an upload; one that is already gone is fine."""
        with _talking(key):
            try:
                self._inside.abort_multipart_upload(**self._place(key), UploadId=upload_id)
            except self._inside.exceptions.ClientError as error:
                if _code(error) != NO_UPLOAD:
                    raise

    def begun(self, folder: str) -> list[Begun]:
        """List some uploads in parts below a folder that were neither joined nor aborted."""
        with _talking(folder):
            found = self._inside.list_multipart_uploads(Bucket=self.name, Prefix=self._key(f"{folder}/"))
        start = len(self._key(""))
        return [Begun(each["Key"][start:], each["UploadId"], each["Initiated"]) for each in found.get("Uploads", [])]

    def _sign(self, verb: str, key: str, seconds: float, **named: object) -> str:
        with _talking(key):
            place = self._place(key) | named
            url: str = self._outside.generate_presigned_url(verb, Params=place, ExpiresIn=int(seconds))
        return url

    @cached_property
    def _inside(self) -> Any:
        return _client(self.endpoint)

    @cached_property
    def _outside(self) -> Any:
        return _client(self.public_url)

    def _place(self, key: str) -> dict[str, object]:
        return {"Bucket": self.name, "Key": self._key(key)}

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def open_bucket(url: str, public_url: str | None = None) -> Bucket | None:
    """Open a bucket where the storage is one; a folder has no way in but the gateway."""
    return Bucket(url, public_url) if url.startswith(("s3://", "s3a://")) else None


def _client(endpoint: str | None) -> Any:
    """Make a client of botocore, which is imported only where somebody uploads or downloads past the gateway."""
    from botocore.config import Config
    from botocore.session import get_session

    virtual = os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() == "true"
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "virtual" if virtual else "path"},
        # A checksum of botocore's own choice would have to be sent by every client, and not every store knows it.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    session = get_session()
    session.register_component("data_loader", _loader())
    return session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config)


@lru_cache
def _loader() -> Any:
    """Read S3's description once, not once for each client: it is more than a megabyte of JSON."""
    from botocore.loaders import create_loader

    return create_loader()


@contextmanager
def _talking(key: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise StorageFailed(f"storage failed on {key}") from error


def _code(error: Any) -> str:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code
