"""What happens to models."""

import hashlib
import json
from typing import Any

from api.idempotency import Answer
from api.models.schemas import ModelOut
from api.wiring import Wiring
from core.ids import new_id
from core.models import Models
from core.tables import StoredModel
from core.unit import Unit
from engine.definition import read_model


def create(unit: Unit, wiring: Wiring, project_id: str, definition: dict[str, Any]) -> Answer:
    """Check a definition and store its Keras 1 form.

    Raises:
        EngineError: It is no model.
    """
    network, translated = read_model(definition, wiring.limits)
    normal: dict[str, Any] = network.definition()
    model = StoredModel(id=new_id("mdl"), project_id=project_id, definition=normal)
    content = json.dumps(normal, sort_keys=True, separators=(",", ":"))
    model.sha256 = hashlib.sha256(content.encode()).hexdigest()
    model.summary = {**network.summary(), "translated": translated}
    Models(unit.session, project_id).add(model)
    return Answer(201, show(model).model_dump(mode="json"), {"Location": f"/v1/models/{model.id}"})


def show(model: StoredModel) -> ModelOut:
    """Write a model down."""
    return ModelOut(
        id=model.id,
        sha256=model.sha256,
        definition=model.definition,
        created_at=model.created_at,
        **model.summary,
    )
