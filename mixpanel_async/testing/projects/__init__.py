"""Projects: their credentials, their time zones, and the data that each project contains."""
