"""API keys: who may come in, and whose things they then see."""

import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.database import db_now
from core.errors import NotFound
from core.ids import new_id
from core.tables import ApiKey, Project

PREFIX = "ty_"


def fingerprint(secret: str) -> str:
    """Hash a secret: of 256 random bits, a plain hash gives nothing away."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Keys:
    """The keys of the whole installation."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def create(self, name: str, project: str = "default") -> tuple[ApiKey, str]:
        """Make a key for a project, which is made too where there is none; the secret is shown only now."""
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(id=new_id("key"), project_id=self._project(project).id, name=name)
        key.prefix, key.hash = secret[:10], fingerprint(secret)
        self.session.add(key)
        self.session.flush()
        return key, secret

    def project_of(self, secret: str) -> str | None:
        """Say which project a secret opens, if any."""
        query = select(ApiKey.project_id).where(ApiKey.hash == fingerprint(secret), ApiKey.revoked_at.is_(None))
        return self.session.scalar(query)

    def any(self) -> bool:
        """Say whether anybody was ever given a key: from then on everybody needs one."""
        return bool(self.session.scalar(select(exists(select(ApiKey.id)))))

    def all(self) -> Sequence[ApiKey]:
        """List every key, oldest first."""
        return self.session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)).all()

    def revoke(self, key_id: str) -> ApiKey:
        """Close a way in.

        Raises:
            NotFound: There is no such key.
        """
        key = self.session.get(ApiKey, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id!r}.")
        if key.revoked_at is None:
            key.revoked_at = db_now()
        self.session.flush()
        return key

    def _project(self, name: str) -> Project:
        project = self.session.scalar(select(Project).where(Project.name == name))
        if project is None:
            project = Project(id=new_id("prj"), name=name)
            self.session.add(project)
            self.session.flush()
        return project
