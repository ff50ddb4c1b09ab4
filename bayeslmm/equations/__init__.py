"""The mixed-model equations of a design."""
