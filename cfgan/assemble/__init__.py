"""Putting trained parts together into a bundle."""
