"""What goes out about models; what comes in is Keras's own JSON."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel


class ModelOut(BaseModel):
    """A stored definition, in the Keras 1 form, and what follows from it."""

    id: str
    sha256: str
    definition: dict[str, Any]
    layers: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    parameters: dict[str, int]
    #: What had to be rewritten into the Keras 1 form.
    translated: list[dict[str, Any]]
    created_at: datetime


class ModelPage(BaseModel):
    """Some models, newest first."""

    items: list[ModelOut]
    next_page_token: str | None
