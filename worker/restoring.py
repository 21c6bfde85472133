"""Goes on from the newest checkpoint that is whole and gives the same bits here."""

from pathlib import Path

from core.blobs import Blobs, digest
from core.tables import Checkpoint
from engine.errors import BadFile
from engine.training.checkpoint import Inexact
from engine.training.loop import Training
from worker.journal import Journal


def restore(training: Training, journal: Journal, blobs: Blobs, folder: Path) -> bool:
    """Put a training where a checkpoint was written; False if it has to begin anew.

    Raises:
        LostLease: The job is no longer ours.
        OSError: Storage does not answer: the checkpoint may be there all the same.
    """
    for number, checkpoint in enumerate(journal.checkpoints()):
        fault = _fault(training, checkpoint, blobs, folder / "restore", journal)
        if fault is None:
            journal.kept = checkpoint.step
            if number:
                journal.resumed(checkpoint)
            return True
        journal.event("warning", {"detail": f"The checkpoint at step {checkpoint.step} {fault}: it is not used."})
    journal.resumed(None)
    journal.event("warning", {"detail": "There is no checkpoint to go on from: the job begins anew."})
    return False


def _fault(training: Training, checkpoint: Checkpoint, blobs: Blobs, path: Path, journal: Journal) -> str | None:
    """Try a checkpoint; say why it cannot be used."""
    try:
        blobs.get_file(checkpoint.blob, path)
        if digest(path) != (checkpoint.bytes, checkpoint.sha256):
            return "is damaged"
        _restore(training, path, checkpoint, journal)
    except FileNotFoundError:
        return "is gone"
    except Inexact as error:
        return f"{error}, so that the bits would differ"
    except BadFile as error:
        return f"cannot be read ({error})"
    finally:
        path.unlink(missing_ok=True)
    return None


def _restore(training: Training, path: Path, checkpoint: Checkpoint, journal: Journal) -> None:
    """Go back to a checkpoint; a session, which cannot begin anew, to one from which the bits differ as well."""
    try:
        training.restore(path)
    except Inexact as error:
        if training.plan.session is None:
            raise
        training.restore(path, exact=False)
        told = (
            f"The checkpoint at step {checkpoint.step} {error}: the session goes on from it, and the bits may differ."
        )
        journal.event("warning", {"detail": told})
