"""LoRA training of the verifier with `transformers.Trainer`, on an NF4 base or a full-precision one.

A killed training goes on from its last whole checkpoint; a finished one is not done again. The best
weights by validation first-error F1 (threshold fitted on the same validation chains) are kept.
"""

import json
import math
import os
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model
from peft.helpers import disable_input_dtype_casting
from transformers import (
    EarlyStoppingCallback,
    PreTrainedTokenizerBase,
    PrinterCallback,
    TrainingArguments,
    set_seed,
)

from distill.config import VerifierSettings
from distill.errors import VerifierError
from distill.verifier.batching import context_length
from distill.verifier.collate import Collator
from distill.verifier.data import ChainFormat, Example, pad_id
from distill.verifier.encoded_set import EncodedSet, encode_set
from distill.verifier.fused_lora import fused_lora
from distill.verifier.head import Fitting, HeadFit, fit_head, is_trained, keep_head, kept_head
from distill.verifier.model import (
    HEAD,
    hold_unpacked,
    load_classifier,
    load_tokenizer,
    lora_config,
    pick_device,
    quiet_transformers,
)
from distill.verifier.package import write_json
from distill.verifier.training_parts import (
    ASKED,
    Progress,
    ProgressCallback,
    StepTrainer,
    fast_bfloat16,
    first_error_metrics,
    margins_of,
    read_curve,
)

RESULT_FILE = "training.json"
ADAPTER = "adapter"
HEAD_FILE = "head.safetensors"
"""The fitted head of a training that has not ended."""
LOGGED_POINTS = 60


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished training. `folder/adapter` holds LoRA and head in peft's format (safetensors).

    `curve` has one dict a logged point: `step`, `epoch` and either `loss`, `learning_rate`, or the
    validation figures `eval_loss`, `eval_f1`, `eval_accuracy_erroneous`, `eval_accuracy_correct`,
    `eval_threshold`. `truncated_steps` counts labelled steps lost to `max_length`, from `cut_chains`
    chains, and `windows` the extra windows that long chains took; `seconds` is the
    wall time of the last call (a resumed training counts from its checkpoint). `best_step` 0 is the fitted
    head: no evaluation of adapters was better.
    """

    folder: Path
    base: str
    quantised: bool
    curve: list[dict[str, float]]
    seconds: float
    steps: int
    best_step: int
    best_f1: float
    stopped_early: bool
    resumed_from: int
    train_chains: int
    validation_chains: int
    train_tokens: int
    truncated_steps: int
    trainable_parameters: int
    mixed_precision: str
    labelled_steps: int = 0
    cut_chains: int = 0
    windows: int = 0
    pairs: int = 0
    processes: int = 1
    layers: int | None = None
    """How many of the base's layers were kept; None: all."""
    head_loss: float | None = None
    """Mean cross-entropy a labelled validation step before any adapter was trained; None where no head was
    fitted (not asked for, a base with a head of its own, labels of one kind)."""

    @property
    def adapter(self) -> Path:
        """The folder of the trained adapter and head."""
        return self.folder / ADAPTER


def train_verifier(
    train: list[Example],
    validation: list[Example],
    settings: VerifierSettings,
    quantise: bool,
    folder: Path,
    seed: int,
    on_progress: Progress = lambda step, total, figures: None,
) -> TrainResult:
    """Fit a `score` head to step labels, then train LoRA (and a head that was not fitted); `quantise` puts
    the base in NF4 (QLoRA).

    `on_progress(step, total_steps, figures)` is called at every logged point, and before them as
    `(rows, total_rows, {"head": share})` while the head is fitted. The result is a
    function of the arguments on one machine; `folder` may hold an unfinished or finished training of
    the same arguments (the caller names folders by fingerprint).

    Raises:
        VerifierError: there is nothing to train or validate on, or the base cannot carry a `score` head.
    """
    done = read_result(folder)
    if done is not None:
        return done
    device = pick_device(settings.gpus)
    tokenizer = load_tokenizer(settings.base)
    set_seed(seed)
    mixed = fast_bfloat16(device) if settings.precision == "auto" else settings.precision == "bfloat16"
    base = load_classifier(settings.base, quantise, device, settings.layers)
    if mixed and device.type == "cpu":
        hold_unpacked(base, torch.bfloat16)
    limit = min(settings.max_length, context_length(base.config))
    chain_format = ChainFormat.of(settings)
    train_set = encode_set(tokenizer, train, chain_format, limit, settings.loss)
    validation_set = encode_set(tokenizer, validation, chain_format, limit).determined()
    _require_data(train_set)
    by_f1 = validation_set.both_kinds
    arguments = training_arguments(settings, folder, seed, len(train_set), device, by_f1, mixed)
    _require_validation(validation_set, limit)
    with arguments.main_process_first(desc="looking for checkpoints"):
        resumed = last_checkpoint(folder)
        head = kept_head(base, folder / HEAD_FILE)
    if settings.fit_head and not (resumed or head or is_trained(base)):
        at_once, fill = arguments.per_device_eval_batch_size, pad_id(tokenizer)
        head = fit_head(base, train_set, validation_set, at_once, fill, mixed, _fitting(on_progress))
        if head and arguments.process_index == 0:
            keep_head(getattr(base, HEAD), head, folder / HEAD_FILE)
    model = get_peft_model(base, lora_config(settings.lora))
    if head:
        getattr(model.get_base_model(), HEAD).requires_grad_(False)  # see `distill.verifier.head`
    trainer = _trainer(model, tokenizer, arguments, train_set, validation_set, settings, on_progress)
    seconds = _run(trainer, resumed)
    result = _result(trainer, settings, quantise, folder, seconds, resumed, train_set, validation_set.chains)
    if head:
        result = _with_head(result, head, trainer.args)
        if result.best_step == 0:
            _take_out_adapters(model)
    if trainer.is_world_process_zero():
        _save(model, result)
    trainer.accelerator.wait_for_everyone()
    return result


def _fitting(on_progress: Progress) -> Fitting:
    """Progress of the head: rows done and in all, with `head` as the only figure."""
    return lambda done, total: on_progress(done, total, {"head": done / total})


def training_arguments(
    settings: VerifierSettings,
    folder: Path,
    seed: int,
    chains: int,
    device: torch.device,
    by_f1: bool,
    mixed: bool,
) -> TrainingArguments:
    """`TrainingArguments` from a recipe. Best by F1 where validation has chains of both kinds (else
    F1 is 0 throughout), by loss otherwise."""
    total = max(1, math.ceil(math.ceil(chains / settings.batch_size) * settings.epochs))
    every = max(1, total // settings.evaluations)
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=chains_at_once(settings),
        gradient_accumulation_steps=settings.accumulation,
        gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        ddp_backend="gloo" if device.type == "cpu" and processes() > 1 else None,
        ddp_find_unused_parameters=False,
        per_device_eval_batch_size=2 * chains_at_once(settings),
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(settings.warmup_fraction * total),
        lr_scheduler_type="cosine",
        optim="adamw_torch_fused",
        train_sampling_strategy="group_by_length",
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="f1" if by_f1 else "loss",
        greater_is_better=by_f1,
        restore_callback_states_from_checkpoint=True,
        logging_steps=max(1, total // LOGGED_POINTS),
        report_to=list(settings.report_to) or "none",
        seed=seed % 2**32,
        data_seed=seed % 2**32,
        bf16=mixed,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        label_names=ASKED,
        disable_tqdm=True,
    )


def processes() -> int:
    """Processes that train together (`torchrun` says so)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def chains_at_once(settings: VerifierSettings) -> int:
    """Chains in a forward pass of one process, so that an optimiser step has `batch_size` in all.

    Raises:
        VerifierError: that does not divide.
    """
    parts = processes() * settings.accumulation
    if settings.batch_size % parts:
        raise VerifierError(
            f"expected a batch_size that divides by processes x accumulation = {parts}, found "
            f"{settings.batch_size}; choose {parts * max(1, settings.batch_size // parts)}"
        )
    return settings.batch_size // parts


def _trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    arguments: TrainingArguments,
    train: EncodedSet,
    validation: EncodedSet,
    settings: VerifierSettings,
    on_progress: Progress,
) -> StepTrainer:
    trainer = StepTrainer(
        model=model,
        args=arguments,
        data_collator=Collator(pad_id(tokenizer), settings.packing),
        train_dataset=train,
        eval_dataset=validation,
        compute_metrics=first_error_metrics,
        preprocess_logits_for_metrics=margins_of,
        callbacks=[EarlyStoppingCallback(settings.patience), ProgressCallback(on_progress)],
    )
    trainer.contrast = settings.contrast
    trainer.remove_callback(PrinterCallback)
    return trainer


def _run(trainer: StepTrainer, checkpoint: Path | None) -> float:
    """Train to the end; wall seconds of this call. Mixed precision casts what LoRA layers are given by
    itself: peft's cast to their float32, and back, would copy every activation twice."""
    began = time.monotonic()
    assert trainer.model is not None
    uncast = disable_input_dtype_casting(trainer.model, active=trainer.args.bf16)
    with quiet_transformers(), uncast, fused_lora(trainer.model):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return time.monotonic() - began


def _with_head(result: TrainResult, head: HeadFit, asked: TrainingArguments) -> TrainResult:
    """The result with what the head was before any adapter: step 0 of the curve, and the best step where no
    later one was better."""
    curve = [{"step": 0.0, "epoch": 0.0, **head.figures}, *result.curve]
    result = replace(result, head_loss=head.validation_loss, curve=curve)
    name, better = f"eval_{asked.metric_for_best_model}", 1 if asked.greater_is_better else -1
    figures = {point["step"]: better * point[name] for point in curve if name in point}
    if figures.get(0.0, -math.inf) <= figures.get(result.best_step, math.inf):
        return result
    return replace(result, best_step=0, best_f1=head.figures.get("eval_f1", 0.0))


def _take_out_adapters(model: PeftModel) -> None:
    """Leave the fitted head alone in charge: adapters that add nothing, as they began."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.zero_()


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; torn ones (the process was killed while it wrote) are deleted.

    The trainer's state is written last, so a checkpoint is whole when that file parses.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True)
    for path in found:
        if _is_whole(path):
            return path
        shutil.rmtree(path)
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    needed = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt")
    return all((checkpoint / name).exists() for name in needed)


def read_result(folder: Path) -> TrainResult | None:
    """The result of a finished training in `folder`, if there is one."""
    try:
        record = json.loads((folder / RESULT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return TrainResult(**(record | {"folder": folder}))


def _result(
    trainer: StepTrainer,
    settings: VerifierSettings,
    quantise: bool,
    folder: Path,
    seconds: float,
    resumed: Path | None,
    train: EncodedSet,
    validation_chains: int,
) -> TrainResult:
    state = trainer.state
    curve = read_curve(state.log_history)
    best = next((p for p in curve if p["step"] == state.best_global_step and "eval_f1" in p), {})
    return TrainResult(
        folder=folder,
        base=settings.base,
        layers=settings.layers,
        quantised=quantise,
        curve=curve,
        seconds=seconds,
        steps=state.global_step,
        best_step=state.best_global_step or state.global_step,
        best_f1=best.get("eval_f1", 0.0),
        stopped_early=state.global_step < state.max_steps,
        resumed_from=int(resumed.name.split("-")[1]) if resumed else 0,
        train_chains=train.chains,
        validation_chains=validation_chains,
        train_tokens=train.tokens,
        truncated_steps=train.truncated_steps,
        trainable_parameters=trainer.get_num_trainable_parameters(),
        mixed_precision="bf16" if trainer.args.bf16 else "no",
        labelled_steps=train.labelled_steps,
        cut_chains=train.cut_chains,
        windows=train.windowed,
        pairs=train.pairs,
        processes=trainer.accelerator.num_processes,
    )


def _save(model: PeftModel, result: TrainResult) -> None:
    """The best adapter, then the result (last: it says that all is there), then no checkpoints."""
    model.save_pretrained(str(result.adapter))
    write_json(result.folder / RESULT_FILE, asdict(result) | {"folder": None})
    for checkpoint in result.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    (result.folder / HEAD_FILE).unlink(missing_ok=True)


def _require_validation(validation: EncodedSet, limit: int) -> None:
    if not len(validation):
        raise VerifierError(
            f"expected validation chains whose first error is known within {limit:,} tokens, found none; "
            "raise verifier.max_length, set long_chains: windows, or label more problems"
        )


def _require_data(train: EncodedSet) -> None:
    if not len(train):
        raise VerifierError(
            "expected labelled chains to train on, found none; look at the label counts of this run "
            "(is every step undetermined?) and label more problems"
        )
