"""Steps of sessions: what a job is asked to do while it runs."""
