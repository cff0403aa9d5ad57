"""What a user does with a cloud: up, plan, down, destroy, status, rotate, verify, options."""
