"""From a path to a checked run file."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qdbjax.cli.errors import InputError, in_words
from qdbjax.cli.schema import RunFile

BITS = 1023  # of the largest whole number that is surely a float


def read(path: Path) -> tuple[RunFile, str]:
    """The run file and its text. Raises InputError with one line that names the file, the key and the remedy."""
    text = text_of(path)
    try:
        content = tomllib.loads(text)
        _refuse_huge(content, path)
        return RunFile.model_validate(content), text
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {in_words(error)}") from None
    except RecursionError:
        raise InputError(f"{path}: tables or lists are nested too deeply; a run file needs six levels") from None
    except ValueError as error:  # Python's own limit of digits
        raise InputError(f"{path}: a number cannot be read: {str(error).split(';')[0]}; shorten it") from None


def _refuse_huge(content: Any, path: Path, key: str = "") -> None:
    """Whole numbers of TOML have no limit: those that no float can hold are refused, wherever they stand."""
    if isinstance(content, int) and content.bit_length() > BITS:
        raise InputError(f"{path}: {key}: must be below 1e308; got a whole number of {content.bit_length()} bits")
    if isinstance(content, dict | list):
        for name, each in content.items() if isinstance(content, dict) else enumerate(content):
            _refuse_huge(each, path, f"{key}.{name}" if key else str(name))


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, without the mark with which some editors begin it."""
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a directory; give a file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a name that no file can have
        raise InputError(f"{path}: cannot be read: {error}") from None
