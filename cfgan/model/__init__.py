"""A model on disk and the calibration of its classifiers."""
