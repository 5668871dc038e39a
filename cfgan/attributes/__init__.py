"""What can be asked for: the vocabulary, requests, specs, and the prior that fills in the rest."""
