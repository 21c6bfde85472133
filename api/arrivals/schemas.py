"""What comes in and goes out about files on their way."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from api.strict import Strict

#: More parts than one upload ever has, so that a body cannot grow without end.
MAX_PARTS = 1_000

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
#: None as long as it is not known.
KnownSha256 = Annotated[str | None, BeforeValidator(lambda sha256: sha256 or None)]


class AnnouncedIn(Strict):
    """A file that is to be uploaded past the gateway."""

    bytes: int = Field(ge=1, description="How large the file is.")
    sha256: Sha256 | None = Field(default=None, description="Its sha256 in hex; the bytes are held against it.")


class ArrivedPart(Strict):
    """A part that the storage has taken."""

    number: int = Field(ge=1, le=MAX_PARTS)
    etag: str = Field(min_length=1, max_length=200, description="The ETag that the storage answered.")


class CompleteIn(Strict):
    """What ends an upload; `parts` only where the file was sent in parts."""

    parts: list[ArrivedPart] | None = Field(default=None, max_length=MAX_PARTS)


class RequestOut(BaseModel):
    """A request that a client makes, with the file or a part of it as its body."""

    method: str = "PUT"
    url: str
    headers: dict[str, str]


class PartOut(RequestOut):
    """The request for one part."""

    number: int


class UploadOut(BaseModel):
    """Where the file goes: whole with one request, or in parts of `part_bytes`, of which the last may be smaller."""

    method: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    part_bytes: int | None = None
    parts: list[PartOut] | None = None
    expires_at: datetime | None = None
    #: The storage's id of an upload in parts: nobody else's business.
    upload_id: str | None = Field(default=None, exclude=True)
