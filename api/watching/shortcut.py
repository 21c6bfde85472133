"""A short way for polls: past FastAPI, whose machinery costs more than the answer."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_of
from api.tracing import name_span
from api.watching.polls import Polls

PREFIX = "/v1/jobs/"


@dataclass(frozen=True)
class Route:
    """What the observer reads of a route."""

    path: str


#: The route that is taken short; FastAPI has it too, describes it, and answers all that is unusual.
POLL = Route(f"{PREFIX}{{job_id}}")


class Shortcut:
    """Answers plain GETs of a job, and passes everything else on."""

    def __init__(self, app: ASGIApp, polls: Polls) -> None:
        self.app = app
        self.polls = polls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        job_id = polled(scope)
        if not job_id:
            await self.app(scope, receive, send)
            return
        scope["route"], scope["path_params"] = POLL, {"job_id": job_id}
        name_span(scope, POLL.path)
        answer: Response
        try:
            answer = await self.polls.answer(scope, receive, job_id)
        except Exception as error:
            answer = problem_of(Request(scope), error)
        await answer(scope, receive, send)


def polled(scope: Scope) -> str | None:
    """Say which job a request asks for, if it asks for one and for nothing else."""
    path: str = scope.get("path", "")
    if not path.startswith(PREFIX) or scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    job_id = path[len(PREFIX) :]
    return None if "/" in job_id else job_id
