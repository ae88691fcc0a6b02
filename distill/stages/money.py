"""What teacher tokens and hours cost, by the recipe's `price`."""

from distill.config import PriceSettings
from distill.records import Usage


def money(price: PriceSettings, usage: Usage, seconds: float) -> float:
    """Price of `usage` and of `seconds` of the cluster, in the recipe's own currency. Prompt tokens that the
    engine had cached cost as others where the recipe names no price for them."""
    prompt, kept = price.per_million_prompt_tokens, price.per_million_cached_tokens
    return (
        usage.generated_tokens / 1e6 * price.per_million_generated_tokens
        + (usage.prompt_tokens - usage.cached_tokens) / 1e6 * prompt
        + usage.cached_tokens / 1e6 * (prompt if kept is None else kept)
        + seconds / 3600 * price.per_hour
    )
