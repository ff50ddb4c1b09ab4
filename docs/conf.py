"""Sphinx configuration: pages in Markdown, executed notebooks, and the API from docstrings."""

import html
import re

import ziamath
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from bayeslmm import __version__

project = "bayeslmm"
author = "The bayeslmm developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
]
exclude_patterns = ["_build", "jupyter_execute", "**.ipynb_checkpoints"]
default_role = "py:obj"
smartquotes = False  # quotes are code here

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

# Pages show what the library does now, so notebooks run at every build. Standard error is left out:
# what it says (that a first run compiles) depends on the machine.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_output_stderr = "remove"
nb_mime_priority_overrides = [("html", "text/html", 0)]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "furo"
html_title = "bayeslmm"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "svg"

# The formulas take the colour of the text, in pages on dark ground too; sizes are in pixels.
ziamath.config.math.color = "currentColor"
_INLINE, _BLOCK = 17, 18


def svg(latex: str, *, inline: bool) -> str:
    """A formula as a picture in the page, which needs no script, no font and no connection."""
    # The parser knows align*, which these look like, and sets relations without space.
    latex = re.sub(r"\\(begin|end)\{(?:aligned|split)\}", r"\\\1{align*}", latex)
    latex = latex.replace(r"\sim", r"\;\sim\;")
    drawn = ziamath.Latex(latex, size=_INLINE if inline else _BLOCK, inline=inline)
    style = f"vertical-align: {drawn.getyofst():.2f}px"
    label = html.escape(latex, quote=True)
    return drawn.svg().replace("<svg ", f'<svg role="img" aria-label="{label}" style="{style}" ', 1)


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(svg(node.astext(), inline=True))
    raise nodes.SkipNode


def visit_math_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{svg(node.astext(), inline=False)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("svg", (visit_math, None), (visit_math_block, None))
