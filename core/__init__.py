"""What the gateway and the workers must both know: settings, rows, queries, the queue, object storage."""
