"""The API's description of itself: what FastAPI makes of the routes, and what it cannot know of them."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from api.problems import Problem

Operation = dict[str, Any]

#: Where a docstring's first sentence turns from what is done to how.
TURN = re.compile(r"[;:.](?=\s|$)")
SCHEMES = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`trainyard keys create`). As long as there is none, this machine alone needs none.",
    }
}
SAID = {
    "400": "The request cannot be read.",
    "401": "An API key is needed, and one that is valid.",
    "403": "The request comes from a web page that may not send it.",
    "404": "There is no such thing in this project.",
    "409": "The state of the thing does not allow it, or the first request with this Idempotency-Key still runs.",
    "410": "The upload is over, or the steps are no longer kept.",
    "413": "The body is too large.",
    "415": "The body is of a type that is not read here.",
    "416": "The file has no such bytes.",
    "429": "As much waits as may; `Retry-After` says when to try again.",
    "422": "What was sent is wrong; `errors` points at it.",
    "5XX": "The fault is ours, or something does not answer just now; `Retry-After` says when to try again.",
}
KEY = "idempotency-key"
#: FastAPI's form of a refusal, in which none of ours is sent.
FRAMEWORKS = ("HTTPValidationError", "ValidationError")


class Fault(BaseModel):
    """One thing that is wrong, and where."""

    detail: str = Field(description="What was passed, what was expected, how to mend it.")
    pointer: str | None = Field(default=None, description="Where in the body: a JSON pointer.")
    parameter: str | None = Field(default=None, description="Or which parameter or header.")


class ProblemOut(BaseModel):
    """A refusal, as RFC 9457 has it; some have further members, such as `job_id`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="What kind it is, for programs.")
    title: str = Field(description="What kind it is, in words.")
    status: int
    detail: str = Field(description="What is wrong this time.")
    instance: str = Field(description="The path that was asked.")
    request_id: str | None = Field(description="What to quote in a report; also in `X-Request-Id`.")
    errors: list[Fault] | None = None


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Add summaries, refusals and keys to a document; what is said already stays."""
    components = schema["components"]
    schemas = {name: each for name, each in components["schemas"].items() if name not in FRAMEWORKS}
    mine = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= mine.pop("$defs") | {"Problem": mine | {"title": "Problem"}}
    components |= {"schemas": dict(sorted(schemas.items())), "securitySchemes": SCHEMES}
    for path, operation in _operations(schema):
        operation["summary"] = summary(operation["description"])
        operation["security"] = [{"key": []}, {}] if path.startswith("/v1/") else []
        for status in _refusals(path, operation):
            operation["responses"][status] = _refusal(SAID[status])
    return schema


def _operations(schema: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, its in schema["paths"].items():
        for operation in its.values():
            yield path, operation


def summary(description: str) -> str:
    """Say what an operation does: the first sentence of its docstring, as far as it turns."""
    return TURN.split(description, maxsplit=1)[0]


def _refusals(path: str, operation: Operation) -> Iterator[str]:
    """List the statuses of problems; any operation refuses a query parameter that it does not know."""
    yield from ("422", "5XX")
    if path.startswith("/v1/"):
        yield from ("401", "403")
    if "{" in path:
        yield "404"
    if "application/json" in operation.get("requestBody", {}).get("content", ()):
        yield from ("400", "413", "415")
    if any(each["name"].lower() == KEY for each in operation.get("parameters", ())):
        yield from ("400", "409")
    yield from WHERE.get(operation["operationId"], ())


#: What only some can answer.
WHERE = {
    "get_artifact": ("416",),
    **dict.fromkeys(("list_jobs", "list_datasets", "list_models"), ("400",)),
    "delete_dataset": ("409",),
    "create_steps": ("409", "410", "429"),
    "list_steps": ("409", "410"),
    **dict.fromkeys(("predict", "evaluate"), ("404",)),
    **dict.fromkeys(("complete_dataset", "complete_weights"), ("410",)),
    **dict.fromkeys(("put_dataset_content", "put_weights_content"), ("400", "409", "410", "413")),
}


def _refusal(said: str) -> dict[str, Any]:
    return {
        "description": said,
        "content": {Problem.media_type: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
