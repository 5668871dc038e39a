"""Training: configuration, losses, augmentation, the two visible loops and their saved state."""
