"""The facts behind explain, plan and backtest."""
