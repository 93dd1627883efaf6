"""Sphinx settings of the documentation."""

import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

project = "hierlogit"
author = "hierlogit developers"
project_copyright = "2026, hierlogit developers"
release = installed_version("hierlogit")
version = release

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
# The first suffix is that of the pages that autosummary writes.
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
# Notebooks are executed by `make case-studies` and committed with their outputs.
nb_execution_mode = "off"
# Outputs in Markdown may have mathematics, which CommonMark does not have.
nb_render_markdown_format = "myst"

# Sphinx reads what is below its own folder.
for notebook in Path(__file__).parents[1].joinpath("case_studies").glob("*.ipynb"):
    shutil.copy(notebook, Path(__file__).parent / "case_studies")

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = f"hierlogit {release}"
html_static_path = ["_static"]
html_css_files = ["hierlogit.css"]
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "pygments_light_style": "tango",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
