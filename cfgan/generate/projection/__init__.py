"""A photo brought into the generator: found again among what it can draw, and edited there."""
