"""Every failure that prm-distill raises on purpose.

The rule for adding one: a failure is named after the boundary it crossed (recipe, artifact,
generator, checker, verifier, cluster), inherits `DistillError` and the nearest stdlib error, and takes
only positional arguments that it passes to `super().__init__`, so that it survives pickling (Ray
carries it between processes). Its message says what was expected, what was found, where, and what to do next.
"""


class DistillError(Exception):
    """Root of the hierarchy; the command line prints it without a traceback and exits 2."""


class RecipeError(DistillError, ValueError):
    """The recipe is wrong; the message lists every fault with its line."""


class ArtifactError(DistillError, RuntimeError):
    """A run folder cannot be read or written (older schema, torn file, full disk)."""


class StoreError(ArtifactError):
    """A request to an object store failed in a way that may pass."""


class DataError(DistillError, ValueError):
    """A user's file of problems, chains or labels does not have the shape that was asked for."""


class GeneratorError(DistillError, RuntimeError):
    """A teacher failed: the engine died, or it answered what the protocol forbids."""


class UnfaithfulPrefixError(GeneratorError):
    """The backend cannot continue exactly after the given token ids, so it refuses."""


class RefusedError(GeneratorError):
    """A server will do nothing more for us: a refused key, a spent quota, a model that it does not have."""


class UnfitSettingError(GeneratorError):
    """No engine starts with these settings, wherever it is tried: no such model, adapter or argument."""


class UnreachableError(GeneratorError):
    """A server gave no answer in a way that may pass: no connection, or it is down or too busy."""


class NeverAnsweredError(UnreachableError):
    """A server that this engine has not had one answer of: a wrong URL, or a server that still starts."""


class CheckerError(DistillError, RuntimeError):
    """A checker pool could not be started or kept alive. (A bad answer is a verdict, not an error.)"""


class VerifierError(DistillError, RuntimeError):
    """A verifier cannot be trained, loaded, exported or proven equal."""


class ClusterError(DistillError, RuntimeError):
    """Ray does not start, has no room for what the recipe reserves, or lost a worker too often."""


class MissingDependencyError(DistillError, ImportError):
    """An optional package is absent; the message carries the install line."""


def missing(package: str, extra: str | None = None) -> MissingDependencyError:
    """The error for an absent optional `package`, with the exact line that installs it."""
    target = f"'prm-distill[{extra}]'" if extra else package
    return MissingDependencyError(f"{package} is not installed. Install it with: pip install {target}")
