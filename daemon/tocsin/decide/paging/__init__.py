"""How people are reached and how their answers are read: limits, retries, replies."""
