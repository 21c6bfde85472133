"""Hears the bell, claims jobs, and runs each attempt in a process of its own."""
