"""The report on what a bundle obeys, and the figures of its card."""
