"""Building a test set."""
