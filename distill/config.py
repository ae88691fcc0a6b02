"""The recipe: one strict pydantic model, its fields described for people and for editors.

`distill.loading` reads YAML into it and reports every fault at once with its line.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


class Settings(BaseModel):
    """Strict, frozen settings: an unknown key is a fault, never a silent default."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


PositiveInt = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Column = Literal["question", "reference", "id"]
COLUMNS: dict[Column, str] = {"question": "question", "reference": "answer"}


def _with_question(template: str) -> str:
    if "{question}" not in template:
        raise ValueError(f"expected '{{question}}' somewhere in the template, found {template!r}")
    return template


Template = Annotated[str, AfterValidator(_with_question)]


def _is_none(value: object) -> bool:
    """Keeps a setting that came later out of recipes that do without it, and so out of their fingerprints."""
    return value is None


class ProblemSettings(Settings):
    """Where problems come from: the built-in exact world, a file, or a hub dataset."""

    source: Literal["world", "file", "hub"] = "world"
    """`world`: generated, with exact truth; `file`: JSONL, Parquet or CSV; `hub`: a dataset by name."""
    path: str | None = None
    """The file, relative to the working directory, or the hub dataset's name (for `file` and `hub`)."""
    split: str = "train"
    """Split of a hub dataset."""
    columns: dict[Column, str] = COLUMNS
    """Which column of the data holds what; a part left out keeps its default."""
    worlds: Annotated[list[Literal["arith", "logic", "code"]], Field(min_length=1)] = ["arith"]
    """For `world`: which exact worlds the problems come from, in equal parts (docs/world.md)."""
    domain: Annotated[str, Field(pattern=r"^(math|logic|code|[\w.]+:[\w.]+)$")] = "math"
    """Domain of problems from a file or hub; says how answers and steps are checked: `math`, `logic`, `code`.
    A checker of your own, as `module:function` (docs/checkers.md), judges final answers in place of the
    mathematical one: it is given a chain's text and the reference."""
    count: PositiveInt = 300
    """Problems to label (at most, when chains come from a file)."""
    heldout: Annotated[int, Field(ge=0)] = 250
    """Problems kept apart for evaluation; never labelled, never trained on."""
    shard_size: PositiveInt = 64
    """Problems in a shard: the unit that is written whole and never redone."""

    @field_validator("columns", mode="before")
    @classmethod
    def _keep_other_columns(cls, given: Any) -> Any:
        return COLUMNS | given if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _fits_the_source(self) -> "ProblemSettings":
        if self.source != "world" and not self.path:
            raise ValueError(f"source '{self.source}' needs a path")
        read_by = {"path": "file or hub", "columns": "file or hub", "split": "hub", "worlds": "world"}
        for name, sources in read_by.items():
            if getattr(self, name) != type(self).model_fields[name].default and self.source not in sources:
                raise ValueError(f"`{name}` is for source {sources}, found source '{self.source}'")
        if self.domain == "code" and self.columns != COLUMNS:
            raise ValueError("`columns` is not for domain 'code', whose files have columns of their own")
        return self


class ServerSettings(Settings):
    """A server that speaks OpenAI's HTTP protocol (vLLM, SGLang, a hosted API)."""

    url: Annotated[str, Field(pattern=r"^https?://[^/@\s?#]+(/[^@\s?#]*)?$")]
    """Up to and with the version, such as `http://localhost:8000/v1`. No key in it."""
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of the environment variable that holds the key; the key itself never stands in a recipe."""
    timeout_seconds: Annotated[float, Field(gt=0.0)] = 600.0
    """Limit of one answer; past it the request is tried again."""


class GeneratorSettings(Settings):
    """One engine: which backend, which model, and how it samples."""

    backend: Literal["transformers", "vllm", "openai", "scripted"] = "transformers"
    """`openai` is any server of that protocol; `scripted` answers from a seeded script and is for tests
    only. See docs/engines.md."""
    model: str = "builtin:arith-teacher"
    """`builtin:NAME`, a folder relative to the working directory, or a hub name (of `openai`: what the
    server calls it)."""
    tokenizer: str | None = None
    """`openai` only: the folder or hub name of the model's tokenizer. With it the server is sent token ids;
    without it, its chat endpoint is used (needs `chat: true`)."""
    lora: str | None = None
    """`vllm` only: the folder of a LoRA adapter for the model."""
    prompt: Template = "{question}\n"
    """Template of the prompt; `{question}` is replaced."""
    chat: bool = False
    """Put the prompt through the model's chat template, as the user's message."""
    thinking: bool = False
    """The model thinks in a `<think>` block before it answers. The block is paid for but is no step, and
    rollouts continue the answer alone, behind an empty block."""
    temperature: Annotated[float, Field(gt=0.0)] = 0.8
    """Sampling temperature."""
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Nucleus mass kept at each token."""
    max_new_tokens: PositiveInt = 256
    """Cap on one continuation; a capped rollout is undecided."""
    stop: list[str] = []
    """Strings that end a continuation (kept in its text); the model's end token always does."""
    batch_size: PositiveInt = 256
    """Sequences decoded together (`openai`: requests in flight)."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights while sampling."""
    quantise: Literal["none", "nf4"] = "none"
    """`nf4` loads the model in 4-bit with bitsandbytes (`transformers` only). A model that is stored
    quantised says so itself."""
    engine_args: dict[str, bool | int | float | str] = {}
    """`vllm` only: any of its engine arguments, such as `max_model_len: 4096`."""
    server: ServerSettings | None = None
    """`openai` only, and needed there: where the server is."""
    replicas: PositiveInt = 1
    """Engines to run side by side on the Ray cluster."""
    gpus: Annotated[float, Field(ge=0.0)] = 0.0
    """GPUs an engine reserves; `vllm` spreads the model over them (tensor parallel)."""
    cpus: Annotated[float, Field(ge=0.0)] = 1.0
    """CPUs an engine reserves."""
    threads: Annotated[int, Field(ge=0)] = 0
    """Torch threads an engine uses; 0 takes all of the machine's cores divided by `replicas`."""

    @model_validator(mode="after")
    def _fits_the_backend(self) -> "GeneratorSettings":
        own = {"lora": "vllm", "engine_args": "vllm", "server": "openai", "tokenizer": "openai"}
        for name, backend in own.items():
            if getattr(self, name) and self.backend != backend:
                raise ValueError(f"`{name}` is for backend '{backend}', found backend '{self.backend}'")
        if self.quantise == "nf4" and self.backend == "vllm":
            raise ValueError(
                "vLLM has no bitsandbytes any more (0.32): take a model that is stored quantised (AWQ, GPTQ, "
                "compressed-tensors), or `engine_args: {quantization: fp8_per_tensor}`"
            )
        if self.backend == "openai" and self.server is None:
            raise ValueError("backend 'openai' needs `server` with its `url`")
        if self.backend == "openai" and not (self.tokenizer or self.chat):
            raise ValueError(
                "backend 'openai' needs a `tokenizer` (token ids are sent), or `chat: true` (the server's "
                "chat endpoint is used)"
            )
        return self


class ChainSettings(Settings):
    """How many solutions the teacher writes, or where they are read from."""

    per_problem: PositiveInt = 4
    """Chains written for each problem that is labelled (of a file, all are taken)."""
    heldout_per_problem: PositiveInt = 8
    """Chains written for each held-out problem (best-of-n goes up to this n)."""
    segment: Literal[
        "newline", "blank_line", "numbered", "sentences", "code_blocks", "statements", "tokens"
    ] = "newline"
    """What makes a step (docs/segmentation.md). `newline`: a line; `blank_line`: a paragraph; `numbered`:
    what begins with a number or `Step 1:` at the beginning of a line; `sentences`: a sentence; `code_blocks`:
    a line, or a whole block between fences; `statements`: a statement of a Python program, else a line;
    `tokens`: `segment_tokens` tokens."""
    segment_tokens: Annotated[PositiveInt | None, Field(exclude_if=_is_none)] = None
    """Tokens in a step, for `segment: tokens` and needed there."""
    path: str | None = None
    """A JSONL file of chains to label in place of the teacher's own, relative to the working directory.
    A row: `question`, `steps` (a list of texts, or one text), and `reference` unless `problems.source`
    holds the question. Held-out problems and their chains stay as they are."""

    @model_validator(mode="after")
    def _tokens_have_a_number(self) -> "ChainSettings":
        if self.segment == "tokens" and self.segment_tokens is None:
            raise ValueError("segment 'tokens' needs `segment_tokens`, the tokens in a step")
        if self.segment != "tokens" and self.segment_tokens is not None:
            raise ValueError(f"`segment_tokens` is for segment 'tokens', found segment '{self.segment}'")
        return self


class AdaptiveSettings(Settings):
    """The `adaptive` method: promises, and a switch for each ingredient (docs/labelling.md)."""

    false_positive: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.1
    """Chance, over a chain's whole search, that a prefix with an error is taken for good."""
    false_negative: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.4
    """Chance, over a chain's whole search, that a good prefix is taken for bad."""
    smallest: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Smallest success rate of a good prefix for which `false_negative` holds, as a share of the problem's
    pass rate: a hard problem gets more patience."""
    repair: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Success rate that a prefix with an error may still have, as a share of the problem's pass rate.
    0: any success shows that the answer can be reached (plain recoverability)."""
    floor: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.3
    """A problem that none of its chains solves is tried as a whole first, and left undetermined when its
    pass rate seems below this (0: searched nevertheless)."""
    siblings: bool = True
    """Let the other chains of the problem count: their answers, for the prefixes that they share."""
    sequential: bool = True
    """A sequential test at each node; off: `rollouts` at each, good above `good_at`."""
    relative: bool = True
    """Scale `smallest` and `repair` by what is expected of a right prefix, which grows from the problem's
    pass rate to 1 along the chain; off: by the pass rate."""
    batch: PositiveInt = 1
    """Rollouts asked of a node at once: more take fewer rounds and more tokens."""
    most: PositiveInt = 24
    """Rollouts of one node after which its test is given up: undetermined."""
    bisect: Annotated[bool, Field(exclude_if=bool)] = True
    """Binary search for the first error; off: one step after the other, from the first."""
    corrected: Annotated[bool, Field(exclude_if=bool)] = True
    """Divide the error bounds among the nodes that a search visits; off: they hold for one node."""


class LabellingSettings(Settings):
    """Which policy finds the first wrong step, and what evidence it may use."""

    method: Literal["adaptive", "math_shepherd", "omegaprm", "record"] = "adaptive"
    """`adaptive`: binary search with a sequential test at each step; `math_shepherd`: a fixed number of
    rollouts at every step (arXiv 2312.08935); `omegaprm`: a tree of binary searches (arXiv 2406.06592);
    `record`: rollouts after every distinct prefix, a bank on which the others can be replayed."""
    rollouts: PositiveInt = 8
    """Rollouts at each probed step (K), for a method without a sequential test."""
    count_outcome: bool = True
    """Count the chain's own final answer as one more success or failure of each of its prefixes."""
    step_checks: bool = True
    """Let exact step checks refute steps; a refuted step needs no rollout."""
    good_at: Fraction = 0.0
    """A step probed by K rollouts is good when its success rate is above this (0: any success, as
    published). A change derives labels anew from the evidence that is there and costs no teacher token."""
    surprisal: bool = True
    """Weigh how surprised the teacher was by its own step along with what rollouts and checks say of it
    (method `adaptive`, where the engine tells log-probabilities; docs/labelling.md). A change costs no
    teacher token."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.8
    """With `surprisal`: how probable it must be that a step is right, or wrong, for a label to say so. 0.5
    labels every chain."""
    adaptive: AdaptiveSettings = AdaptiveSettings()
    """Settings of the `adaptive` method. `distill relabel` derives labels under others."""
    budget_tokens: Annotated[int, Field(ge=0)] = 0
    """Rollout tokens for the run (0: no limit). Each shard has its share by its number of chains, set in
    advance; once it is spent nothing more is asked, so at most one round of requests lies beyond it."""
    review: Annotated[int, Field(ge=0)] = 50
    """Chains with the most uncertain labels that are written to `review.jsonl` for people."""
    reviews: str | None = None
    """A file that `distill review import` made: people's answers, which overrule every other evidence."""
    checker_deadline_seconds: Annotated[float, Field(gt=0.0)] = 5.0
    """Wall-clock limit of one answer or step check; past it the verdict is undecided."""


class DatasetSettings(Settings):
    """Split, clean and decontaminate."""

    validation_fraction: Annotated[float, Field(gt=0.0, lt=0.9)] = 0.15
    """Share of the problems (never of chains) kept for early stopping, threshold and calibration."""
    near_duplicate_similarity: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Chains of a problem with at least this 3-gram Jaccard similarity are dropped; 1: exact repeats."""
    decontaminate: list[str] = []
    """Files of evaluation problems (JSONL with `question` or `problem`), relative to the working
    directory, that must not be trained on."""
    ngram: PositiveInt = 13
    """Words in a row shared with an evaluation problem that count as contamination."""


class LoraSettings(Settings):
    """Low-rank adapters (arXiv 2106.09685)."""

    r: PositiveInt = 16
    """Rank."""
    alpha: PositiveInt = 32
    """Scale numerator."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Dropout on the adapter's input."""
    targets: list[str] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    """Names of the linear layers that get an adapter."""


class VerifierSettings(Settings):
    """Base model, precision and optimisation of the verifier."""

    base: str = "builtin:arith-base"
    """`builtin:NAME`, a folder relative to the working directory, or a hub name of any causal model."""
    layers: PositiveInt | None = None
    """Keep the base's first layers only (null: all). The last serve writing more than judging: two thirds
    of them made better verifiers of human labels, in two thirds of the time (docs/guides/own_labels.md)."""
    prompt: Template = "{question}\n"
    """Template that precedes the steps; `{question}` is replaced."""
    separator: str = "\n"
    """Ends every step; the step is scored at its last token."""
    keep_indent: bool = False
    """Show the verifier the blanks that a step begins with: they mean something in programs."""
    max_length: PositiveInt = 512
    """Tokens of a chain that the verifier sees at once."""
    long_chains: Literal["cut", "windows"] = "cut"
    """`cut`: steps past `max_length` are left out, counted and reported; `windows`: they are seen after the
    question and as many of the steps before them as fill half of the room, in training and in scoring."""
    lora: LoraSettings = LoraSettings()
    """Adapters trained on the 4-bit base."""
    epochs: Annotated[float, Field(gt=0)] = 3
    """Passes over the training chains."""
    batch_size: PositiveInt = 32
    """Chains in an optimiser step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    """Peak learning rate of the adapters and the head. A tiny base wants more (the quickstart's 1e-3)."""
    fit_head: bool = True
    """Fit the head to the frozen base before adapters are trained, with one more pass over the chains. The
    shipped base, made to doubt, ends a little better from a head of zero."""
    warmup_fraction: Fraction = 0.05
    """Share of the steps over which the learning rate rises."""
    evaluations: PositiveInt = 6
    """Evaluations during training; the best by validation first-error F1 is kept."""
    patience: PositiveInt = 3
    """Evaluations without improvement after which training stops."""
    mask_after_first_error: bool = True
    """Leave steps after the first error out of the loss."""
    loss: Literal["hard", "soft", "contrastive", "outcome"] = "hard"
    """`hard`: cross-entropy on good and bad; `soft`: on success rates, weighted by the evidence behind each;
    `contrastive`: `hard` and a ranking of steps that share a prefix; `outcome`: the final answer alone."""
    contrast: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the ranking in the `contrastive` loss."""
    augmentation: Fraction = 0.0
    """Share of the training chains that are shown a second time with fillers, repeats, confident wording or
    noise that change nothing about a step's correctness."""
    packing: bool = False
    """Put several chains of a batch into one row, each seeing itself only, so that no row is padding."""
    accumulation: PositiveInt = 1
    """Parts in which an optimiser step's chains are computed, one after the other, to save memory."""
    gradient_checkpointing: bool = False
    """Compute activations twice to save memory."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Mixed precision of training; `auto` takes bfloat16 where the hardware is fast at it."""
    compare_full_precision: bool = True
    """Also train a full-precision verifier on the same labels, to measure what 4-bit costs."""
    gpus: Annotated[float, Field(ge=0.0)] = 0.0
    """GPUs that training reserves."""
    report_to: list[Literal["wandb", "mlflow", "tensorboard"]] = []
    """Experiment trackers that `transformers` reports to."""


class EvaluationSettings(Settings):
    """What is measured on the held-out chains."""

    best_of: list[PositiveInt] = [1, 2, 4, 8]
    """Values of n in best-of-n."""
    aggregation: Literal["min", "product", "last", "mean"] = "min"
    """How step scores become one chain score in the default best-of-n."""
    bootstrap: PositiveInt = 1000
    """Resamples of problems behind each 95% interval."""


class PriceSettings(Settings):
    """Money: what a run cost, in its report, and what `distill pilot` expects. Currency is the user's own."""

    per_million_generated_tokens: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million generated tokens."""
    per_million_prompt_tokens: Annotated[float, Field(ge=0)] = 0.0
    """Price of a million prompt tokens."""
    per_million_cached_tokens: Annotated[float, Field(ge=0)] | None = None
    """Price of a million prompt tokens that the engine had cached; as other prompt tokens when left out."""
    per_hour: Annotated[float, Field(ge=0)] = 0.0
    """Price of an hour of the whole cluster."""


class ClusterSettings(Settings):
    """Where Ray runs."""

    address: str = "local"
    """`local` starts Ray on this machine; `auto` or `ray://HOST:PORT` joins a cluster."""
    object_store_gib: Annotated[float, Field(gt=0)] = 0.25
    """Object store of a local Ray (shards travel by file, not through it)."""
    retries: Annotated[int, Field(ge=0)] = 3
    """Times that work is tried again after its worker or node died, hung or raised. A shard that fails more
    often is worked on problem by problem; a problem that fails as often again is set aside."""
    stall_seconds: Annotated[float, Field(gt=0)] = 3600.0
    """A worker is ended when for this long nothing is heard of it: no request finished, no token sampled.
    The default is far above what a slow engine needs for one request."""
    set_aside_fraction: Fraction = 0.05
    """Share of a stage's problems that may be set aside (at least 8); where more fail, the run ends with
    an error, because then it is not the problems."""


class Recipe(Settings):
    """Everything a run needs. A field left out takes the default shown."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the run folder.
    Letters, digits, dots, dashes and underscores; a letter or digit first."""
    seed: int = 0
    """All randomness is derived from this and from content."""
    runs: str = "runs"
    """Folder that holds run folders, relative to the working directory, or a URL such as
    `s3://bucket/runs`, which every node of a cluster can reach."""
    problems: ProblemSettings = ProblemSettings()
    """Problems to label and problems held out."""
    teacher: GeneratorSettings = GeneratorSettings()
    """Writes the chains."""
    completer: GeneratorSettings | None = None
    """Continues prefixes; the teacher itself when left out."""
    chains: ChainSettings = ChainSettings()
    """Sampling of chains."""
    labelling: LabellingSettings = LabellingSettings()
    """From rollouts and checks to step labels."""
    dataset: DatasetSettings = DatasetSettings()
    """From labels to a training set."""
    verifier: VerifierSettings = VerifierSettings()
    """From a training set to a 4-bit verifier."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """From a verifier to figures."""
    price: PriceSettings | None = None
    """Prices, for the report and `distill pilot`."""
    cluster: ClusterSettings = ClusterSettings()
    """Ray."""

    @model_validator(mode="after")
    def _domain_is_of_data(self) -> "Recipe":
        domain = self.problems.domain
        if domain != "math" and self.problems.source == "world" and self.chains.path is None:
            raise ValueError(
                f"problems.domain is for data of your own, found '{domain}' with problems.source 'world': "
                "set the source to file or hub, or take problems.worlds"
            )
        return self

    @model_validator(mode="after")
    def _the_teacher_has_tokens_to_count(self) -> "Recipe":
        bytes_only = self.teacher.backend == "openai" and not self.teacher.tokenizer
        if self.chains.segment == "tokens" and bytes_only:
            raise ValueError(
                "chains.segment 'tokens' counts the teacher's tokens, of which a chat endpoint tells none: "
                "name teacher.tokenizer, or take another segment"
            )
        return self

    @model_validator(mode="after")
    def _enough_heldout_chains(self) -> "Recipe":
        most, there = max(self.evaluation.best_of, default=0), self.chains.heldout_per_problem
        if self.problems.heldout and most > there:
            raise ValueError(
                f"evaluation.best_of asks for {most} chains a held-out problem, chains.heldout_per_problem "
                f"writes {there}: raise the latter or lower the former"
            )
        return self


class PretrainSettings(Settings):
    """A small Llama trained from scratch on the exact world (`distill pretrain`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    """Names the model.
    Letters, digits, dots, dashes and underscores; a letter or digit first."""
    corpus: Literal["solutions", "marked"] = "solutions"
    """`solutions`: worked solutions with slips (a teacher); `marked`: solutions whose wrong steps
    are followed by `Wrong.` and tried again (a verifier's base)."""
    worlds: Annotated[list[Literal["arith", "logic", "code"]], Field(min_length=1)] = ["arith"]
    """Whose solutions are learnt, in equal parts; drills, recitals and marks are of `arith` alone."""
    start: str = ""
    """A trained model of the same shape to go on from, a folder or `builtin:NAME`; empty: fresh weights."""
    seed: int = 0
    """Seeds weights and corpus."""
    slips: Fraction = 0.02
    """Chance that a step of a solution slips."""
    wrong_fraction: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.35
    """Chance that a try at a step of the marked corpus is wrong."""
    drill_fraction: Fraction = 0.3
    """Share of the documents that are drills: bare equations, which teach arithmetic cheaply."""
    recital_fraction: Fraction = 0.0
    """Share of the documents that restate every fact of their question: finding numbers by name."""
    stated_fraction: Fraction = 0.95
    """Chance that a step states its equation; the others jump to the value."""
    question_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the question's tokens in the loss."""
    mark_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the mark's tokens in the loss."""
    doubt_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of telling, at every token of a marked solution, whether its step has gone wrong by then."""
    surprise_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of telling, above `exit_layer`, how likely that layer found each token, and its step so far,
    with what that takes: normalised logits, and a token that is not forgotten (`surprise_loss`)."""
    vocab_size: PositiveInt = 1024
    """Entries of the tokenizer."""
    hidden_size: PositiveInt = 256
    """Width of the residual stream."""
    intermediate_size: PositiveInt = 640
    """Width of the feed-forward layers."""
    layers: PositiveInt = 4
    """Transformer blocks."""
    exit_layer: Annotated[int, Field(ge=0)] = 0
    """Blocks after which the next token must be predictable already (0: only after the last). The blocks
    above are then free to compare what was predicted with what came: to find errors, not to make text."""
    heads: PositiveInt = 4
    """Attention heads."""
    context: PositiveInt = 512
    """Longest sequence in tokens."""
    batch_size: PositiveInt = 64
    """Documents in an optimiser step."""
    steps: PositiveInt = 2000
    """Optimiser steps."""
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    """Steps in which the learning rates rise to their peak."""
    muon_lr: Annotated[float, Field(gt=0)] = 0.02
    """Peak learning rate of the matrices."""
    adam_lr: Annotated[float, Field(gt=0)] = 0.003
    """Peak learning rate of embeddings and norms."""
    processes: PositiveInt = 1
    """Processes that share a step's documents (data parallel)."""
    threads: PositiveInt = 2
    """Torch threads of each process."""
    compile: bool = False
    """Compile the blocks (`torch.compile`; needs a C++ compiler, a third faster on a CPU)."""
