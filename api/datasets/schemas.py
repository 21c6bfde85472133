"""What comes in and goes out about datasets."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.arrivals.schemas import AnnouncedIn, KnownSha256, UploadOut

MAX_NAME = 200


class DatasetIn(AnnouncedIn):
    """A dataset whose file is to be uploaded past the gateway."""

    name: str = Field(min_length=1, max_length=MAX_NAME)
    format: str = Field(max_length=20, description="What the file is: npz, npy, csv, parquet or json.")


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
    sha256: KnownSha256
    state: str
    arrays: dict[str, ArrayOut]
    created_at: datetime


class AnnouncedOut(DatasetOut):
    """A dataset, and where its file goes if it is yet to come."""

    upload: UploadOut | None = None


class DatasetPage(BaseModel):
    """Some datasets, newest first."""

    items: list[DatasetOut]
    next_page_token: str | None
