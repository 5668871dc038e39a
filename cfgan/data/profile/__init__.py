"""What is in a data set: statistics, pairs, combinations, duplicates."""
