"""How label tables are read: files, columns, cells, names, splits, classes."""
