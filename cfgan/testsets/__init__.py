"""Targeted test sets for imposter detection: build, export, score."""
