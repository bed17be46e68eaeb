"""Checkpoint -> ONNX (FP32, INT8) -> a model folder that `bento` serves.

May: import torch, transformers and onnx_ir, which nothing in `bento` may; import `bento` (errors, artifact, words,
tokenizer, engines), never the other way round, so that what a conversion checks is what will be served.
May not: execute code of a checkpoint (no `trust_remote_code`, no pickles beyond plain weights), or leave a partial
folder.

The steps of a conversion:
    checkpoint.read -> export.export -> quantize.quantize -> export.check -> folder.write    (each variant)
    -> verify.reference (PyTorch, here) -> verify.measure (each variant, in a process of its own)
    -> verify.compare -> conversion.choose -> folder.keep -> report
"""
