"""Bringing faces into the frame that networks learnt on: found, five points, one similarity transform."""
