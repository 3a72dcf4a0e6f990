"""A network as a file for another engine, checked against the network itself.

The room is not called `export`: importing a part of a package of that name would put the package
where `posekit.export`, the function, is.
"""
