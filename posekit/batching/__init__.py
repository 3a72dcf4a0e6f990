"""Many clips -> a file of results each, resumable, on one machine or many: `posekit.batch`."""
