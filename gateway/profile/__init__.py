"""What somebody who is signed in may change about themselves: the credentials of their profile."""
