"""The report on a system's scores."""
