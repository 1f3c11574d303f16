"""Packaging rules."""
