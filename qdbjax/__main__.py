"""python -m qdbjax: the command line."""

import sys

from qdbjax.cli.main import main

sys.exit(main())
