"""From a path to a checked run file."""

import tomllib
from pathlib import Path

from pydantic import ValidationError

from qdbjax.cli.errors import InputError, in_words
from qdbjax.cli.schema import RunFile


def read(path: Path) -> tuple[RunFile, str]:
    """The run file and its text. Raises InputError with one line that names the file, the key and the remedy."""
    text = _text(path)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    try:
        return RunFile.model_validate(content), text
    except ValidationError as error:
        raise InputError(f"{path}: {in_words(error)}") from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory; give a TOML file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
