"""What there is to call: providers, models, and which of them have a credential."""
