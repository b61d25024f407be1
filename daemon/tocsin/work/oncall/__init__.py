"""Calendar feeds, overrides, swaps and calendar links."""
