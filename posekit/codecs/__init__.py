"""Network outputs <-> coordinates: pure functions of tensors."""
