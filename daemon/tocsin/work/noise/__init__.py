"""Storms: taking incidents in, and letting them go when it is calm."""
