"""May they call now, and what did it come to: rules, what they count, and what they answer."""
