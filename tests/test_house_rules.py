"""House rules: import order, abstract or final, sizes, docstrings, no side effects on import."""

import ast
import inspect
import pathlib
import subprocess
import sys

import pytest

import qdbjax as qdb

ROOT = pathlib.Path(qdb.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))
RANKS = {
    "_types": 0,
    "_checks": 0,
    "_status": 0,
    "_progress": 0,
    "_repr": 0,
    "_labels": 0,
    "_call": 0,
    "compilation": 0,
    "numerics": 1,
    "operators": 2,
    "baths": 2,
    "systems": 3,
    "generators": 4,
    "states": 4,
    "models": 4,
    "solvers": 5,
    "thermodynamics": 6,
    "balance": 7,
    "sweeps": 8,
    "fitting": 8,
    "plotting": 9,
    "interop": 9,
    "cli": 10,
    "__main__": 11,
    "__init__": 11,
}
OPTIONAL = {
    "xarray",
    "zarr",
    "matplotlib",
    "rich",
    "typer",
    "pydantic",
    "pandas",
    "qutip",
    "scipy",
    "dask",
    "distributed",
}
EDGES = {
    ("_checks", "_types"),
    ("_status", "_checks"),
    ("_repr", "_checks"),
    ("compilation", "_checks"),
    ("_status", "_types"),
    ("_repr", "_types"),
    ("compilation", "_types"),
}  # within rank 0
FUNCTION, FILE = 60, 400


def tree(path):
    return ast.parse(path.read_text())


def name_of(path):
    return str(path.relative_to(ROOT))


def room(module):
    """The room of a dotted module name below qdbjax."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def room_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imported(path):
    """Every module of qdbjax that a file imports, wherever the import stands."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "qdbjax")
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            if node.module and node.module.split(".")[0] == "qdbjax":
                if node.module == "qdbjax":
                    yield from (f"qdbjax.{alias.name}" for alias in node.names)
                else:
                    yield node.module


each_file = pytest.mark.parametrize("path", FILES, ids=name_of)


@each_file
def test_import_order(path):
    """A file imports only from a lower rank or from its own room."""
    own = room_of(path)
    assert own in RANKS, f"{own} has no rank"
    for module in imported(path):
        other = room(module)
        assert other in RANKS, f"{name_of(path)} imports {module}: front-door names are for users"
        allowed = other == own or RANKS[other] < RANKS[own] or (own, other) in EDGES
        assert allowed, f"{name_of(path)} (rank {RANKS[own]}) imports {module} (rank {RANKS[other]})"


@each_file
def test_size_and_docstring(path):
    """At most 400 lines a file and 60 a function without its docstring; a docstring where there is code."""
    text, module = path.read_text(), tree(path)
    assert len(text.splitlines()) <= FILE
    assert ast.get_docstring(module) or not text.strip(), f"{name_of(path)} has no docstring"
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node):
                length -= node.body[0].end_lineno - node.body[0].lineno + 1
            assert length <= FUNCTION, f"{name_of(path)}: {node.name} has {length} lines"


def public_functions(body):
    """Functions and methods that a module or class shows: no leading underscore, not inside of a function."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node.body)


@each_file
def test_public_functions_are_typed(path):
    """Every argument and result of a public function says what it is; what they say is checked by pyright."""
    for node in public_functions(tree(path).body):
        given = node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        bare = [each.arg for each in named if each and each.annotation is None and each.arg not in ("self", "cls")]
        assert node.returns is not None and not bare, f"{name_of(path)}: {node.name} {bare}"


def test_types_are_shipped():
    """Type checkers read annotations of packages with this file only (PEP 561)."""
    assert (ROOT / "py.typed").exists()


def exported(package):
    """The names that a package re-exports."""
    stub = package / "__init__.pyi"
    module = tree(stub if stub.exists() else package / "__init__.py")
    for node in module.body:
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


PACKAGES = sorted({path.parent for path in FILES})


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_no_module_is_hidden(package):
    """No re-exported function or class has the name of a module beside it, which it would hide."""
    if not (package / "__init__.py").exists():
        return
    modules = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/*.py")}
    own = ("", ".", "qdbjax")
    assert not modules & {name for origin, name in exported(package) if origin not in own}


def test_dimension_branches_stay_in_numerics():
    """Which sizes are written out is known to numerics alone; what may be formed on d² entries, to one file."""
    layout = {"UNROLL", "UNROLLED_STATES", "DIRECT", "ENTRIES", "PAIRWISE"}
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and room_of(path) != "numerics":
                assert not layout & {alias.name for alias in node.names}, name_of(path)
            if isinstance(node, ast.Name) and node.id == "BLOCK_LIMIT":
                raise AssertionError(f"{name_of(path)}: the limit is generators.block.DENSE_LIMIT")


PRODUCTS = {
    "matmul",
    "einsum",
    "dot",
    "tensordot",
    "vdot",
    "vecdot",
    "inner",
    "dot_general",
    "multi_dot",
    "matrix_power",
}
# `@` is for NumPy and for LayoutMatrix, and these files have such factors.
OPERATOR = {
    "balance/report.py",
    "fitting/uncertainty.py",
    "generators/davies_equation.py",
    "generators/generator.py",
    "generators/inputs.py",
    "models/chains.py",
    "models/dots.py",
    "numerics/eigensystem.py",
    "numerics/matrix.py",
    "states/generalized_gibbs_state.py",
    "systems/system.py",
}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_products_have_a_precision(path):
    """JAX arrays are multiplied by `numerics.products` alone: by itself an accelerator keeps ten bits of a float32."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and node.attr in PRODUCTS and ast.unparse(node.value) != "np":
            assert name_of(path) == "numerics/products.py", f"{name_of(path)}, line {node.lineno}: {ast.unparse(node)}"
        if isinstance(node, ast.MatMult):
            assert name_of(path) in OPERATOR, f"{name_of(path)} has an @; write dot(a, b) of numerics.products"


def test_a_constant_has_one_name_and_one_value():
    """No name in capitals is given twice."""
    places = {}
    for path in FILES:
        for node in tree(path).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper():
                places.setdefault(node.targets[0].id, []).append(name_of(path))
    assert not {name: where for name, where in places.items() if len(where) > 1}


LAZY = """
import lazy_loader as _lazy
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
"""
INITS = sorted([*ROOT.rglob("__init__.py"), *ROOT.rglob("__init__.pyi")])


@pytest.mark.parametrize("path", INITS, ids=name_of)
def test_init_only_reexports(path):
    """`__init__.py` holds imports written `X as X`, or gets them from its stub when they are used; and a version."""
    lazy = [ast.unparse(node) for node in ast.parse(LAZY).body]
    for number, node in enumerate(tree(path).body):
        if number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if path.with_suffix(".pyi").exists() and path.suffix == ".py" and ast.unparse(node) in lazy:
            continue
        if isinstance(node, ast.Assign | ast.AnnAssign):
            assert ast.unparse(node).startswith("__version__")
            continue
        assert isinstance(node, ast.ImportFrom), f"{name_of(path)}, line {node.lineno}"
        for alias in node.names:
            assert alias.asname == alias.name, f"{name_of(path)}: {alias.name}"


def top_level_imports(module):
    """Imports that run when the module is imported: everything outside functions."""
    pending = list(module.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]
        pending.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) not in ("cli", "__main__")], ids=name_of)
def test_optional_packages_stay_optional(path):
    """No optional package is imported at module level outside the command line."""
    assert not OPTIONAL & set(top_level_imports(tree(path)))


def classes():
    """Every class defined in qdbjax: (file, node), with the names of its bases."""
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                yield path, node, [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]


def is_abstract(node):
    return node.name.startswith("Abstract")


def test_abstract_or_final():
    """No class derives from a concrete class of qdbjax, and what is called abstract has something left open."""
    found = {node.name: node for _, node, _ in classes()}
    assert len(found) > 10
    for path, node, bases in classes():
        for base in bases:
            assert base not in found or is_abstract(found[base]), f"{name_of(path)}: {node.name}({base})"
        if is_abstract(node):
            text = ast.unparse(node)
            assert "abstractmethod" in text or "AbstractClassVar" in text or "AbstractVar" in text, node.name


PUBLIC = sorted(name for name in dir(qdb) if not name.startswith("_") and not inspect.ismodule(getattr(qdb, name)))


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_docstrings(name):
    """Everything that the front door shows says what it is, in its own words."""
    thing = getattr(qdb, name)
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
    assert text and len(text.split()) >= 3
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member}"


def test_front_door_is_small():
    """About forty names."""
    assert 20 < len(PUBLIC) < 70


PROBE = """
import jax
before = {name: getattr(jax.config, name, None) for name in jax.config.values}
import sys
import qdbjax
after = {name: getattr(jax.config, name, None) for name in jax.config.values}
assert before == after, [name for name in before if before[name] != after[name]]
names = {"xarray", "zarr", "matplotlib", "rich", "typer", "pydantic", "qutip", "scipy.sparse", "dask"}
loaded = names & set(sys.modules)
import jax._src.xla_bridge as bridge
print("backends", len(bridge._backends), "optional", sorted(loaded - BEFORE))
"""


def test_import_has_no_side_effects():
    """Importing qdbjax changes no JAX configuration, starts no backend, loads no optional package."""
    # Core dependencies may load some of these by themselves: only what qdbjax adds counts.
    core = "import sys, jax, equinox, diffrax, optax, lineax, optimistix, jaxtyping\nBEFORE = set(sys.modules)\n"
    command = [sys.executable, "-c", core + PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    assert "optional []" in done.stdout
    assert "backends 0" in done.stdout


LIGHT = """
import jax, jax.numpy, equinox, sys
import qdbjax
generator = qdbjax.davies, qdbjax.steady_state, qdbjax.heat_currents, qdbjax.models
print(sorted({"diffrax", "optax", "optimistix", "xarray", "pandas", "matplotlib"} & set(sys.modules)))
"""
HELP = """
import sys
from qdbjax.cli.main import main
code = main(["--help"])
print(sorted({"jax", "numpy", "pydantic", "xarray"} & set(sys.modules)), code)
"""


@pytest.mark.parametrize(("program", "printed"), [(LIGHT, "[]"), (HELP, "[] 0")], ids=["import", "help"])
def test_what_is_not_needed_is_not_imported(program, printed):
    """Stationary states need no diffrax, optax or optimistix, and `--help` no JAX: each costs 0.2 to 0.5 s."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.splitlines()[-1] == printed
