"""A tiny random Llama and a byte-level BPE tokenizer, made in a second, for tests that need a real engine."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"


def corpus() -> list[str]:
    """Arithmetic lines, enough to train some hundred merges."""
    names = ("Mia", "Tom", "Ana", "Ben")
    things = ("apples", "pens", "books", "coins")
    return [
        f"{name} has {a} {thing} and buys {b} more.\n{a} + {b} = {a + b}\nAnswer: {a + b}\n"
        for a in range(1, 30)
        for b, (name, thing) in enumerate(zip(names * 4, things * 4, strict=True), start=a)
    ]


def make_tokenizer(
    folder: Path, vocabulary: int = 400, bos: bool = True, ends: bool = True
) -> PreTrainedTokenizerFast:
    """Byte-level BPE with split digits; `bos` puts <bos> before every text, `ends` names an end token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    named = {"bos_token": BOS, "pad_token": PAD} | ({"eos_token": EOS} if ends else {})
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
    fast.save_pretrained(folder)
    return fast


def make_tiny_model(
    folder: Path,
    *,
    layers: int = 2,
    hidden: int = 32,
    heads: int = 4,
    kv_heads: int = 2,
    vocabulary: int = 400,
    context: int = 512,
    spread: float = 0.3,
    eos_boost: float = 0.0,
    ends: bool = True,
    seed: int = 0,
) -> Path:
    """Write a random LlamaForCausalLM and its tokenizer into `folder`; returns it.

    The model's vocabulary is padded to `vocabulary`, as real ones are. `spread` is the standard deviation
    of the weights: 0.02 samples almost uniformly, 0.3 is opinionated. `eos_boost` scales the output row
    of <eos>, which makes endings more (or less) of an event; without `ends` no token ends a sequence.
    """
    tokenizer = make_tokenizer(folder, vocabulary, ends=ends)
    config = LlamaConfig(
        vocab_size=max(vocabulary, len(tokenizer)),
        hidden_size=hidden,
        intermediate_size=hidden * 2,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=context,
        initializer_range=spread,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    if eos_boost:
        model.lm_head.weight.data[tokenizer.eos_token_id] *= eos_boost
    model.save_pretrained(folder)
    return folder


def draw_head(model: Any) -> Any:
    """Give an untrained classifier, whose head begins at zero, one that tells texts apart; returns it."""
    torch.manual_seed(0)
    torch.nn.init.normal_(model.score.weight, std=0.3)
    return model
