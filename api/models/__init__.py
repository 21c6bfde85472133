"""Models: definitions kept for later jobs."""
