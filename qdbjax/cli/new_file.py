"""`qdbjax new`: a run file to begin with."""

from importlib import resources
from pathlib import Path

from qdbjax.cli.errors import InputError, nearest

TEMPLATE = "template.toml"


def example_names() -> dict[str, str]:
    """The examples and what each is about: the first sentence of its comments."""
    return {path.stem: _about(path) for path in sorted(_folder().glob("*.toml"))}


def write_new(target: Path, example: str | None) -> list[Path]:
    """Write the commented file, or an example with its data, and return what is written; nothing is replaced."""
    if example is None:
        files = {target: Path(str(resources.files("qdbjax.cli") / TEMPLATE))}
    else:
        known = example_names()
        if example not in known:
            raise InputError(
                f"--example: {example!r} is unknown; there are {', '.join(known)}{nearest(example, known)}"
            )
        source = _folder() / f"{example}.toml"
        beside = [path for path in _folder().glob("*.csv") if f'"{path.name}"' in source.read_text("utf-8")]
        files = {target: source, **{target.with_name(path.name): path for path in beside}}
    for path in files:
        if path.exists() or path.is_symlink():
            raise InputError(f"{path}: exists; give another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for path, source in files.items():
            path.write_bytes(source.read_bytes())
    except OSError as error:
        raise InputError(f"{target}: cannot be written: {error.strerror}") from None
    return list(files)


def _folder() -> Path:
    """Of the examples: in an installed package within it, in a clone beside it."""
    inside = Path(str(resources.files("qdbjax.cli"))) / "examples"
    return inside if inside.is_dir() else inside.parents[2] / "examples"


def _about(path: Path) -> str:
    lines = path.read_text("utf-8").splitlines()
    comments = [line.lstrip("# ").strip() for line in lines[: next(n for n, x in enumerate(lines) if x[:1] != "#")]]
    return " ".join(comments).partition(". ")[0].rstrip(".")
