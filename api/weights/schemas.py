"""What goes out about weights."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class WeightsOut(BaseModel):
    """An uploaded weights file."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    bytes: int
    sha256: str
    format: str
    kernels: str
    created_at: datetime
