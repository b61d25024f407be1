"""Heartbeats: jobs that must report by themselves, and when they are overdue."""
