"""Where labelled images come from: a module for each kind of source. :mod:`cfgan.data.source` lists them."""
