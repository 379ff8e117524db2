"""``python -m fasa`` is ``fasa``."""

import sys

from fasa.cli import main

sys.exit(main())
