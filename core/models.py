"""Every query about stored models and uploaded weights."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.pages import Cursor, Page, cut
from core.tables import StoredModel, WeightsFile


class Models:
    """The models of one project."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, model: StoredModel) -> StoredModel:
        """Store a definition."""
        self.session.add(model)
        self.session.flush()
        return model

    def get(self, model_id: str) -> StoredModel:
        """Read a model.

        Raises:
            NotFound: The project has no such model.
        """
        query = select(StoredModel).where(StoredModel.id == model_id, StoredModel.project_id == self.project_id)
        model = self.session.scalar(query)
        if model is None:
            raise NotFound(f"There is no model {model_id!r}; GET /v1/models lists those there are.")
        return model

    def page(self, size: int, after: Cursor | None) -> Page[StoredModel]:
        """List models, newest first."""
        query = select(StoredModel).where(StoredModel.project_id == self.project_id)
        return cut(self.session, query, StoredModel, size, after)


class Weights:
    """The uploaded weights of one project."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, weights: WeightsFile) -> WeightsFile:
        """Store weights whose blob is already in place."""
        self.session.add(weights)
        self.session.flush()
        return weights

    def get(self, weights_id: str) -> WeightsFile:
        """Read what is known of uploaded weights.

        Raises:
            NotFound: The project has no such weights.
        """
        query = select(WeightsFile).where(WeightsFile.id == weights_id, WeightsFile.project_id == self.project_id)
        weights = self.session.scalar(query)
        if weights is None:
            raise NotFound(f"There are no weights {weights_id!r}; upload them with POST /v1/weights.")
        return weights
