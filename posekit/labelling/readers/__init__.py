"""A module per tool: `read(path, keypoints, found)` returns its labels as they are.

Args of each: the file or folder; keypoint names in order, empty to use the source's own; and a
`Findings`, which takes everything that is wrong or left out. A fault of the whole file is an
InputError; a broken entry goes to `found` with its file and line.
"""
