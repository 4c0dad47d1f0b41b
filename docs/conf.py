"""How the documentation is built: sphinx-build -W --keep-going -b html docs OUT.

The pages need no network: mathematics is MathML, which browsers draw themselves.
"""

from importlib import metadata

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "skmeta"
author = "the skmeta developers"
copyright = author
release = version = metadata.version("skmeta")

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_templates", "figures"]
templates_path = ["_templates"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
numpydoc_show_class_members = False
default_role = "py:obj"
toc_object_entries_show_parents = "hide"
autodoc_default_options = {"members": True, "inherited-members": True}
html_math_renderer = "mathml"
plot_formats = ["svg"]
plot_html_show_formats = plot_html_show_source_link = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "parallel": 2,
    "reference_url": {"skmeta": None},
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = f"skmeta {version}"
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["skmeta.css"]
html_copy_source = html_show_sourcelink = False
html_sidebars = {"*": []}  # of the pages at the top; those below keep theirs
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "skmeta", "image_light": "_static/icon.svg",
             "image_dark": "_static/icon.svg"},
    "footer_start": [],
    "footer_end": [],
    "navbar_align": "left",
    "show_prev_next": False,
}  # fmt: skip


def math(self, node):
    self.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def math_block(self, node):
    formula = tex2mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="formula">{formula}</div>\n')
    raise nodes.SkipNode


def skip_foreign(app, what, name, obj, skip, options):
    """Leave out of a class what scikit-learn gives to all estimators."""
    function = getattr(obj, "fget", obj)
    module = getattr(function, "__module__", None)
    return True if module and not module.startswith("skmeta") else None


def setup(app):
    app.add_html_math_renderer("mathml", (math, None), (math_block, None))
    app.connect("autodoc-skip-member", skip_foreign)
