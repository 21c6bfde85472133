"""Jobs: what is trained, and how it goes."""
