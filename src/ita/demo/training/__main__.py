"""``python -m ita.demo.training``: trains the demo's detector and captioner."""

import sys

from ita.demo.training.program import main

sys.exit(main())
