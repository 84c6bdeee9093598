"""OpenVINO: a model compiled for this machine's processor, stepped by ``agents.brain.stepping``.

- ``fitting``   whether a model and a machine are suited, and why not
- ``converting`` a GGUF file to OpenVINO's format, once, in a process of its own
- ``graph``     the model made ready for paged keys and values
- ``runner``    the forward pass
- ``opening``   all of it together, as an ``Engine``
"""
