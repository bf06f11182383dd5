"""`python -m unitgen` is the unitgen command."""

import sys

from unitgen.cli import main

sys.exit(main())
