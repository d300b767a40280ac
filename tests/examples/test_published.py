"""Published results: every script of examples/published finds its number within the tolerance that it states."""

import pathlib
import runpy

import jax
import matplotlib
import numpy as np
import pytest

matplotlib.use("agg")

FOLDER = pathlib.Path(__file__).parents[2] / "examples" / "published"
SCRIPTS = {path.stem: path for path in sorted(FOLDER.glob("*.py"))}
LOOSEST = 2e-3  # nothing is called reproduced that is further off


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.filterwarnings("ignore:jaxlib can hang")
def test_number(name, tmp_path, capsys):
    """Ours and the published one agree, are finite and not zero, and are shown in a figure."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        script = runpy.run_path(str(SCRIPTS[name]))
        found = script["main"](tmp_path)
    assert 0 < script["TOLERANCE"] <= LOOSEST
    assert found
    for label, (ours, published) in found.items():
        assert np.isfinite(published) and published != 0, label
        np.testing.assert_allclose(ours, published, rtol=script["TOLERANCE"], err_msg=label)
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", SCRIPTS)
def test_source(name):
    """The docstring has a title, a source with a year; run by itself a script asserts what it found."""
    text = SCRIPTS[name].read_text(encoding="utf-8")
    title, line, *rest = text.removeprefix('"""').splitlines()
    assert set(line) == {"="} and len(line) == len(title)
    source = "\n".join(rest[:20]).partition("*Source:*")[2]
    assert "(19" in source or "(20" in source
    assert text.rstrip().splitlines()[-1].lstrip().startswith("assert all(")


def test_at_least_a_dozen():
    assert len(SCRIPTS) >= 12
