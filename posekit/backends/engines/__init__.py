"""One file per engine, named as the engine is, with a constant `ENGINE` that describes it.

Imports are absolute: `import torch` in them is PyTorch, not the file beside it. Nothing is imported
here, where the files would become attributes of the same names.
"""
