"""What must report by itself, and when it is overdue."""
