"""Puts the gateway together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import BoundedSemaphore
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from api.access import Doors
from api.dashboard import Dashboard
from api.dashboard import router as dashboard
from api.datasets.router import announcing as announcing_datasets
from api.datasets.router import router as datasets
from api.jobs import service
from api.jobs.downloads import router as downloads
from api.jobs.router import router as jobs
from api.jobs.router import validations
from api.meters import Meters
from api.models.router import router as models
from api.observing import Observer
from api.openapi import described
from api.predictions.router import router as predictions
from api.problems import answer_with_problems
from api.spool import Spool
from api.steps.plans import Plans
from api.steps.router import router as steps
from api.system.router import router as system
from api.tracing import telemetry
from api.watching.lists import Lists
from api.watching.polls import Bodies, Polls
from api.watching.shortcut import Shortcut
from api.watching.streams import Streams
from api.watching.turns import Turns
from api.watching.watch import Watch
from api.weights.router import announcing as announcing_weights
from api.weights.router import router as weights
from api.wiring import Wiring
from core.blobs import Blobs
from core.buckets import open_bucket
from core.database import open_sessions
from core.queue import Queue
from core.settings import Settings, get_settings
from core.tracing import follow
from core.version import our_version
from dashboard import DIST
from engine.limits import Limits

#: Callers that may wait for a prediction at once; each of them holds a thread.
EXPRESS_LANES = 16
#: How often express jobs are looked at; most of them end within some of these.
EXPRESS_LOOK_SECONDS = 0.02


def wire(settings: Settings, meters: Meters) -> Wiring:
    """Open what a gateway needs."""
    sessions = open_sessions(settings.database_url)
    if telemetry()["tracing"]:
        follow(sessions.kw["bind"])
    watch = Watch(sessions, settings.watch_interval_seconds, settings.max_watchers, meters.looked)
    doors = Doors(watch, settings.host)
    limits = Limits(**settings.engine_limits)
    return Wiring(
        settings=settings,
        sessions=sessions,
        queue=Queue(settings),
        blobs=Blobs(settings.storage_url),
        bucket=open_bucket(settings.storage_url, settings.storage_public_url) if settings.storage_presign else None,
        spool=Spool(settings.spool_dir),
        limits=limits,
        lanes=BoundedSemaphore(EXPRESS_LANES),
        watch=watch,
        express=Watch(sessions, EXPRESS_LOOK_SECONDS, EXPRESS_LANES, meters.looked),
        polls=Polls(watch, doors, Bodies(watch, service.show, settings.poll_cache_bytes)),
        lists=Lists(watch, service.show),
        streams=Streams(watch, doors, settings.stream_ping_seconds),
        plans=Plans(limits),
        turns=Turns(watch),
    )


#: Of two routers with the same paths the first takes JSON.
ROUTERS = (
    *(announcing_datasets, datasets, models, validations, jobs, steps, downloads),
    *(announcing_weights, weights, predictions, system, dashboard),
)


class App(FastAPI):
    """FastAPI, with every request observed and polls answered before its own machinery."""

    def openapi(self) -> dict[str, Any]:
        """Describe the API, with what the framework cannot know of it."""
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi())
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Wrap all of it: middleware added the usual way lies further inside, where a poll costs a fifth more."""
        wiring: Wiring = self.state.wiring
        shortcut = Shortcut(super().build_middleware_stack(), wiring.polls)
        return Observer(shortcut, self.state.meters, wiring.settings.slow_request_seconds)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make a gateway, from the environment unless told otherwise."""
    # FastAPI's own pages load their scripts from elsewhere; ours come with the dashboard.
    app = App(
        title="Trainyard",
        version=our_version("0"),
        lifespan=_lifespan,
        telemetry=telemetry(),
        docs_url=None,
        redoc_url=None,
    )
    meters = app.state.meters = Meters()
    wiring = app.state.wiring = wire(settings or get_settings(), meters)
    app.state.dashboard = Dashboard(DIST, wiring.bucket)
    answer_with_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    wiring: Wiring = app.state.wiring
    sweeping = asyncio.create_task(wiring.spool.keep_swept())
    yield
    sweeping.cancel()
    wiring.spool.close()
    wiring.watch.end()
    wiring.express.end()
    wiring.queue.close()
    wiring.sessions.kw["bind"].dispose()
