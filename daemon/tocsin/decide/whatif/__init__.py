"""Forecasts and comparisons: explain, plan, backtest and the noise report."""
