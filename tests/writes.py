"""The fenced writes of an attempt by name, for fixtures that call each in a transaction of its own."""

from core import attempts, leases

WRITES = {
    **{name: getattr(leases, name) for name in ("renew", "finish", "lose")},
    **{name: getattr(attempts, name) for name in ("report", "epochs", "event", "checkpointed", "resumed", "artifact")},
}
