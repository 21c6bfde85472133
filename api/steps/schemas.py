"""What comes in and goes out about steps."""

from typing import Any

from pydantic import BaseModel, Field

from api.strict import Strict

#: What one request may hold.
MOST_STEPS, MOST_BYTES = 64, 8 * 2**20


class StepsIn(Strict):
    """The next steps of a session; each is an object with one key, which says what is to be done."""

    first: int = Field(ge=1, lt=2**53, description="The number of the first of them; the first of all is 1.")
    steps: list[dict[str, Any]] = Field(min_length=1, max_length=MOST_STEPS)


class StepOut(BaseModel):
    """A step, and what came of it."""

    number: int
    kind: str = Field(description="What is asked for, such as `train`.")
    state: str = Field(description="`waiting`, `done` or `failed`.")
    result: dict[str, Any] | None
    error: dict[str, Any] | None = Field(
        description="Of a failed step: `class`, `detail`, and `pointer` into the step."
    )


class StepsOut(BaseModel):
    """Some steps, in order."""

    job: str
    state: str = Field(description="The job's.")
    next: int = Field(description="The number that the next step has.")
    steps: list[StepOut]
