"""The type checker of calls and records, for `QDBJAX_TEST_TYPES=1` (see `conftest`)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is asked for is one
