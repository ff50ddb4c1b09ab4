"""What is wrong with a fit, and which rows and groups it depends on."""
