"""What goes out about datasets."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


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
    sha256: str
    state: str
    arrays: dict[str, ArrayOut]
    created_at: datetime


class DatasetPage(BaseModel):
    """Some datasets, newest first."""

    items: list[DatasetOut]
    next_page_token: str | None
