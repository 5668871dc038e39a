"""Measuring: classifiers on real faces, generated faces by classifiers."""
