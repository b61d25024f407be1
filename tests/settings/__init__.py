"""Tests of tocsin.settings."""
