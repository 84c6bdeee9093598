"""The engine ``exllamav2``: EXL2 and GPTQ weights on NVIDIA cards, stepped by ``agents.brain.stepping``.

- ``opening``  a model of the Tier-0 folder, as an ``Engine``; what can be wrong with machine and weights
- ``runner``   the forward pass: several lanes with flash-attn's pages, or one lane without

The library compiles itself and needs CUDA when it is imported, so it is
imported when a model is opened, and by nothing else.
"""
