"""Results as objects of other libraries: a module for each, named after it.

Each is imported by its name, `from posekit.bridges import supervision`, and needs its library only
when a function of it is called. Results are an iterable of `PoseResult`, one of them alone, or the
path of a table that `formats=parquet` wrote.
"""
