"""The work that one call may do, whatever it is asked."""

from dataclasses import dataclass

from checkers.logic.faults import TooLargeError

MOST_WORK = 1_500_000  # units of about a microsecond
GROUNDING = 10  # units for a literal of a ground rule or clause


@dataclass(slots=True)
class Budget:
    """What is left of the work, for all the questions of one call. Once used up it stays so."""

    left: int = MOST_WORK

    def spend(self, amount: int) -> None:
        """Raises: TooLargeError when it is used up."""
        self.left -= amount
        if self.left < 0:
            raise TooLargeError("it takes too much work to decide")
