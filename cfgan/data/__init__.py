"""Images and labels: reading them, checking them, packing them."""
