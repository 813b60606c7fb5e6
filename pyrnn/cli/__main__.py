"""`python -m pyrnn.cli` is `pyrnn`."""

import sys

from pyrnn.cli.main import main

sys.exit(main())
