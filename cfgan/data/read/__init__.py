"""Labelled images in the layouts that other people use."""
