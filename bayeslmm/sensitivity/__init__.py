"""What priors imply and what they do."""
