"""Noise tamed: thresholds, flapping, storms, and the counters behind them."""
