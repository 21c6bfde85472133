"""How large a definition may be: checked by arithmetic, before anything is allocated."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what one job may ask for."""

    max_layers: int = 1_000
    max_depth: int = 20
    max_function_characters: int = 100_000
    max_parameters: int = 500_000_000
    max_memory_bytes: int = 8 * 2**30
    max_batch_size: int = 65_536
    max_epochs: int = 100_000
    max_inline_values: int = 100_000
    max_packed_bytes: int = 16 * 2**20
    #: What a step of a session may answer with: it lies in the database until it is read.
    max_answer_values: int = 1_000_000
    max_random_values: int = 2**27
    max_made_bytes: int = 8 * 2**30
    max_callbacks: int = 20
    max_metrics: int = 50
