"""Where descriptions meet tensors: data, steps, epochs, checkpoints."""
