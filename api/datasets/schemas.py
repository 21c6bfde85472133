"""What comes in and goes out about datasets."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api.strict import Strict

MAX_NAME = 200
#: More parts than one upload ever has, so that a body cannot grow without end.
MAX_PARTS = 1_000

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class DatasetIn(Strict):
    """A dataset whose file is to be uploaded past the gateway."""

    name: str = Field(min_length=1, max_length=MAX_NAME)
    format: str = Field(max_length=20, description="What the file is: npz, npy, csv, parquet or json.")
    bytes: int = Field(ge=1, description="How large the file is.")
    sha256: Sha256 | None = Field(default=None, description="Its sha256 in hex; the bytes are held against it.")


class ArrivedPart(Strict):
    """A part that the storage has taken."""

    number: int = Field(ge=1, le=MAX_PARTS)
    etag: str = Field(min_length=1, max_length=200, description="The ETag that the storage answered.")


class CompleteIn(Strict):
    """What ends an upload; `parts` only where the file was sent in parts."""

    parts: list[ArrivedPart] | None = Field(default=None, max_length=MAX_PARTS)


class ArrayOut(BaseModel):
    """One array: the first axis counts the samples."""

    shape: list[int]
    dtype: str


class DatasetOut(BaseModel):
    """A dataset."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    format: str
    bytes: int
    #: None as long as it is not known.
    sha256: Annotated[str | None, BeforeValidator(lambda sha256: sha256 or None)]
    state: str
    arrays: dict[str, ArrayOut]
    created_at: datetime


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


class AnnouncedOut(DatasetOut):
    """A dataset, and where its file goes if it is yet to come."""

    upload: UploadOut | None = None


class DatasetPage(BaseModel):
    """Some datasets, newest first."""

    items: list[DatasetOut]
    next_page_token: str | None
