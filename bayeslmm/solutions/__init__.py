"""What was estimated, with the quantities that follow from it directly."""
