"""Engines by name, each imported only when a recipe asks for it."""

from collections.abc import Callable

from distill.config import GeneratorSettings
from distill.errors import UnfitSettingError
from generators.base import Generator


def _transformers(settings: GeneratorSettings) -> Generator:
    from generators.transformers_backend import TransformersGenerator

    return TransformersGenerator(settings)


def _vllm(settings: GeneratorSettings) -> Generator:
    from generators.vllm_backend import VllmGenerator

    return VllmGenerator(settings)


def _openai(settings: GeneratorSettings) -> Generator:
    from generators.openai_backend import OpenAIGenerator

    return OpenAIGenerator(settings)


def _scripted(settings: GeneratorSettings) -> Generator:
    from generators.scripted import ScriptedGenerator

    return ScriptedGenerator(settings)


BACKENDS: dict[str, Callable[[GeneratorSettings], Generator]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
    "scripted": _scripted,
}


def load_generator(settings: GeneratorSettings) -> Generator:
    """Start the engine that `settings.backend` names. Blocks until its model is loaded.

    Raises:
        UnfitSettingError: no such backend or model.
        GeneratorError: its model cannot be loaded.
        MissingDependencyError: the backend's package is not installed.
    """
    if settings.backend not in BACKENDS:
        known = ", ".join(sorted(BACKENDS))
        raise UnfitSettingError(f"expected teacher.backend to be one of {known}, found '{settings.backend}'")
    return BACKENDS[settings.backend](settings)
