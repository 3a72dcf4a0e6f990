"""Single images of many callers at once, batched together."""
