"""The engine ``transformers``: any causal language model of Hugging Face, on the CPU or a card.

It is the reference: plain arithmetic, in single precision on the CPU, that the
other engines are compared with. Stepped by ``agents.brain.stepping``.

- ``opening``    a model of the Tier-0 folder, as an ``Engine``
- ``loading``    the library, the device, the room, the weights, and what can be wrong with them
- ``gguf``       a GGUF file as the library wants to read it, twenty times as quickly
- ``lanes``      which lane holds the keys and values of which tokens, and whom they serve
- ``packed``     the forward pass: tokens of all lanes in one call
- ``attention``  each lane's tokens see their own lane's alone
- ``adapting`` what adapters add, for the tokens that want them
- ``alone``      one call per lane, for models that cannot be packed

The folder has another name than the engine, lest it be taken for the library.
"""
