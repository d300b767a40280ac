"""The documentation site: `python -m sphinx -W -n -b html docs docs/_build/html`, with the extra `docs`; no network."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
# The tree that the pages describe is the one they are run with, in the kernels and processes that they start as well.
sys.path[:0] = [str(ROOT), str(HERE / "extensions")]
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), str(HERE / "extensions"), *filter(None, [os.environ.get("PYTHONPATH")])]
)
os.environ["PATH"] = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
os.environ.pop("MPLBACKEND", None)  # of the caller; kernels show what they draw by one of their own
# Building is mostly compiling: programs are compiled quickly, as in the tests (tests/conftest.py).
FLAGS = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
FLAGS.append("--xla_cpu_enable_concurrency_optimized_scheduler=false")  # see "Sharp bits" in the README
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *FLAGS]).strip()

import built_pages  # noqa: E402
import docstrings  # noqa: E402
import example_figures  # noqa: E402

import qdbjax  # noqa: E402

project = "qdbjax"
author = copyright = "the qdbjax developers"
version = release = qdbjax.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "myst_nb",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/**/*.ipynb", "**/*.md5", "**/*.codeobj.json"]
default_role = "code"
nitpicky = True
smartquotes_action = "D"  # dashes only: what stands between quotes are values, to be copied
toc_object_entries_show_parents = "hide"
suppress_warnings = ["config.cache"]  # functions in sphinx_gallery_conf cannot be pickled

html_theme = "pydata_sphinx_theme"
html_title = "qdbjax"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"**": ["globaltoc.html"]}
html_theme_options = {
    "navbar_center": [],
    "globaltoc_includehidden": "true",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True
nb_render_markdown_format = "myst"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples")],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"\.py$",
    "image_scrapers": (example_figures.scraper,),
    "reset_argv": example_figures.arguments,
    "reset_modules": (example_figures.reset,),
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 0,
    "abort_on_example_error": True,
    "only_warn_on_example_error": False,
    "plot_gallery": "True",
    "parallel": 2,  # processes; of Sphinx itself (-j) there is one, since it forks what JAX has made threads in
    "write_computation_times": False,
}


def setup(app):
    """Docstrings are plain text with equations, autodoc reads reStructuredText; what was built is looked at."""
    app.connect("autodoc-process-docstring", docstrings.to_restructuredtext)
    app.connect("autodoc-skip-member", docstrings.skip)
    app.connect("doctree-read", docstrings.settle_fields)
    app.connect("html-page-context", docstrings.break_names)
    app.connect("build-finished", built_pages.check)
