"""A system's scores on a test set: error rates, differences, weak spots."""
