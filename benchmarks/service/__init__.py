"""How fast the service answers: first steps, polls, event streams, the queue, files, long lists."""
