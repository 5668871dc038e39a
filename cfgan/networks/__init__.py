"""Network modules only; no training code."""
