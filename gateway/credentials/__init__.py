"""What we show providers: which credential, where it comes from, and how it has fared."""
