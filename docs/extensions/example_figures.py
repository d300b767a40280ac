"""How the gallery runs the examples: each writes its figure into a folder that it is given, and the figure is shown."""

import pathlib
import shutil
import tempfile

from sphinx_gallery.scrapers import figure_rst

FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="gallery_"))


def arguments(gallery_conf, script_vars):
    """The argument of every example: where its figure goes."""
    return [str(FOLDER)]


def scraper(block, block_vars, gallery_conf):
    """The figures that a block has written; its first docstring line is their alternative text."""
    shown = []
    for figure in sorted(FOLDER.glob("*.png")):
        target = next(block_vars["image_path_iterator"])
        shutil.move(figure, target)
        shown.append(target)
    title = pathlib.Path(block_vars["src_file"]).stem.replace("_", " ")
    return figure_rst(shown, gallery_conf["src_dir"], f"Figure of example {title}")


def reset(gallery_conf, fname):
    """Figures and programs of one example are dropped before the next: Linux maps 65 530 regions for a process."""
    import gc

    import jax
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("agg")
    plt.close("all")
    jax.clear_caches()
    gc.collect()
