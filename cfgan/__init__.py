"""cfgan: attribute-controlled face generation that proves what it made."""

__version__ = "0.1.0"
