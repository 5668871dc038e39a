"""A test set in the formats that other programs read."""
