"""Files that do not pass through the gateway with the request that makes their row: announced, uploaded, completed."""
