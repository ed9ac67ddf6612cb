"""Projects, their credentials, and the data that each project contains."""
