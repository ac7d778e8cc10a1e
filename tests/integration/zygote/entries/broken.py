"""Can't be imported."""

from __future__ import annotations

import os

KEY = os.environ["NO_SUCH_VARIABLE"]
