"""What comes in and goes out about short runs on trained weights."""

from typing import Any

from pydantic import BaseModel, Field

from api.strict import Strict


class OnTrained(Strict):
    """Inputs for a job's weights; `x` is a reference or lists."""

    job: str
    x: Any
    batch_size: int = Field(default=32, ge=1)


class PredictionIn(OnTrained):
    """What to predict: outputs, or classes with the method `predict_classes`."""

    method: str = "predict"


class EvaluationIn(OnTrained):
    """What to evaluate."""

    y: Any
    sample_weight: Any = None


class PredictionOut(BaseModel):
    """What the model says."""

    y: list[Any]


class EvaluationOut(BaseModel):
    """The loss and the metrics by which the job was compiled."""

    model_config = {"extra": "allow"}
    loss: float | str
