"""Filling up what a labelled data set lacks."""
