"""Puts the gateway together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from threading import BoundedSemaphore

from fastapi import FastAPI

from api.datasets.router import announcing
from api.datasets.router import router as datasets
from api.jobs.downloads import router as downloads
from api.jobs.router import router as jobs
from api.jobs.router import validations
from api.models.router import router as models
from api.observing import Meters, Observer
from api.predictions.router import router as predictions
from api.problems import answer_with_problems
from api.system.router import router as system
from api.weights.router import router as weights
from api.wiring import Wiring
from core.blobs import Blobs
from core.buckets import open_bucket
from core.database import open_sessions
from core.queue import Queue
from core.settings import Settings, get_settings
from engine.limits import Limits

#: Callers that may wait for a prediction at once; each of them holds a thread.
EXPRESS_LANES = 16


def wire(settings: Settings) -> Wiring:
    """Open what a gateway needs."""
    return Wiring(
        settings=settings,
        sessions=open_sessions(settings.database_url),
        queue=Queue(settings),
        blobs=Blobs(settings.storage_url),
        bucket=open_bucket(settings.storage_url, settings.storage_public_url) if settings.storage_presign else None,
        limits=Limits(**settings.engine_limits),
        lanes=BoundedSemaphore(EXPRESS_LANES),
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make a gateway, from the environment unless told otherwise."""
    app = FastAPI(title="Trainyard", version=_version(), lifespan=_lifespan)
    app.state.wiring = wire(settings or get_settings())
    app.state.meters = Meters()
    app.add_middleware(Observer, meters=app.state.meters)
    answer_with_problems(app)
    for router in (announcing, datasets, models, validations, jobs, downloads, weights, predictions, system):
        app.include_router(router)
    return app


def _version() -> str:
    try:
        return version("trainyard")
    except PackageNotFoundError:
        return "0"


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    wiring: Wiring = app.state.wiring
    wiring.queue.close()
    wiring.sessions.kw["bind"].dispose()
