"""Inference: from a question to a streamed, cited answer."""
