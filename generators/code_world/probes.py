"""The fixed inputs that tell one meaning from another. Every task's tests are taken from them."""

import random

_draws = random.Random("code-v1 probes")

LISTS: tuple[tuple[int, ...], ...] = (
    (5, 3, 1, 2, 4, 3),
    (12, 4, 9, 1, 11, 2, 7),
    (-7, 8, -9, 10, 6, 8),
    (),
    (0,),
    (3,),
    (-4,),
    (6, 5),
    (1, 2, 3, 4, 5),
    (2, 2, 7, 7, -1),
    (10, -3, 6, 6, 0, 9),
    (8, 7, 6, 5, 4, 3),
    (-1, -2, -3, -4),
    (0, 0, 5, 10, -6, 15),
    (4, 9, 16, 1, 20),
    (7, 7, 7),
    *(tuple(_draws.randint(-12, 20) for _ in range(size)) for size in (4, 5, 6, 7, 8, 8)),
)
NUMBERS: tuple[int, ...] = (5, 2, 9, -7, -3, -2, -1, 0, 1, 3, 4, 6, 7, 8, 10, 11, 12, 13, 15, 16, 18, 20)
FEWEST = 12  # probes on which a task must be defined
