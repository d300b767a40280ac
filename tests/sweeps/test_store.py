"""sweep(out=…): the numbers of a sweep in memory, block by block in a zarr store, gone on with and refused in words."""

import functools as ft
import json
import os
import pathlib
import shutil
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
import zarr

import qdbjax as qdb
from qdbjax.sweeps import grid_run, labels, store, sweep
from qdbjax.sweeps.errors import StoreError
from qdbjax.sweeps.store_run import Destination

A, B = np.linspace(0.1, 1.0, 13), np.linspace(0.0, 1.0, 5)
AXES = {"a": A, "b": B}
FACTOR = 2.0


def helper(a):
    return FACTOR * a


def wave(a, b):
    """NaN in two whole blocks; real, complex, whole and truth values; a further dimension."""
    value = jnp.where(a < 0.3, jnp.nan, helper(a) * jnp.exp(-b))
    return {
        "wave": value,
        "pair": jnp.stack([jax.lax.complex(a, b), jax.lax.complex(value, a)]),
        "whole": 3,
        "late": a > 0.5,
    }


def calls(monkeypatch):
    """A list that grows with every block that is computed."""
    seen, true = [], grid_run.execute
    monkeypatch.setattr(grid_run, "execute", lambda *given: seen.append(1) or true(*given))
    return seen


@pytest.fixture(scope="module")
def whole():
    return sweep(wave, **AXES)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store that no test changes."""
    path = tmp_path_factory.mktemp("kept") / "run.zarr"
    sweep(wave, out=path, batch_size=10, **AXES)
    return path


def assert_same(data, wanted):
    for name in wanted.variables:
        assert data[name].dims == wanted[name].dims and data[name].dtype == wanted[name].dtype, name
        np.testing.assert_array_equal(data[name].values, wanted[name].values)


def test_the_store_is_the_sweep(tmp_path, whole):
    data = sweep(wave, out=str(tmp_path / "new" / "run.zarr"), batch_size=10, **AXES)
    assert not any(data[name].variable._in_memory for name in data.data_vars)
    assert_same(data, whole)
    assert data["status"].attrs == whole["status"].attrs and list(data["status"].shape) == [13, 5]
    for name in ("function", "qdbjax_version", "jax_version", "device", "dtype", "points"):
        assert data.attrs[name] == whole.attrs[name]
    assert data.attrs["points_per_second"] > 0 and data.attrs["block"] == [2, 5]
    assert data.attrs["function_source"].startswith("def wave(a, b):")
    told = json.loads(data.attrs["configuration"])
    assert told["precision"] == "float64" and told["FACTOR in helper"] == "2.0" and "helper(a)" in told["function wave"]


def test_how_it_is_stored(kept):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = xarray.open_zarr(kept, consolidated=False)
    assert "pair_dim0" in data.dims and data["status"].dtype == np.int32
    group = zarr.open_group(kept, mode="r")
    for name, array in group.arrays():
        assert [type(codec).__name__ for codec in array.compressors] == ["ZstdCodec", "Crc32cCodec"]
        assert array.metadata.zarr_format == 3 and array.metadata.dimension_names == data[name].dims
    assert group["status"].fill_value == -1 and group["pair"].chunks == (2, 5, 2) and group["status"].chunks == (2, 5)
    # Blocks of nothing but the fill value are written too: what is not there has not been computed.
    assert len([each for each in (kept / "wave").rglob("*") if each.is_file()]) == 1 + 7
    assert [path.name for path in kept.parent.iterdir()] == ["run.zarr"]


def test_chunks_are_those_that_zarr_writes(kept, tmp_path):
    """Byte by byte: real, complex, whole and truth values, the short block at the end, blocks of NaN, and no more."""
    theirs = shutil.copytree(kept, tmp_path / "run.zarr")
    files = {path.relative_to(kept): path.read_bytes() for path in kept.rglob("c/**/*") if path.is_file()}
    with zarr.config.set({"array.write_empty_chunks": True}):
        for name, array in zarr.open_group(theirs, mode="r+").arrays():
            values = array[...]
            shutil.rmtree(theirs / name / "c")
            array[...] = values
    assert files == {path.relative_to(theirs): path.read_bytes() for path in theirs.rglob("c/**/*") if path.is_file()}
    assert len(files) == 5 * 7 + 2


def test_resumed_it_computes_nothing(kept, whole, monkeypatch):
    seen, before = calls(monkeypatch), {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    data = sweep(wave, out=kept, resume=True, **AXES)
    assert_same(data, whole)
    assert not seen and data.attrs["seconds"] == 0
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")} == before


def test_stopped_it_goes_on(tmp_path, whole, monkeypatch, capsys):
    out, true, seen = tmp_path / "run.zarr", grid_run.execute, []

    def stop(*given):
        seen.append(1)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return true(*given)

    monkeypatch.setattr(grid_run, "execute", stop)
    with pytest.raises(KeyboardInterrupt):
        sweep(wave, out=out, batch_size=10, **AXES)
    half = store.open_dataset(out)
    assert (half["status"].values[:6] != -1).all() and (half["status"].values[6:] == -1).all()
    assert "not computed" in qdb.explain(half["status"]) and "nonunique" not in qdb.explain(half["status"])
    assert "nonfinite_input" in qdb.explain(half["status"]) and "not computed" not in qdb.explain(whole["status"])
    assert_same(half.isel(a=slice(0, 6)), whole.isel(a=slice(0, 6)))
    data = sweep(wave, out=out, resume=True, progress=True, **AXES)
    assert_same(data, whole)
    assert len(seen) == 4 + 4
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("wave: 40 of 65 points") and said[-1].startswith("wave: 65 of 65 points")
    assert "points/s" in said[-1] and "0 s left" in said[-1] and "23.1% flagged" in said[-1]


def test_results_may_be_larger_than_memory(tmp_path, whole, monkeypatch):
    compiler = grid_run.compiler_of(wave, AXES, "wave")
    free = 2 * compiler.program((2, 5)).bytes_needed  # a quarter of it holds half of a block
    monkeypatch.setattr(grid_run.memory, "bytes_free", lambda: free)
    assert free < 65 * compiler.program((2, 5)).bytes_per_point
    seen = calls(monkeypatch)
    data = sweep(wave, out=tmp_path / "run.zarr", batch_size=10, **AXES)
    assert_same(data, whole)
    assert data.attrs["block"] == [2, 5] and len(seen) == 13


def test_out_of_memory_halves_the_call_and_not_the_chunk(tmp_path, whole, monkeypatch):
    true, sizes = grid_run.execute, []

    def tight(compiled, coordinates):
        sizes.append(int(np.prod([len(values) for values in coordinates])))
        if sizes[-1] > 10:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte.")
        return true(compiled, coordinates)

    monkeypatch.setattr(grid_run, "execute", tight)
    data = sweep(wave, out=tmp_path / "run.zarr", batch_size=20, **AXES)
    assert_same(data, whole)
    assert data.attrs["block"] == [4, 5] and sizes[0] == 20 and sizes[1:] == [10] * 7


@pytest.mark.parametrize(
    ("points", "each", "world", "block"),
    [
        (10**7, 12, 1, 78125),  # 128 blocks
        (10**9, 12, 1, 2**26 // 12),  # 64 MB
        (10**9, 12, 64, 976563),  # 16 for each of 64 processes
        (40_000, 12, 1, 1024),  # no smaller ones
        (10**6, 2**27, 1, 1),
        (0, 12, 1, 1024),
    ],
)
def test_size_of_a_block(points, each, world, block):
    assert store.chunk_points(points, each, world) == block


def test_without_batch_size_blocks_are_those_of_every_process(tmp_path):
    data = sweep(ft.partial(wave, b=0.0), out=tmp_path / "run.zarr", a=np.linspace(0.1, 1.0, 2500))
    assert data.attrs["block"] == [834]  # three even parts of at most 1024


def test_a_block_is_small_where_much_is_returned(tmp_path, monkeypatch):
    """The shape of the results is known only after a look at a block of a usual size."""
    monkeypatch.setattr(store, "CHUNK_BYTES", 4 * 5 * (8 + 32 + 8 + 1 + 4))
    assert sweep(wave, out=tmp_path / "run.zarr", **AXES).attrs["block"] == [4, 5]


@pytest.mark.parametrize("backwards", [False, True])
def test_variables_keep_their_order(tmp_path, monkeypatch, backwards):
    """zarr lists the arrays of a group as they come: five orders in twelve stores of these."""

    def several(b, a):
        return {"zeta": a * b, "alpha": a + b, "mid": a - b, "beta": b}

    def in_an_order(*arguments, **keywords):
        found = true(*arguments, **keywords)
        names = sorted(found.variables, reverse=backwards)
        listed = {name: (found[name].dims, found[name].values) for name in names}
        return xarray.Dataset(listed, attrs=found.attrs).set_coords(list(found.coords))

    true = xarray.open_zarr
    monkeypatch.setattr(xarray, "open_zarr", in_an_order)
    data = sweep(several, out=tmp_path / "run.zarr", b=B, a=A)
    assert list(data.data_vars) == ["zeta", "alpha", "mid", "beta", "status"] and list(data.coords) == ["b", "a"]
    assert "array_order" not in data.attrs


def test_no_grid_points(tmp_path):
    for n, axes in enumerate(({"a": [], "b": B}, {"a": A, "b": []})):
        data = sweep(wave, out=tmp_path / f"{n}.zarr", **axes)
        assert data["wave"].shape == tuple(len(each) for each in axes.values()) and data["pair"].sizes["pair_dim0"] == 2
        assert sweep(wave, out=tmp_path / f"{n}.zarr", resume=True, **axes).sizes == data.sizes


def with_another_line():
    def wave(a, b):
        value = jnp.where(a < 0.3, jnp.nan, helper(a) * jnp.exp(-2 * b))
        return {"wave": value, "pair": jnp.stack([jax.lax.complex(a, b), jax.lax.complex(value, a)]), "whole": 3}

    return wave


def with_comments():
    def wave(a, b):
        """Another docstring."""
        # and a comment
        value = jnp.where(a < 0.3, jnp.nan, helper(a) * jnp.exp(-b))
        return {
            "wave": value,
            "pair": jnp.stack([jax.lax.complex(a, b), jax.lax.complex(value, a)]),
            "whole": 3,
            "late": a > 0.5,
        }

    return wave


@pytest.mark.parametrize(
    ("fn", "axes", "options", "words"),
    [
        (
            with_another_line(),
            AXES,
            {},
            r"function wave is 'value = .*exp\(-2 \* b\)\)' here and 'value = .*exp\(-b\)\)' there",
        ),
        (wave, {"a": A, "b": B + 1e-9}, {}, "axis b is float64 .*1e-09.* here"),
        (wave, {"a": A[:-1], "b": B}, {}, r"axis a is float64 \(12,\) #\w* here and float64 \(13,\) #\w* there"),
        (wave, {"b": B, "a": A}, {}, "order of axes is b, a here and a, b there"),
        (wave, AXES, {"batch_size": 15}, r"batch_size=15 is \(3, 5\) here and \(2, 5\) there"),
        (wave, AXES, {"optimize": True}, "compilation is optimised here and quick there"),
    ],
)
def test_another_sweep_is_refused_with_the_difference(kept, fn, axes, options, words):
    with pytest.raises(StoreError, match=f"belongs to another sweep: .*{words}.*Give another out, or remove it"):
        sweep(fn, out=kept, resume=True, axes=axes, **options)


def test_another_value_version_or_precision_is_refused(kept, monkeypatch):
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    with pytest.raises(StoreError, match=r"FACTOR in helper is 3.0 here and 2.0 there"):
        sweep(wave, out=kept, resume=True, **AXES)
    monkeypatch.undo()
    monkeypatch.setattr(qdb, "__version__", "9.9")
    with pytest.raises(StoreError, match=r"qdbjax version is '?9.9'? here and '?0.1.0'? there"):
        sweep(wave, out=kept, resume=True, **AXES)
    monkeypatch.undo()
    with jax.enable_x64(False), pytest.raises(StoreError, match="precision is float32 here and float64 there"):
        sweep(wave, out=kept, resume=True, **AXES)


def test_a_comment_is_no_difference(kept, whole):
    assert_same(sweep(with_comments(), out=kept, resume=True, **AXES), whole)


class Box:
    """An object whose content no description sees."""

    def __init__(self, content):
        self.content = content

    def __call__(self, a):
        return {"box": a} if self.content else {"box": a, "more": a}


def test_other_outputs_are_refused(tmp_path):
    out = tmp_path / "run.zarr"
    sweep(Box(True), out=out, batch_size=5, a=A)
    store.SweepStore(out).forget((slice(0, 5),))
    with pytest.raises(StoreError, match=r"more is float64 \(13,\) here and absent there"):
        sweep(Box(False), out=out, resume=True, a=A)


def test_what_is_there_is_not_touched_unasked(kept, tmp_path):
    with pytest.raises(StoreError, match=r"run.zarr exists. Give resume=True to go on with it, or another out"):
        sweep(wave, out=kept, **AXES)
    for name, make in (("file", lambda path: path.write_text("mine")), ("folder", pathlib.Path.mkdir)):
        path = tmp_path / name
        make(path)
        if name == "folder":
            (path / "mine").write_text("mine")
        with pytest.raises(StoreError, match=r"is no store of a sweep.*Give another name, or remove it"):
            sweep(wave, out=path, resume=True, **AXES)
        assert [each.name for each in tmp_path.rglob("*.lock")] == []
    xarray.Dataset({"x": ("a", A)}).to_zarr(tmp_path / "plain.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match="is no store of a sweep"):
        sweep(wave, out=tmp_path / "plain.zarr", resume=True, **AXES)
    (tmp_path / "empty").mkdir()
    assert sweep(wave, out=tmp_path / "empty", batch_size=10, **AXES).attrs["block"] == [2, 5]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"resume": True}, ValueError, "resume=True belongs to a store. Name one, as in out='run.zarr'"),
        ({"rank": 0, "world": 2}, ValueError, "rank=0 belongs to a store|world=2 belongs to a store"),
        ({"verify": True}, ValueError, "verify=True belongs to a store"),
        ({"out": 3}, TypeError, "out must be a path, as in out='run.zarr'; got 3"),
        ({"out": "s3://bucket/run.zarr"}, ValueError, "out must be a folder of a file system"),
        ({"out": "run.zarr", "verify": True}, ValueError, "verify=True looks at a store that is there. Give resume"),
        ({"out": "run.zarr", "resume": 1}, TypeError, "resume must be True or False; got 1"),
        ({"out": "run.zarr", "rank": 2, "world": 2}, ValueError, "rank must be from 0 to world - 1 = 1; got 2"),
    ],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        sweep(wave, **options, **AXES)


@pytest.mark.parametrize("name", ["a/b", "..", "", "__x"])
def test_names_that_no_folder_can_have(tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot be the name of a folder in a store. Call it something else"):
        sweep(lambda a: {name: a}, out=tmp_path / "run.zarr", a=A)
    assert list(tmp_path.iterdir()) == []


def test_labels_are_those_of_memory(tmp_path):
    told = labels.Labels(
        dims={"pair": ("side",)},
        coordinates={"side": ["left", "right"]},
        attributes={"pair": {"units": "energy"}, "a": {"long_name": "first"}, "side": {"long_name": "which"}},
        general={"title": "told"},
        origin={"file": "one"},
    )
    data = [
        qdb.sweeps.dataset.labelled_sweep(wave, AXES, told, to, batch_size=10)
        for to in (None, Destination(tmp_path / "run.zarr"))
    ]
    assert_same(data[1], data[0])
    for each in data:
        assert each["pair"].dims == ("a", "b", "side") and list(each["side"].values) == ["left", "right"]
        assert each["pair"].attrs == {"units": "energy"} and each["a"].attrs == {"long_name": "first"}
        assert each["side"].attrs == {"long_name": "which"} and each.attrs["title"] == "told"
    again = labels.Labels(**{**vars(told), "origin": {"file": "two"}})
    with pytest.raises(StoreError, match=r"file is 'two' here and 'one' there|file is two here and one there"):
        qdb.sweeps.dataset.labelled_sweep(wave, AXES, again, Destination(tmp_path / "run.zarr", resume=True))


def test_a_pathlike_is_a_path(tmp_path):
    class Somewhere(os.PathLike):
        def __fspath__(self):
            return str(tmp_path / "run.zarr")

    assert sweep(wave, out=Somewhere(), batch_size=10, **AXES).sizes["a"] == 13
