"""The models of sessions, read once for all their steps: a job's definition does not change."""

from collections import OrderedDict
from threading import Lock

from sqlalchemy.orm import Session

from api.shelf import Shelf
from core.datasets import Datasets
from core.errors import StateConflict
from core.jobs import Jobs
from engine.limits import Limits
from engine.plan import Plan

#: So many are kept, those longest unused dropped first.
KEPT = 256


class Plans:
    """The plans of the sessions that were lately sent steps.

    Args:
        limits: How large they may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[tuple[str, str], Plan] = OrderedDict()
        self._lock = Lock()

    def of(self, session: Session, project_id: str, job_id: str) -> Plan:
        """Read the plan of a session, which may have ended, or be gone, since it was last read.

        Raises:
            NotFound: The project has no such job.
            StateConflict: The job is no session.
        """
        key = (project_id, job_id)
        with self._lock:
            if kept := self._kept.get(key):
                self._kept.move_to_end(key)
                return kept
        plan = self._read(session, project_id, job_id)
        with self._lock:
            self._kept[key] = plan
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return plan

    def _read(self, session: Session, project_id: str, job_id: str) -> Plan:
        job = Jobs(session, project_id).get(job_id)
        if "session" not in job.definition:
            fault = f"Job {job_id} is no session: it does what it was submitted with, and takes no steps."
            raise StateConflict(fault, job_id=job_id, state=job.state)
        return Plan.read(job.definition, Shelf(Datasets(session, project_id)).describe, self._limits)
