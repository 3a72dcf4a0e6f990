"""A page in the browser, and poses over HTTP: `posekit app`."""
