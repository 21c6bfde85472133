"""What every table shares: how constraints are named, and what Python's types become."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, MetaData, String
from sqlalchemy.orm import DeclarativeBase

from core.columns import Json
from core.database import Timestamp


class Base(DeclarativeBase):
    """What every table shares."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    #: What the database sets (its clock) is read back by the same statement that wrote it.
    __mapper_args__ = {"eager_defaults": True}
    type_annotation_map = {
        datetime: Timestamp(),
        dict[str, Any]: Json(),
        list[Any]: Json(),
        int: BigInteger(),
        str: String(),
        bytes: LargeBinary(),
    }
