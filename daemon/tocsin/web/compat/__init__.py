"""APIs of other tools, in their shapes and with their errors."""
