"""The public face, for use from Python: everything here is reached through ``import cfgan``."""
