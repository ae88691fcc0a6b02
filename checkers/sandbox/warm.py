"""What the zygote has loaded before it forks anything: the modules that programs usually import.

Each page that a forked process writes to is copied first, and that is a third of what a small program costs;
forking and ending cost by the pages that there are. So modules that few programs import are left out (a
program that wants them loads them itself), and so are the handlers that some register for forks.
"""

import importlib
import os

WARM = (
    *("abc", "array", "ast", "base64", "binascii", "bisect", "cmath", "collections", "contextlib", "copy"),
    *("ctypes", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq"),
    *("inspect", "io", "itertools", "json", "keyword", "math", "numbers", "operator", "queue", "random"),
    *("re", "statistics", "string", "struct", "sys", "textwrap", "threading", "time", "traceback", "types"),
    *("typing", "warnings", "weakref", "zlib"),
)


def load() -> None:
    """Load them; to be called before anything else is imported.

    The handlers would renew locks that another thread may hold, and random numbers. The zygote has one
    thread, and each of its children seeds its random numbers itself.
    """
    register = os.register_at_fork
    os.register_at_fork = lambda **_: None
    for name in WARM:
        importlib.import_module(name)
    os.register_at_fork = register
