"""The model that a whole model's file holds: told by a runner, for HDF5 is parsed in no other process."""

import json

from sqlalchemy.orm import Session

from api import express
from api.weights.schemas import SavedModelOut
from api.wiring import Wiring
from core.errors import StateConflict, Unprocessable
from core.models import Weights
from core.tables import READY, Job

#: What the runner leaves.
SAVED = "saved.json"


def inspect(wiring: Wiring, project_id: str, weights_id: str) -> SavedModelOut:
    """Have a runner look into an uploaded file.

    Raises:
        NotFound: There is no such file.
        StateConflict: Its bytes have not come yet.
        Unprocessable: It holds weights alone.
        RunRefused: It is damaged, or holds what cannot be made here.
        WaitedTooLong: No worker answered in time.
    """

    def prepare(session: Session, job: Job) -> list[str]:
        row = Weights(session, project_id).get(weights_id)
        if row.state != READY:
            how = f"upload their file, then POST /v1/weights/{weights_id}/complete"
            raise StateConflict(f"Weights {weights_id} are {row.state}: {how}.", state=row.state)
        if row.format == "safetensors":
            raise Unprocessable("Safetensors hold weights alone: there is no model in the file.")
        job.definition = {"inspect": {"id": weights_id}}
        return []

    with express.running(wiring, project_id, prepare, pointer="") as job:
        return SavedModelOut(**json.loads(express.left(wiring, job, SAVED)))
