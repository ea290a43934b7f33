"""Names that other programs give to our settings, so that errors can name the setting that is meant.

The programs are fairseq, JoeyNMT, Marian, OpenNMT, Sockeye and Transformers, and scripts of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping

# By setting, or settings that are set together: the names, as keys without a section.
_NAMES: Mapping[tuple[str, ...], str] = {
    ("train.learning_rate",): "lr rate step_size max_lr peak_lr initial_learning_rate learn_rate",
    ("train.max_epochs",): "epochs epoch num_epochs num_epoch n_epochs num_train_epochs max_epoch after_epochs",
    ("train.max_steps",): "steps step num_steps n_steps train_steps iterations iters max_iters num_iterations "
    "max_update max_updates updates num_updates after_batches",
    ("train.max_minutes",): "minutes num_minutes max_time time_limit",
    ("train.batch_tokens",): "max_tokens tokens_per_batch tokens_batch mini_batch_words",
    ("train.accumulate",): "gradient_accumulation gradient_accumulation_steps grad_accum accum accum_count "
    "batch_multiplier update_freq optimizer_delay update_interval",
    ("train.warmup_steps",): "warmup warm_up lr_warmup warmup_updates learning_rate_warmup",
    (
        "train.schedule",
    ): "scheduler scheduling lr_scheduler lr_scheduler_type decay_method learning_rate_scheduler_type",
    ("train.weight_decay",): "wd l2 decay",
    ("train.adam_beta2",): "beta2",
    ("train.ema_decay",): "ema exponential_smoothing moving_average",
    ("train.clip_norm",): "clip grad_clip clip_grad clip_grad_norm max_grad_norm gradient_clip gradient_clipping "
    "gradient_clipping_threshold",
    ("train.label_smoothing",): "smoothing label_smoothing_factor",
    ("train.patience",): "early_stop early_stopping early_stopping_patience max_num_checkpoint_not_improved",
    ("train.best_by",): "early_stopping_metric metric_for_best_model best_checkpoint_metric valid_metrics",
    ("train.validate_every",): "eval_steps eval_every eval_interval valid_steps valid_every valid_freq "
    "validation_freq validation_interval checkpoint_interval",
    ("train.save_every",): "save_steps save_freq save_interval save_interval_updates checkpoint_every checkpoint_steps",
    ("train.keep_checkpoints",): "keep_last keep_last_ckpts keep_last_epochs save_total_limit",
    ("train.log_every",): "log_interval logging_interval logging_steps logging_freq log_steps disp_freq report_every",
    ("train.seed",): "random_seed manual_seed",
    ("model.dropout",): "dropout drop drop_out dropout_rate p_dropout transformer_dropout",
    ("model.attention_dropout",): "attn_dropout attention_probs_dropout transformer_dropout_attention",
    ("model.d_model",): "dim dim_emb dim_model dmodel emb emb_size emb_dim embed_dim embedding_dim embedding_size "
    "hidden hidden_size hid_dim model_dim word_vec_size rnn_size width",
    ("model.d_ff",): "ffn ffn_dim ff_dim ff_size ffn_embed_dim dim_feedforward feedforward feed_forward "
    "transformer_ff transformer_dim_ffn intermediate_size",
    ("model.num_heads",): "heads nhead nheads n_head n_heads attention_heads num_attention_heads transformer_heads",
    ("model.num_encoder_layers", "model.num_decoder_layers"): "layers layer nlayers n_layer n_layers num_layers depth "
    "num_hidden_layers",
    ("model.num_encoder_layers",): "enc_layers encoder_layers enc_depth",
    ("model.num_decoder_layers",): "dec_layers decoder_layers dec_depth",
    ("model.architecture",): "arch model_type",
    ("vocab.size",): "vocab_size vocabulary_size src_vocab_size tgt_vocab_size bpe bpe_size num_merges num_pieces",
    ("vocab.model",): "spm sp_model spm_model sentencepiece sentencepiece_model vocab vocab_file",
    ("vocab.algorithm",): "tokenizer tokenizer_type",
    ("vocab.joint",): "joint_vocab joined_dictionary share_vocab shared_vocab tied_embeddings",
    ("data.max_pieces",): "max_len max_length max_seq_len max_seq_length max_sequence_length max_source_length "
    "max_source_positions max_sent_length block_size",
    ("data.src_lang",): "source_lang source_language src_language from_lang",
    ("data.tgt_lang",): "target_lang target_language tgt_language to_lang",
    ("data.valid_pairs",): "valid_size val_size dev_size validation_split val_split valid_lines",
    ("decode.beam_size",): "beam beams num_beams beam_width",
    ("decode.length_penalty",): "lenpen length_normalization",
}
_SETTINGS = {name: settings for settings, names in _NAMES.items() for name in names.split()}


def settings_called(name: str) -> tuple[str, ...]:
    """Return the settings, as `section.key`, that other programs call by this name, or () if none is known."""
    return _SETTINGS.get(name.lower().replace("-", "_"), ())
