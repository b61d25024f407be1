"""What would happen: explain, plan, backtest and the noise report."""
