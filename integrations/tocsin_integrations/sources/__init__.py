"""Sources: one file per monitoring tool; bytes in, alerts out."""
