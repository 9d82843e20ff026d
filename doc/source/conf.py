"""How Sphinx builds the manual."""

from importlib import metadata

project = "migrator"
author = "The migrator developers"
version = release = metadata.version("migrator")
extensions = ["sphinx.ext.autodoc"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
html_theme = "alabaster"
html_theme_options = {
    "description": "live migration of libvirt/KVM guests",
    "page_width": "1080px",
    "show_powered_by": False,
}
html_show_copyright = False
html_show_sourcelink = False
# Most literal blocks are commands and tables, not Python.
highlight_language = "none"
exclude_patterns: list[str] = []
nitpicky = False
