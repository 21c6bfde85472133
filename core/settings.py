"""What an operator may set, from `TRAINYARD_*` variables or `.env`."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

#: How CUDA names a GPU, or a part of one.
_GPU = r"(\d+|(GPU|MIG)-[\w/-]+)"


def _below(folder: str, scheme: str) -> Any:
    """Default a URL to a place below the data folder, so that one setting moves everything."""
    return lambda data: f"{scheme}{Path(data['data_dir']).resolve() / folder}"


class Settings(BaseSettings):
    """One gateway's or worker's settings.

    With nothing set, everything lives below `data_dir`: SQLite, a folder of blobs and a folder of bells.
    """

    model_config = SettingsConfigDict(env_prefix="TRAINYARD_", env_file=".env", extra="ignore", frozen=True)

    #: Below it: the embedded database, blobs and broker, and the files that uploads pass through.
    data_dir: Path = Path(".trainyard")
    #: URLs may hold passwords, so none of them is ever printed.
    database_url: str = Field(default_factory=_below("trainyard.db", "sqlite:///"), repr=False)
    broker_url: str = Field(default_factory=_below("broker", "filesystem://"), repr=False)
    storage_url: str = Field(default_factory=_below("blobs", "file://"), repr=False)

    #: Where clients reach the storage, if not where workers do; only S3 is ever reached by clients.
    storage_public_url: str | None = None
    #: Whether clients may upload to S3 and download from it by signed URLs; else all goes through the gateway.
    storage_presign: bool = True

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    log_level: str = "info"
    #: "json" writes one object a line, for machines that collect logs.
    log_format: Literal["json", "text"] = "text"
    #: A request that takes longer is told of in the log.
    slow_request_seconds: float = Field(default=1.0, gt=0)

    #: How often a gateway looks at the jobs that its clients watch: a change is seen that late.
    watch_interval_seconds: float = Field(default=0.2, gt=0)
    #: Event streams and long polls that one gateway holds open at once.
    max_watchers: int = Field(default=2_000, gt=0)
    #: How long an event stream may be silent.
    stream_ping_seconds: float = Field(default=15.0, gt=0)
    #: Room for the answers to polls that a gateway keeps written down.
    poll_cache_bytes: int = Field(default=64 * 2**20, ge=0)

    max_body_bytes: int = Field(default=16 * 2**20, gt=0)
    max_upload_bytes: int = Field(default=4 * 2**30, gt=0)
    #: What the arrays of one data file may take once unpacked.
    max_unpacked_bytes: int = Field(default=16 * 2**30, gt=0)
    #: How long an announced upload is waited for; no signature lives for more than a week.
    upload_expire_seconds: float = Field(default=86_400.0, gt=0, le=604_800)
    #: Larger uploads to S3 go in parts; S3 copies no more than 5 GiB at once.
    upload_multipart_bytes: int = Field(default=64 * 2**20, gt=0, le=5 * 2**30)
    upload_part_bytes: int = Field(default=16 * 2**20, ge=5 * 2**20, le=5 * 2**30)
    download_expire_seconds: float = Field(default=300.0, ge=1, le=604_800)
    #: How often a worker looks for what may be removed; one page of the storage each time.
    sweep_seconds: float = Field(default=5.0, gt=0)
    #: How long a blob may lie in the storage before a row must point at it.
    orphan_grace_seconds: float = Field(default=3_600.0, gt=0)
    max_json_depth: int = Field(default=128, gt=0)
    express_wait_seconds: float = Field(default=30.0, gt=0)
    idempotency_reserve_seconds: float = Field(default=60.0, gt=0)
    idempotency_keep_seconds: float = Field(default=86_400.0, gt=0)

    max_layers: int = Field(default=1_000, gt=0)
    max_parameters: int = Field(default=500_000_000, gt=0)
    max_memory_bytes: int = Field(default=8 * 2**30, gt=0)
    max_epochs: int = Field(default=100_000, gt=0)
    max_batch_size: int = Field(default=65_536, gt=0)

    worker_slots: int = Field(default=1, gt=0)
    #: Which GPUs the slots share: "all", a list such as "0,1", or "" for none.
    gpus: str = Field(default="all", pattern=rf"^(all|{_GPU}(,{_GPU})*)?$")
    #: Have a GPU use only kernels that repeat their bits, which are slower.
    deterministic: bool = False
    #: What a runner may hold; each slot's share of the machine when unset, and no bound when 0.
    runner_memory_bytes: int | None = Field(default=None, ge=0)
    #: A worker whose disk has less room than this claims nothing.
    min_free_disk_bytes: int = Field(default=64 * 2**20, ge=0)
    lease_seconds: float = Field(default=30.0, gt=0)
    heartbeat_seconds: float = Field(default=2.0, gt=0)
    poll_seconds: float = Field(default=1.0, gt=0)
    reaper_seconds: float = Field(default=1.0, gt=0)
    #: How long runners may take to checkpoint and give back when the worker is told to stop.
    stop_grace_seconds: float = Field(default=12.0, gt=0)
    #: `python -m worker.health` fails when no worker of this host has looked for work for so long.
    worker_alive_seconds: float = Field(default=30.0, gt=0)
    #: Where a worker serves its Prometheus metrics; nowhere when unset.
    worker_metrics_port: int | None = Field(default=None, gt=0, le=65_535)
    max_attempts: int = Field(default=3, gt=0)
    retry_backoff_seconds: float = Field(default=2.0, ge=0)
    checkpoint_every_seconds: float = Field(default=30.0, gt=0)
    checkpoint_keep: int = Field(default=2, gt=0)

    @property
    def engine_limits(self) -> dict[str, int]:
        """The bounds that gateway and runner both hand to the engine, by the engine's names for them."""
        return {
            "max_layers": self.max_layers,
            "max_parameters": self.max_parameters,
            "max_memory_bytes": self.max_memory_bytes,
            "max_epochs": self.max_epochs,
            "max_batch_size": self.max_batch_size,
        }

    @property
    def spool_dir(self) -> Path:
        """Where files wait while they are checked; on a disk, and never served."""
        return self.data_dir / "spool"


@lru_cache
def get_settings() -> Settings:
    """Read the environment once."""
    return Settings()
