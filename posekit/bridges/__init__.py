"""Results as objects of other libraries, with one module per library.

Import one by its name, `from posekit.bridges import supervision`; the library itself is needed only
when a function is called. `results` is an iterable of `PoseResult`, a single one, or the path of a
table that `formats=parquet` wrote.
"""
