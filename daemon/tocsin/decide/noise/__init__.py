"""What tames noise: thresholds, flapping, storms, and the counters behind them."""
