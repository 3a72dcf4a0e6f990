"""Single images of many callers at once, through the networks in common batches."""
