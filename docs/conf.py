"""How Sphinx builds the site. Its source is the root of the repository, so links work as they do in a checkout."""

from bento import __version__

project = "wordtell"
author = "the authors of wordtell"
copyright = author
release = __version__

extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = ["docs/**", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "**/README.md", "LICENSE"]
exclude_patterns = [".*", "build", "dist", "**/__pycache__", "**/node_modules"]
# Links to headings use GitHub's names for them. A link that leads nowhere is an error: `make docs` runs with -W.
myst_heading_anchors = 4
suppress_warnings = ["toc.not_included"]  # a README of a folder is reached by links

html_theme = "furo"
html_title = f"wordtell {release}"
