"""Reaching people, and reading their answers: the delivery plan, limits, retries, replies."""
