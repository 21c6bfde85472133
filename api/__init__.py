"""The gateway: checks what can be checked without a tensor, stores it, rings the bell."""
