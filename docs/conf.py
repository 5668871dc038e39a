"""The documentation as a site: `make docs`."""

from __future__ import annotations

import cfgan

project = "cfgan"
author = "The cfgan developers"
version = release = cfgan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"cfgan {release}"

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]  # the model card and the changelog begin where they like

autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # what a value is stands in words beside it
napoleon_google_docstring = True
napoleon_numpy_docstring = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
