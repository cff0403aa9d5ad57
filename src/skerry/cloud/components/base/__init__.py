"""What components share: files, services and steps of one, and the conventions of OpenStack's services."""
