"""Simple faces drawn by code: no person in them, and labels that are right by construction."""
