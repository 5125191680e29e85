"""Sphinx configuration: furo, Markdown by myst, the command line by sphinx-click."""

from wsloop import __version__

project = "wsloop"
author = "the wsloop authors"
copyright = "2026, the wsloop authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "decisions/0000-template.md"]
html_theme = "furo"
html_title = f"wsloop {version}"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
suppress_warnings = ["myst.xref_missing"]  # links out of docs/ into the tree are checked by tests/docs
