"""Files, journals, YAML, signals and PNG: how things reach the disk and come back."""
