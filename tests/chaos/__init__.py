"""Faults by a seeded schedule against a whole yard, and what must hold whatever dies: see docs/guarantees.md."""
