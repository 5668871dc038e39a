"""External witnesses: pretrained models from public packages that know nothing of the training labels."""
