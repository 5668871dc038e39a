"""Batches too large for a folder of images: shards, the same bytes whoever made them and however many were at it."""
