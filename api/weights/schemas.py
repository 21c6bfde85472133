"""What comes in and goes out about weights."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.arrivals.schemas import AnnouncedIn, KnownSha256, UploadOut

MAX_NAME = 200


class WeightsIn(AnnouncedIn):
    """A weights file that is to be uploaded past the gateway."""

    name: str | None = Field(default=None, min_length=1, max_length=MAX_NAME)
    format: Literal["hdf5", "keras", "safetensors"] = Field(description="What the file is.")
    kernels: Literal["tensorflow", "theano"] = Field(default="tensorflow", description="How its kernels lie.")


class WeightsOut(BaseModel):
    """An uploaded weights file."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str | None
    bytes: int
    sha256: KnownSha256
    state: str
    format: str
    kernels: str
    created_at: datetime


class SavedModelOut(BaseModel):
    """What a whole model's file says of itself, in Keras 1's words."""

    definition: dict[str, Any] = Field(description="The model, as POST /v1/models takes it.")
    compile: dict[str, Any] | None = Field(description="How it was compiled; functions by their names alone.")
    optimizer: bool = Field(description="Whether the file holds what the optimizer has gathered.")
    translated: list[dict[str, Any]]
    warnings: list[dict[str, Any]]


class AnnouncedWeightsOut(WeightsOut):
    """Weights, and where their file goes if it is yet to come."""

    upload: UploadOut | None = None
