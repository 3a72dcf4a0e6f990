"""A module per tool: `read(path, keypoints, found)` gives its labels as they are.

Args of each: the file or folder; the names of keypoints in order, empty where the source's own
count; and what takes everything that is wrong or left out. What a whole file lacks is an
InputError; a broken entry goes to `found` by its file and line.
"""
