"""benchmarks/gpu.py in small: it traces all workloads, and measures, checks and writes those that compile fast."""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

FILE = pathlib.Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_workload_can_be_traced(gpu):
    """W1 (ring, generic, d = 4, 8, 16), W3, W5, W6 with its LU, as one number of two."""
    names = list(gpu.WORKLOADS)
    for begin in ("ring", "generic 3x3", "chain d = 16", "evolution d = 4", "gas", "given jumps d = 8", "LU d = 8"):
        assert begin in names
    number = jax.ShapeDtypeStruct((), jnp.float64)
    for name, (function, count) in gpu.WORKLOADS.items():
        found = jax.tree.leaves(jax.eval_shape(function, number, number))
        assert all(leaf.shape == () and leaf.dtype == jnp.float64 for leaf in found) and count >= 1000, name


def test_eigensystems_are_checked(gpu, monkeypatch):
    good = gpu.residuals(gpu.EIGENSYSTEMS["chain d = 4"][0], 8, np.float64)
    assert good["cells"] == 8 and good["largest"] < 100 and good["not_finite"] == 0
    true = gpu.eigh

    def wrong(matrix):  # one vector of one cell
        energies, basis = true(matrix)
        return energies, basis.at[:, 0].multiply(jnp.where(matrix[0, 0].real > 0.6, 1.0, -1.0 + 1e-9))

    monkeypatch.setattr(gpu, "eigh", wrong)
    assert gpu.residuals(gpu.EIGENSYSTEMS["chain d = 4"][0], 8, np.float64)["largest"] > 1e5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:JAX computes in single precision")
def test_a_rehearsal(gpu, tmp_path):
    out = tmp_path / "gpu.jsonl"
    gpu.main(["given jumps d = 2", "LU d = 2", "--cells", "16", "--rounds", "1", "--out", str(out)])
    line = json.loads(out.read_text())
    for bits, limit in ((64, 1e-12), (32, 1e-4)):
        for name in ("given jumps d = 2", "LU d = 2"):
            made = line[f"{name}, float{bits}"]
            assert made["cells"] == 16 and made["cells_per_second"] > 0 and made["differs"] < limit
            assert made["bytes_per_second"] > 0 and made["flops_of_ceiling"] >= 0
        assert line[f"ceilings, float{bits}"]["flops_per_second"] > 0
        assert line[f"eigensystems of given jumps d = 2, float{bits}"]["largest"] < 100
    assert line["published, RTX 3080"]["given jumps d = 4"] == 3.5e6
