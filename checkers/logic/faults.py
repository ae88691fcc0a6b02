"""Why a logical question has no answer. Internal: the public functions turn these into undecided."""


class LogicFault(Exception):
    """The base. Its text goes into the verdict's reason."""


class UnreadableError(LogicFault):
    """A sentence outside the grammar."""


class TooLargeError(LogicFault):
    """More text, nesting, individuals or work than the limits allow."""


class NotRulesError(LogicFault):
    """The premises are more than facts and rules, so that nothing can be derived by rules alone."""


class ContradictionError(LogicFault):
    """The premises contradict each other: everything and nothing follows."""
