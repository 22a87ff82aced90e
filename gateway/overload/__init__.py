"""What happens when more is asked for than this process can do."""
