"""Every query about stored models and uploaded weights."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NotFound, WeightsInUse
from core.files import Files
from core.pages import Cursor, Page, cut
from core.tables import JobWeights, StoredModel, WeightsFile


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


class Weights(Files[WeightsFile]):
    """The uploaded weights of one project."""

    row = WeightsFile
    need = JobWeights
    key = "weights_id"
    noun = "Weights file"
    missing = "There are no weights {}; upload them with POST /v1/weights."
    in_use = WeightsInUse
