"""How Sphinx builds the manual."""

from importlib import metadata

project = "migrator"
author = "The migrator developers"
version = release = metadata.version("migrator")
extensions = ["sphinx.ext.autodoc"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
html_theme = "alabaster"
exclude_patterns: list[str] = []
nitpicky = False
