"""Small inputs that several unit tests share."""
