"""Imported first: silences one line that bitsandbytes prints when it is imported.

On a CPU with AVX512-BF16 it warns that an optional kernel could not be fetched from a model hub. The
kernel that comes with bitsandbytes serves as well, and nothing here needs a hub.
"""

import logging

logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
