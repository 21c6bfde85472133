"""A table full of jobs that have ended, made by the database itself: a million of them in a minute."""

from sqlalchemy import Connection, text

#: How each database counts to `:count`.
NUMBERS = {
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)",
    "postgresql": "WITH numbers(n) AS (SELECT generate_series(1, :count))",
}
#: A moment `n` seconds before the first day of 2026.
MOMENT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', '2026-01-01', -n || ' seconds') || '000'",
    "postgresql": "TIMESTAMPTZ '2026-01-01' - make_interval(secs => n)",
}
PADDED = {"sqlite": "printf('%026d', n)", "postgresql": "lpad(CAST(n AS text), 26, '0')"}
LABEL = "CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'common' END"

JOBS = """
INSERT INTO jobs (id, project_id, kind, labels, state, attempt, definition, seed, version, last_event,
                  created_at, started_at, finished_at, updated_at)
{numbers} SELECT {job_id}, 'prj_default', 'training', {labels}, :state, 1, {nothing}, 7, 3, 3,
                 {moment}, {ended}, {ended}, {moment} FROM numbers
"""
LABELS = """
INSERT INTO job_labels (job_id, key, value, project_id, created_at)
{numbers} SELECT {job_id}, 'team', {label}, 'prj_default', {moment} FROM numbers
"""
ATTEMPTS = """
INSERT INTO attempts (job_id, number, worker, started_at, ended_at, exit)
{numbers} SELECT {job_id}, 1, 'w', {moment}, {moment}, 'succeeded' FROM numbers
"""
EVENTS = """
INSERT INTO events (job_id, seq, attempt, type, data, at)
{numbers} SELECT {job_id}, 1, 0, 'state', {nothing}, {moment} FROM numbers
"""


def fill(connection: Connection, count: int, state: str = "succeeded", prefix: str = "old") -> None:
    """Add jobs in one state, with an event each; one in a thousand has the label team:rare.

    Args:
        connection: In a transaction.
        count: How many.
        state: A terminal one, or "queued".
        prefix: Keeps their ids apart from those of another call.
    """
    name = connection.dialect.name
    as_json = "CAST({} AS json)" if name == "postgresql" else "{}"
    parts = {
        "numbers": NUMBERS[name],
        "job_id": f"'job_{prefix}' || {PADDED[name]}",
        "moment": MOMENT[name],
        "label": LABEL,
        "labels": as_json.format(f"""('{{"team": "' || {LABEL} || '"}}')"""),
        "nothing": as_json.format("'{}'"),
        "ended": "NULL" if state == "queued" else MOMENT[name],
    }
    for query in (JOBS, LABELS, EVENTS, *(() if state == "queued" else (ATTEMPTS,))):
        connection.execute(text(query.format(**parts)), {"count": count} | ({"state": state} if query is JOBS else {}))
