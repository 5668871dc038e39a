"""Intervals and rates: plain arithmetic that needs nothing else."""
