"""The report on batches of generated faces."""
