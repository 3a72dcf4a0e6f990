"""How good predictions are: metrics that take one batch after the other."""
