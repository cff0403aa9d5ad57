"""The verb for what makes a cloud last."""
