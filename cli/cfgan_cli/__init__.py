"""The command line of cfgan: parses, calls the library, shows the result."""
