"""The bundle that is meant where none is named: apart from the others, for the command line says it and opens none."""

DEFAULT = "celeba128"
"""Name of a shipped bundle."""
