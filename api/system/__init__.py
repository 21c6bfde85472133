"""What an operator and a curious client ask: health, metrics, capabilities."""
