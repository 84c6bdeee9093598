"""Generating answers step by step, for engines that only compute logits.

Each step gives one token to every answer that runs, and reads a piece of the
prompts that wait (continuous batching). Here is what such engines share:

- ``runner``    what a model has to offer: one forward pass over several lanes
- ``pages``     which tokens' keys and values lie in which block, and whose prefix they serve
- ``loop``      the thread: who runs, what a step computes, what comes of it
- ``request``   one answer: its tokens, its text, its end
- ``sampling``  from logits to a token
- ``text``      from tokens to text, and stop strings
- ``grammar``   JSON schemas over logits
- ``prompts``   messages to tokens, by the model's template and vocabulary
- ``engine``    the ``Engine`` of the brain over all of it
"""
