"""The health check of a worker's container."""

import socket
import subprocess
import sys

from core import workers
from worker.health import complaint


def look(sessions, host=None):
    host = host or socket.gethostname()
    who = workers.Identity(id=f"w-{host}", host=host, pid=1, version="0", slots=1, gpus=())
    with sessions.begin() as session:
        workers.looked(session, who, None)


def test_a_host_is_healthy_while_a_worker_of_its_own_looks_for_work(settings, sessions):
    assert "none ever did" in complaint(settings)
    look(sessions, "another-host")
    assert "none ever did" in complaint(settings)
    look(sessions)
    assert complaint(settings) is None
    assert "the last one did at" in complaint(settings.model_copy(update={"worker_alive_seconds": -1.0}))


def test_a_database_that_is_away_is_a_complaint_and_no_trace(settings):
    nowhere = settings.model_copy(update={"database_url": "postgresql://nobody:secret@127.0.0.1:1/none"})
    assert complaint(nowhere) == "The database cannot be asked: OperationalError."


def test_the_command_exits_with_0_only_then(settings, sessions, monkeypatch):
    monkeypatch.setenv("TRAINYARD_DATA_DIR", str(settings.data_dir))

    def check():
        return subprocess.run([sys.executable, "-m", "worker.health"], capture_output=True, text=True, check=False)

    sick = check()
    look(sessions)
    well = check()

    assert (sick.returncode, well.returncode) == (1, 0)
    assert "has looked for work" in sick.stderr
    assert well.stderr == ""
