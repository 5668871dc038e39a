"""The version, on the ground floor: every batch, report and image says it, and none of them needs the public face."""

__version__ = "0.4.0"
